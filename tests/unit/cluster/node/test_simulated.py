"""The simulated kubelet at work: whose pods it runs, when they restart, and how they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.cluster.node.simulated import Kubelet
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import conditions, objects, resources

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object

OURS = {"seatrial.dev/simulated": "true"}
NODES = resources.for_plural("nodes")


@pytest.fixture
async def land(world: World) -> World:
    """A kubelet with one node, `a`; pods start at once."""
    world.pods_become_ready = False
    await world.start(lambda context: Kubelet(context, 0.0).controller)
    await world.node("a", OURS)
    await world.settle()
    return world


def pod(name: str = "p", annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    prefixed = {f"seatrial.dev/simulated-{key}": value for key, value in (annotations or {}).items()}
    metadata: Object = {"name": name, "namespace": "default", "annotations": prefixed}
    if "finalizers" in spec:
        metadata["finalizers"] = spec.pop("finalizers")
    spec = {"nodeName": "a", "containers": [{"name": "main", "image": "i"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def run(land: World, made: Object) -> Object:
    await land.create(made)
    await land.settle()
    return await land.get("pods", objects.name(made), "")


async def seen(land: World, name: str = "p") -> tuple[str, str, int]:
    """Phase, state of the container, restarts."""
    status = (await land.get("pods", name, ""))["status"]
    container = status["containerStatuses"][0]
    (state,) = container["state"]
    return status["phase"], container["state"][state].get("reason", state), container["restartCount"]


# whose pods


async def test_a_pod_of_a_simulated_node_runs(land: World) -> None:
    found = await run(land, pod())
    assert conditions.is_true(found, "Ready")
    assert found["status"]["podIP"].startswith("10.244.")


@pytest.mark.parametrize("labels", [{}, {"seatrial.dev/simulated": "false"}])
async def test_the_pods_of_other_nodes_are_left_alone(land: World, labels: dict[str, str]) -> None:
    await land.node("real", labels)
    found = await run(land, pod(nodeName="real"))
    assert "containerStatuses" not in found["status"]


async def test_a_pod_starts_once_its_node_is_there_and_simulated(land: World) -> None:
    await run(land, pod(nodeName="late"))
    await land.node("late")
    await land.settle()
    assert "containerStatuses" not in (await land.get("pods", "p", ""))["status"]
    await land.client.patch(NODES, "late", {"metadata": {"labels": OURS}}, type=PatchType.MERGE)
    await land.settle()
    assert await seen(land) == ("Running", "running", 0)


async def test_a_pod_has_the_address_of_its_node_as_host(land: World) -> None:
    made = await land.node("b", OURS)
    made["status"] = {"addresses": [{"type": "InternalIP", "address": "10.9.9.9"}]}
    await land.client.update(NODES, made, subresource="status")
    await land.settle()
    found = await run(land, pod("guest", nodeName="b", hostNetwork=True))
    assert (found["status"]["hostIP"], found["status"]["podIP"]) == ("10.9.9.9", "10.9.9.9")
    assert (await run(land, pod()))["status"]["hostIP"] == "10.0.0.1"


async def test_every_pod_has_an_address_of_its_own(land: World) -> None:
    addresses = {(await run(land, pod(f"p{number}")))["status"]["podIP"] for number in range(5)}
    assert len(addresses) == 5


# time


async def test_a_pod_starts_after_its_delay(land: World) -> None:
    found = await run(land, pod(annotations={"start-seconds": "5"}))
    assert found["status"]["phase"] == "Pending"
    await land.after(4)
    assert (await land.get("pods", "p", ""))["status"]["phase"] == "Pending"
    await land.after(1)
    assert await seen(land) == ("Running", "running", 0)


async def test_restarts_back_off_from_ten_seconds_doubling_to_five_minutes(land: World) -> None:
    await run(land, pod(annotations={"exit-code": "1"}))
    for restarts, wait in enumerate([10, 20, 40, 80, 160, 300, 300]):
        assert await seen(land) == ("Running", "CrashLoopBackOff", restarts)
        await land.after(wait - 1)
        assert (await seen(land))[2] == restarts
        await land.after(1)
    assert "BackOff" in land.notes.reasons()


async def test_containers_that_ran_long_start_again_from_the_first_back_off(land: World) -> None:
    await run(land, pod(annotations={"run-seconds": "1", "exit-code": "1"}))
    for wait in (1, 10, 1, 20):
        await land.after(wait)
    assert await seen(land) == ("Running", "running", 2)
    change = {"metadata": {"annotations": {"seatrial.dev/simulated-run-seconds": "600"}}}
    await land.merge("pods", "p", change, "")
    await land.after(600)
    assert await seen(land) == ("Running", "CrashLoopBackOff", 2)
    await land.after(10)
    assert await seen(land) == ("Running", "running", 3)


async def test_a_pod_is_ready_while_it_runs_and_not_after(land: World) -> None:
    found = await run(land, pod(annotations={"run-seconds": "5"}, restartPolicy="Never"))
    assert conditions.is_true(found, "Ready")
    await land.after(5)
    assert await seen(land) == ("Succeeded", "Completed", 0)
    assert not conditions.is_true(await land.get("pods", "p", ""), "Ready")


@pytest.mark.parametrize(
    ("policy", "code", "ends"),
    [
        ("Never", "0", ("Succeeded", "Completed", 0)),
        ("Never", "2", ("Failed", "Error", 0)),
        ("OnFailure", "0", ("Succeeded", "Completed", 0)),
        ("OnFailure", "2", ("Running", "CrashLoopBackOff", 0)),
    ],
)
async def test_the_restart_policy_says_what_becomes_of_containers_that_end(
    land: World, policy: str, code: str, ends: tuple[str, str, int]
) -> None:
    await run(land, pod(annotations={"exit-code": code}, restartPolicy=policy))
    assert await seen(land) == ends


async def test_a_pod_past_its_active_deadline_fails(land: World) -> None:
    await run(land, pod(activeDeadlineSeconds=30))
    await land.after(30)
    found = await land.get("pods", "p", "")
    assert (found["status"]["phase"], found["status"]["reason"]) == ("Failed", "DeadlineExceeded")


# changes


async def test_readiness_follows_the_annotation(land: World) -> None:
    before = await run(land, pod(annotations={"ready": "false"}))
    assert not conditions.is_true(before, "Ready")
    await land.merge("pods", "p", {"metadata": {"annotations": {"seatrial.dev/simulated-ready": None}}}, "")
    await land.settle()
    found = await land.get("pods", "p", "")
    assert conditions.is_true(found, "Ready")
    assert found["status"]["containerStatuses"][0]["state"] == before["status"]["containerStatuses"][0]["state"]


async def test_readiness_follows_the_gates(land: World) -> None:
    found = await run(land, pod(readinessGates=[{"conditionType": "example.com/lb"}]))
    assert not conditions.is_true(found, "Ready")
    status = found["status"]
    status["conditions"] = [*status["conditions"], {"type": "example.com/lb", "status": "True"}]
    await land.client.update(resources.for_plural("pods"), {**found, "status": status}, subresource="status")
    await land.settle()
    assert conditions.is_true(await land.get("pods", "p", ""), "Ready")


async def test_a_new_image_restarts_the_container(land: World) -> None:
    await run(land, pod())
    change = [{"op": "replace", "path": "/spec/containers/0/image", "value": "i:2"}]
    await land.client.patch(resources.for_plural("pods"), "p", change, "default", type=PatchType.JSON)
    await land.settle()
    found = (await land.get("pods", "p", ""))["status"]
    assert (found["containerStatuses"][0]["image"], found["containerStatuses"][0]["restartCount"]) == ("i:2", 1)
    assert found["observedGeneration"] == 2


async def test_a_condition_written_at_the_same_time_is_not_lost(land: World, monkeypatch: pytest.MonkeyPatch) -> None:
    update, pods = land.client.update, resources.for_plural("pods")
    left = ["once"]

    async def meddling(resource: Any, obj: Object, **options: Any) -> Object:
        if left:
            left.pop()
            live = await land.client.get(pods, "p", "default")
            condition = {"type": "example.com/mine", "status": "True"}
            await update(pods, {**live, "status": {**live["status"], "conditions": [condition]}}, subresource="status")
        return await update(resource, obj, **options)

    monkeypatch.setattr(land.client, "update", meddling)
    await run(land, pod())
    await land.after(1)
    found = await land.get("pods", "p", "")
    assert conditions.is_true(found, "example.com/mine")
    assert conditions.is_true(found, "Ready")


async def test_a_settled_pod_is_not_written_again(land: World) -> None:
    init = [{"name": "setup", "image": "s"}, {"name": "side", "image": "s", "restartPolicy": "Always"}]
    gates = [{"conditionType": "example.com/lb"}]
    await run(land, pod(initContainers=init, readinessGates=gates, activeDeadlineSeconds=100_000))
    revision = land.store.revision
    await land.after(1000)
    assert land.store.revision == revision
    await land.merge("pods", "p", {"metadata": {"annotations": {"touched": "yes"}}}, "")
    await land.settle()
    assert land.store.revision == revision + 1


# going


@pytest.mark.parametrize(
    ("policy", "phase", "code"), [("Always", "Succeeded", 0), ("OnFailure", "Failed", 143), ("Never", "Failed", 143)]
)
async def test_a_pod_told_to_go_reports_its_end_and_a_finalizer_keeps_the_object(
    land: World, policy: str, phase: str, code: int
) -> None:
    made = pod(annotations={"run-seconds": "-1"}, restartPolicy=policy, finalizers=["example.com/hold"])
    await run(land, made)
    await land.delete("pods", "p", "")
    await land.settle()
    found = await land.get("pods", "p", "")
    assert found["status"]["phase"] == phase
    assert found["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == code
    assert found["metadata"]["deletionGracePeriodSeconds"] == 0
    await land.merge("pods", "p", {"metadata": {"finalizers": None}}, "")
    assert await land.pod_names() == []


async def test_a_pod_with_grace_goes_at_once_for_it_obeys(land: World) -> None:
    await run(land, pod(terminationGracePeriodSeconds=600))
    await land.delete("pods", "p", "")
    await land.settle()
    assert await land.list("pods", "") == []


async def test_a_pod_deleted_before_it_started_has_failed(land: World) -> None:
    await run(land, pod(annotations={"start-seconds": "60"}, finalizers=["example.com/hold"]))
    await land.delete("pods", "p", "")
    await land.settle()
    assert await seen(land) == ("Failed", "Error", 0)


async def test_a_pod_that_ended_goes_without_a_word(land: World) -> None:
    await run(land, pod(restartPolicy="Never"))
    await land.delete("pods", "p", "")
    await land.settle()
    assert await land.list("pods", "") == []
