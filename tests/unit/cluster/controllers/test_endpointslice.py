"""Which EndpointSlices to write, from what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.cluster.controllers import endpointslice
from seatrial.cluster.controllers.endpointslice import Plan, plan
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop", "uid": "svc"},
    "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.9", "ports": [{"port": 80, "targetPort": 8080}]},
}


def pod(number: int, *, ready: bool = True, deleting: bool = False) -> Object:
    name = f"p{number:03}"
    metadata: Object = {"name": name, "namespace": "shop", "uid": name}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {
        "metadata": metadata,
        "spec": {"containers": [], "nodeName": "n"},
        "status": {"podIP": f"10.0.{number // 200}.{number % 200 + 1}", "conditions": [condition]},
    }


def pods(count: int) -> list[Object]:
    return [pod(number) for number in range(count)]


def stored(made: Plan, existing: list[Object] | None = None) -> list[Object]:
    """The slices after the plan is carried out."""
    found = {objects.name(item): item for item in existing or ()}
    for item in made.delete:
        del found[objects.name(item)]
    for item in made.update:
        found[objects.name(item)] = item
    for number, item in enumerate(made.create):
        name = f"web-{len(found) + number}"
        found[name] = {**item, "metadata": {**item["metadata"], "name": name, "uid": name}}
    return list(found.values())


def names(slices: list[Object]) -> list[str]:
    return sorted(item["targetRef"]["name"] for found in slices for item in found["endpoints"])


def sizes(slices: list[Object]) -> list[int]:
    return sorted(len(item["endpoints"]) for item in slices)


@pytest.mark.parametrize(
    ("ready", "deleting", "publish", "wanted"),
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (True, True, False, (False, True, True)),
        (False, True, False, (False, False, True)),
        (False, True, True, (True, False, True)),
    ],
)
def test_conditions(ready: bool, deleting: bool, publish: bool, wanted: tuple[bool, bool, bool]) -> None:
    service = {**SERVICE, "spec": {**SERVICE["spec"], "publishNotReadyAddresses": publish}}
    found = endpointslice.endpoint(service, pod(1, ready=ready, deleting=deleting))["conditions"]
    assert (found["ready"], found["serving"], found["terminating"]) == wanted


def _waiting(number: int, *, deleting: bool = False) -> Object:
    """A pod that lacks nothing but routes."""
    made = pod(number, ready=False, deleting=deleting)
    made["status"]["conditions"][0]["reason"] = "AwaitingRoutes"
    return made


def test_a_pod_that_waits_for_its_routes_is_listed_as_ready() -> None:
    assert endpointslice.endpoint(SERVICE, _waiting(1))["conditions"]["ready"]
    conditions = endpointslice.endpoint(SERVICE, _waiting(1, deleting=True))["conditions"]
    assert (conditions["ready"], conditions["terminating"]) == (False, True)


def test_what_is_right_is_not_written() -> None:
    slices = stored(plan(SERVICE, pods(3), []))
    assert plan(SERVICE, pods(3), slices) == Plan()


def test_a_slice_holds_a_hundred() -> None:
    slices = stored(plan(SERVICE, pods(250), []))
    assert sizes(slices) == [50, 100, 100]
    assert names(slices) == [objects.name(item) for item in pods(250)]


def test_a_new_pod_changes_one_slice() -> None:
    slices = stored(plan(SERVICE, pods(250), []))
    made = plan(SERVICE, pods(251), slices)
    assert (len(made.create), len(made.update), len(made.delete)) == (0, 1, 0)
    assert names(stored(made, slices)) == [objects.name(item) for item in pods(251)]


def test_a_replaced_pod_takes_the_place_that_became_free() -> None:
    slices = stored(plan(SERVICE, pods(200), []))
    changed = [*pods(200)[1:], pod(200)]
    made = plan(SERVICE, changed, slices)
    assert (len(made.create), len(made.update), len(made.delete)) == (0, 1, 0)
    assert names(stored(made, slices)) == sorted(objects.name(item) for item in changed)


def test_the_last_slice_stays_when_no_pod_is_left() -> None:
    slices = stored(plan(SERVICE, pods(150), []))
    after = stored(plan(SERVICE, [], slices), slices)
    assert sizes(after) == [0]
    assert after[0]["ports"] == []
    assert plan(SERVICE, [], after) == Plan()


def test_a_changed_port_reuses_the_slice() -> None:
    slices = stored(plan(SERVICE, pods(3), []))
    moved = {**SERVICE, "spec": {**SERVICE["spec"], "ports": [{"port": 80, "targetPort": 9090}]}}
    made = plan(moved, pods(3), slices)
    assert (len(made.create), len(made.update), len(made.delete)) == (0, 1, 0)
    assert made.update[0]["ports"][0]["port"] == 9090
    assert objects.name(made.update[0]) == objects.name(slices[0])


def test_the_services_labels_are_on_its_slices_except_reserved_ones() -> None:
    labels = {"team": "shop", endpointslice.MANAGED_BY: "somebody"}
    labelled = {**SERVICE, "metadata": {**SERVICE["metadata"], "labels": labels}}
    (made,) = plan(labelled, pods(1), []).create
    assert objects.labels(made) == {
        "team": "shop",
        endpointslice.SERVICE_NAME: "web",
        endpointslice.MANAGED_BY: endpointslice.CONTROLLER,
    }


def test_a_headless_service_says_so() -> None:
    headless = {**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "None"}}
    (made,) = plan(headless, pods(1), []).create
    assert objects.labels(made)["service.kubernetes.io/headless"] == ""


def test_the_zone_comes_from_the_node() -> None:
    (made,) = plan(SERVICE, pods(1), [], {"n": "cellar"}).create
    assert made["endpoints"][0]["zone"] == "cellar"


def test_shared_objects_are_not_changed() -> None:
    slices = stored(plan(SERVICE, pods(3), []))
    before: Any = objects.clone({"slices": slices})
    plan(SERVICE, pods(9), slices)
    assert before == {"slices": slices}
