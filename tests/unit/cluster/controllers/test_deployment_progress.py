"""What a Deployment's status says, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.controllers.deployment import history, progress
from seatrial.cluster.controllers.deployment.history import Sets
from seatrial.kube.model import conditions

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NOW = parse_time("2026-01-01T00:10:00Z")


def deployment(replicas: int = 3, status: Object | None = None, generation: int = 1, **spec: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    return {
        "metadata": {"name": "web", "generation": generation},
        "spec": {"replicas": replicas, "strategy": strategy, "progressDeadlineSeconds": 600, **spec},
        "status": status or {},
    }


def replica_set(size: int, name: str = "web-1", /, **status: Any) -> Object:
    return {"metadata": {"name": name, "uid": name}, "spec": {"replicas": size}, "status": status}


def full(replicas: int, name: str = "web-1") -> Object:
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), replicas)
    return replica_set(replicas, name, **counts)


def progressing(reason: str, status: str = "True", at: float = NOW) -> Object:
    text = rfc3339(at)
    times = {"lastUpdateTime": text, "lastTransitionTime": text}
    return {"type": "Progressing", "status": status, "reason": reason, "message": "", **times}


def told(status: Object, type_: str = "Progressing") -> tuple[str, str]:
    found = conditions.get(status["conditions"], type_) or {}
    return found.get("status", ""), found.get("reason", "")


def test_numbers_are_summed_over_the_sets_and_zeros_left_out() -> None:
    new = replica_set(2, "new", replicas=2, readyReplicas=1, availableReplicas=1, terminatingReplicas=1)
    status = progress.status_of(deployment(3, generation=7), Sets(new, [full(2, "old")]), NOW)
    del status["conditions"]
    assert status == {
        "observedGeneration": 7,
        "replicas": 4,
        "updatedReplicas": 2,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "unavailableReplicas": 1,
        "terminatingReplicas": 1,
    }
    idle = progress.status_of(deployment(0), Sets(replica_set(0), []), NOW)
    assert "replicas" not in idle and "unavailableReplicas" not in idle


def test_available_means_at_least_the_floor() -> None:
    # 4 replicas at 25 %: three must be there.
    enough = progress.status_of(deployment(4), Sets(full(3), []), NOW)
    assert told(enough, "Available") == ("True", "MinimumReplicasAvailable")
    short = progress.status_of(deployment(4), Sets(full(2), []), NOW)
    assert told(short, "Available") == ("False", "MinimumReplicasUnavailable")


def test_a_created_set_and_a_found_one_are_told_apart() -> None:
    created = progress.status_of(deployment(), Sets(replica_set(3), []), NOW, progress.Happened(created=True))
    assert told(created) == ("True", "NewReplicaSetCreated")
    found = progress.status_of(deployment(), Sets(replica_set(3), []), NOW)
    assert told(found) == ("True", "FoundNewReplicaSet")


def test_a_rollout_is_complete_when_everything_is_updated_and_available() -> None:
    status = progress.status_of(deployment(), Sets(full(3), []), NOW)
    assert told(status) == ("True", "NewReplicaSetAvailable")
    message = (conditions.get(status["conditions"], "Progressing") or {})["message"]
    assert message == 'ReplicaSet "web-1" has successfully progressed.'
    leftovers = progress.status_of(deployment(), Sets(full(3), [full(1, "old")]), NOW)
    assert told(leftovers)[1] != "NewReplicaSetAvailable"


def test_each_step_restarts_the_clock_but_not_the_transition_time() -> None:
    started = progressing("NewReplicaSetCreated", at=NOW - 500)
    before = deployment(status={"conditions": [started], "replicas": 3, "updatedReplicas": 1})
    new = replica_set(2, replicas=2)
    status = progress.status_of(before, Sets(new, [full(1, "old")]), NOW)
    condition = conditions.get(status["conditions"], "Progressing") or {}
    assert condition["reason"] == "ReplicaSetUpdated"
    assert condition["lastUpdateTime"] == rfc3339(NOW)
    assert condition["lastTransitionTime"] == rfc3339(NOW - 500)


def test_progress_is_more_new_ready_or_available_pods_or_fewer_old_ones() -> None:
    before = {"replicas": 4, "updatedReplicas": 2, "readyReplicas": 4, "availableReplicas": 4}
    assert not progress.has_progressed(before, before)
    assert progress.has_progressed(before, {"replicas": 3, "updatedReplicas": 2})
    for field in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        assert progress.has_progressed(before, {**before, "replicas": 9, field: 5})


def test_no_step_within_the_deadline_is_stuck() -> None:
    def after(seconds: float) -> tuple[str, str]:
        started = progressing("ReplicaSetUpdated", at=NOW - seconds)
        counts = {"replicas": 3, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2}
        before = deployment(status={"conditions": [started], **counts})
        return told(progress.status_of(before, Sets(replica_set(1, replicas=1), [full(2, "old")]), NOW))

    assert after(600) == ("True", "ReplicaSetUpdated")
    assert after(601) == ("False", "ProgressDeadlineExceeded")


def test_a_stuck_rollout_that_moves_again_is_progressing() -> None:
    stuck = progressing("ProgressDeadlineExceeded", "False", at=NOW - 900)
    before = deployment(status={"conditions": [stuck], "replicas": 3, "updatedReplicas": 1, "readyReplicas": 1})
    new = replica_set(1, replicas=1, readyReplicas=1)
    status = progress.status_of(before, Sets(new, [full(2, "old")]), NOW)
    assert told(status) == ("True", "ReplicaSetUpdated")


def test_a_complete_rollout_never_times_out() -> None:
    done = progressing("NewReplicaSetAvailable", at=NOW - 9000)
    before = deployment(status={"conditions": [done], "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3})
    broken = replica_set(3, replicas=3, readyReplicas=1, availableReplicas=1)
    assert told(progress.status_of(before, Sets(broken, []), NOW)) == ("True", "NewReplicaSetAvailable")


def test_without_a_deadline_there_is_no_progressing_condition() -> None:
    before = deployment(status={"conditions": [progressing("ReplicaSetUpdated")]}, progressDeadlineSeconds=2**31 - 1)
    assert told(progress.status_of(before, Sets(full(3), []), NOW)) == ("", "")


def test_a_pause_is_told_and_a_resume_too() -> None:
    paused = progress.status_of(deployment(paused=True), Sets(full(3), []), NOW)
    assert told(paused) == ("Unknown", "DeploymentPaused")
    later = deployment(status={**paused, "replicas": 3, "updatedReplicas": 0})
    resumed = progress.status_of(later, Sets(replica_set(0), [full(3, "old")]), NOW + 1000)
    assert told(resumed) == ("Unknown", "DeploymentResumed")


def test_a_stuck_rollout_stays_stuck_through_a_pause() -> None:
    stuck = progressing("ProgressDeadlineExceeded", "False")
    status = progress.status_of(deployment(paused=True, status={"conditions": [stuck]}), Sets(full(3), []), NOW)
    assert told(status) == ("False", "ProgressDeadlineExceeded")


def test_a_set_that_cannot_make_pods_is_told_and_forgotten_when_it_can() -> None:
    failing = replica_set(3, replicas=0)
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    failing["status"]["conditions"] = [failure]
    status = progress.status_of(deployment(), Sets(failing, []), NOW)
    assert told(status, "ReplicaFailure") == ("True", "FailedCreate")
    healed = progress.status_of(deployment(status=status), Sets(full(3), []), NOW)
    assert told(healed, "ReplicaFailure") == ("", "")


def test_the_next_look_is_a_second_after_the_deadline() -> None:
    status = {"conditions": [progressing("ReplicaSetUpdated", at=NOW - 100)]}
    assert progress.next_look(deployment(), status, NOW) == 501
    done = {"conditions": [progressing("NewReplicaSetAvailable")]}
    assert progress.next_look(deployment(), done, NOW) is None


# revisions


def numbered(number: int, replicas: int = 0, name: str = "", **annotations: str) -> Object:
    meta = {
        "name": name or f"web-{number}",
        "uid": f"uid-{number}",
        "annotations": {history.REVISION: str(number), **annotations},
    }
    return {"metadata": meta, "spec": {"replicas": replicas}, "status": {}}


def test_going_back_to_an_old_template_gives_it_the_next_number_and_remembers_the_last() -> None:
    again = numbered(1)
    number = history.next_revision([numbered(2), numbered(3)])
    annotations = history.annotations_of_new({"metadata": {}}, again, number)
    assert annotations[history.REVISION] == "4"
    assert annotations[history.REVISION_HISTORY] == "1"


def test_a_revision_never_goes_back() -> None:
    assert history.annotations_of_new({"metadata": {}}, numbered(5), 3)[history.REVISION] == "5"


def test_annotations_are_copied_but_those_that_belong_to_one_object() -> None:
    own = {
        "kubernetes.io/change-cause": "v2",
        history.REVISION: "9",
        "kubectl.kubernetes.io/last-applied-configuration": "x",
    }
    made = history.annotations_of_new({"metadata": {"annotations": own}}, None, 1)
    assert made == {"kubernetes.io/change-cause": "v2", history.REVISION: "1"}


def test_the_lowest_revisions_without_pods_go_beyond_the_limit() -> None:
    limited = {"spec": {"revisionHistoryLimit": 1}}
    old = [numbered(4), numbered(2), numbered(3, replicas=1), numbered(1)]
    assert [found["metadata"]["name"] for found in history.superfluous(limited, old)] == ["web-1", "web-2"]
    assert history.superfluous({"spec": {}}, old) == []
