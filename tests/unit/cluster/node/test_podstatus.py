"""What a simulated pod says of itself, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.cluster.node import podstatus
from seatrial.kube.model import conditions

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

START, LATER, LAST = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"
SETUP = {"name": "setup", "image": "s"}
SIDECAR = {"name": "side", "image": "s", "restartPolicy": "Always"}


def pod(annotations: dict[str, str] | None = None, generation: int = 1, **spec: Any) -> Object:
    prefixed = {f"seatrial.dev/simulated-{key}": value for key, value in (annotations or {}).items()}
    metadata = {"name": "p", "namespace": "n", "uid": "u", "annotations": prefixed, "generation": generation}
    return {"metadata": metadata, "spec": {"containers": [{"name": "main", "image": "i:1"}], **spec}}


def runs(made: Object, now: str = START, *, ready: bool = True) -> Object:
    """The pod after its containers started (again), or went on."""
    return {**made, "status": podstatus.running(made, now, "10.244.0.2", "10.0.0.1", ready=ready)}


def only(made: Object) -> dict[str, Any]:
    (status,) = made["status"]["containerStatuses"]
    return dict(status)


# scripts


@pytest.mark.parametrize(
    ("policy", "annotations", "run", "code"),
    [
        ("Always", {}, None, 0),
        ("OnFailure", {}, 0.0, 0),
        ("Never", {}, 0.0, 0),
        ("Never", {"run-seconds": "2.5"}, 2.5, 0),
        ("Never", {"run-seconds": "-1"}, None, 0),
        ("Always", {"exit-code": "1"}, 0.0, 1),
        ("Always", {"exit-code": "1", "run-seconds": "5"}, 5.0, 1),
        ("Always", {"run-seconds": "soon"}, None, 0),
        ("Always", {"run-seconds": "nan"}, None, 0),
        ("Never", {"run-seconds": "inf"}, 0.0, 0),
        ("Never", {"exit-code": "1e400"}, 0.0, 0),
        ("Never", {"exit-code": "-3"}, 0.0, 255),
        ("Never", {"exit-code": "1000"}, 0.0, 255),
    ],
)
def test_annotations_say_how_long_a_pod_runs_and_how_it_ends(
    policy: str, annotations: dict[str, str], run: float | None, code: int
) -> None:
    found = podstatus.script(pod(annotations, restartPolicy=policy), 0.0)
    assert (found.run_seconds, found.exit_code) == (run, code)


def test_annotations_say_when_a_pod_starts_and_whether_it_gets_ready() -> None:
    assert podstatus.script(pod(), 2.0) == podstatus.Script(2.0, True, None, 0)
    told = podstatus.script(pod({"start-seconds": "0.5", "ready": "false"}), 2.0)
    assert (told.start_seconds, told.is_ready) == (0.5, False)


# running


def test_a_running_pod_has_addresses_conditions_and_its_generation() -> None:
    found = runs(pod(generation=3))["status"]
    assert (found["phase"], found["podIP"], found["hostIP"]) == ("Running", "10.244.0.2", "10.0.0.1")
    assert (found["podIPs"], found["hostIPs"]) == ([{"ip": "10.244.0.2"}], [{"ip": "10.0.0.1"}])
    assert found["observedGeneration"] == 3
    assert {c["type"]: (c["status"], c["observedGeneration"]) for c in found["conditions"]} == dict.fromkeys(
        ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready", "PodScheduled"), ("True", 3)
    )


def test_a_running_pod_that_goes_on_keeps_its_status() -> None:
    made = pod(
        initContainers=[{"name": "setup", "image": "s"}, {"name": "side", "image": "s", "restartPolicy": "Always"}]
    )
    once = runs(made)
    assert runs(once, LATER)["status"] == once["status"]


def test_an_unready_pod_says_which_containers() -> None:
    found = runs(pod(), ready=False)
    condition = conditions.get(found, "Ready") or {}
    assert condition["message"] == "containers with unready status: [main]"
    assert not conditions.is_true(found, "ContainersReady")
    assert only(found)["started"]


def test_a_closed_readiness_gate_holds_back_only_ready() -> None:
    made = pod(readinessGates=[{"conditionType": "example.com/lb"}])
    found = runs(made)
    assert conditions.is_true(found, "ContainersReady")
    assert conditions.get(found, "Ready") == {
        "type": "Ready",
        "status": "False",
        "reason": "ReadinessGatesNotReady",
        "message": 'corresponding condition of pod readiness gate "example.com/lb" does not exist.',
        "observedGeneration": 1,
        "lastTransitionTime": START,
    }
    found["status"]["conditions"].append({"type": "example.com/lb", "status": "False"})
    refused = conditions.get(runs(found), "Ready") or {}
    assert refused["message"] == 'the status of pod readiness gate "example.com/lb" is not "True", but False'
    found["status"]["conditions"][-1]["status"] = "True"
    assert conditions.is_true(runs(found), "Ready")


def test_what_others_wrote_into_the_status_stays() -> None:
    made = pod()
    made["status"] = {"qosClass": "Burstable", "conditions": [{"type": "DisruptionTarget", "status": "True"}]}
    for found in (runs(made), {"status": podstatus.finished(runs(made), LATER, 0)}):
        assert found["status"]["qosClass"] == "Burstable"
        assert conditions.is_true(found, "DisruptionTarget")


def test_init_containers_have_ended_and_sidecars_run() -> None:
    sidecar = {"name": "side", "image": "s", "restartPolicy": "Always"}
    setup, side = runs(pod(initContainers=[{"name": "setup", "image": "s"}, sidecar]))["status"][
        "initContainerStatuses"
    ]
    assert setup["state"]["terminated"]["exitCode"] == 0
    assert "running" in side["state"]
    assert (setup["ready"], setup["started"], side["ready"], side["started"]) == (True, False, True, True)


def test_a_new_image_restarts_its_container_and_no_other() -> None:
    made = pod(containers=[{"name": "a", "image": "i:1"}, {"name": "b", "image": "i:1"}])
    before = runs(made)
    changed = {**before, "spec": {"containers": [{"name": "a", "image": "i:2"}, {"name": "b", "image": "i:1"}]}}
    first, second = runs(changed, LATER)["status"]["containerStatuses"]
    assert (first["image"], first["restartCount"], first["state"]) == ("i:2", 1, {"running": {"startedAt": LATER}})
    assert first["lastState"]["terminated"]["finishedAt"] == LATER
    assert second == before["status"]["containerStatuses"][1]


# ending


def test_containers_that_crash_wait_for_their_restart() -> None:
    before = runs(pod())
    found = {**before, "status": podstatus.crashed(before, LATER, 3, 80)}
    status = only(found)
    assert status["state"]["waiting"] == {
        "reason": "CrashLoopBackOff",
        "message": "back-off 1m20s restarting failed container=main pod=p_n(u)",
    }
    assert status["lastState"]["terminated"] == {
        "exitCode": 3,
        "reason": "Error",
        "startedAt": START,
        "finishedAt": LATER,
        "containerID": only(before)["containerID"],
    }
    assert (found["status"]["phase"], conditions.is_true(found, "Ready")) == ("Running", False)


def test_a_restarted_container_is_another_one_and_remembers_the_last() -> None:
    before = runs(pod())
    crashed = {**before, "status": podstatus.crashed(before, LATER, 3, 10)}
    again = runs(crashed, LAST)
    assert only(again)["restartCount"] == podstatus.restart_count(again) == 1
    assert only(again)["containerID"] != only(before)["containerID"]
    assert only(again)["lastState"] == only(crashed)["lastState"]
    assert again["status"]["startTime"] == START
    assert only({"status": podstatus.finished(again, LAST, 0)})["lastState"] == only(crashed)["lastState"]


@pytest.mark.parametrize(("code", "phase", "reason"), [(0, "Succeeded", "Completed"), (2, "Failed", "Error")])
def test_a_finished_pod_ends_as_its_containers_did(code: int, phase: str, reason: str) -> None:
    before = runs(pod(initContainers=[SIDECAR]))
    found = {**before, "status": podstatus.finished(before, LATER, code)}
    ended = only(found)["state"]["terminated"]
    assert (found["status"]["phase"], ended["exitCode"], ended["reason"]) == (phase, code, reason)
    assert (ended["startedAt"], ended["finishedAt"]) == (START, LATER)
    assert found["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert (conditions.get(found, "Ready") or {})["reason"] == f"Pod{'Completed' if code == 0 else 'Failed'}"
    assert found["status"]["podIP"] == "10.244.0.2"


def test_a_pod_past_its_deadline_says_so() -> None:
    found = podstatus.overdue(runs(pod()), LATER)
    assert (found["phase"], found["reason"]) == ("Failed", "DeadlineExceeded")


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (60, "1m0s"), (80, "1m20s"), (300, "5m0s")])
def test_back_offs_are_printed_as_go_does(seconds: float, text: str) -> None:
    assert (
        f"back-off {text} "
        in only({"status": podstatus.crashed(runs(pod()), LATER, 1, seconds)})["state"]["waiting"]["message"]
    )
