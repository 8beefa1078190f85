"""How a Job stands, whether it is over, which pods it makes and deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import rfc3339
from seatrial.cluster.controllers.job import accounting, ending, podmaking, spec
from seatrial.cluster.controllers.job.backoff import NO_FAILURES, Record
from seatrial.cluster.controllers.job.plan import NOTHING, Plan, plan, wanted_active
from seatrial.cluster.controllers.job.survey import INDEX_FAILURES, INDEX_IGNORED, survey

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NOW = 1000.0
IGNORE = {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]}}]}
FAIL_INDEX = {"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [7]}}]}


def job(completions: int | None = 1, parallelism: int = 1, status: Object | None = None, **fields: Any) -> Object:
    template = {"spec": {"restartPolicy": fields.pop("restart", "Never"), "containers": [{"name": "c"}]}}
    asked = {"completions": completions, "parallelism": parallelism, "backoffLimit": 6, "template": template}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work", "namespace": "ns", "uid": "job", **fields.pop("metadata", {})},
        "spec": {key: value for key, value in (asked | fields).items() if value is not None},
        "status": status or {},
    }


def indexed(completions: int, parallelism: int = 10, **fields: Any) -> Object:
    return job(completions, parallelism, completionMode="Indexed", **fields)


def pod(
    name: str,
    phase: str = "Running",
    index: int | None = None,
    *,
    tracked: bool = True,
    leaving: bool = False,
    code: int = 1,
    ended: float = NOW,
    notes: dict[str, str] | None = None,
) -> Object:
    annotations = (notes or {}) | ({spec.INDEX: str(index)} if index is not None else {})
    meta: Object = {"name": name, "namespace": "ns", "uid": name, "annotations": annotations}
    meta |= {"finalizers": [spec.FINALIZER]} if tracked else {}
    meta |= {"deletionTimestamp": rfc3339(NOW)} if leaving else {}
    state = {"terminated": {"exitCode": 0 if phase == "Succeeded" else code, "finishedAt": rfc3339(ended)}}
    statuses = [{"name": "c", "state": state}] if phase in ("Succeeded", "Failed") else []
    return {"metadata": meta, "spec": {}, "status": {"phase": phase, "containerStatuses": statuses}}


def names(pods: Any) -> list[str]:
    return [found["metadata"]["name"] for found in pods]


# standing


def test_a_finished_pod_counts_once_wherever_it_is_noted() -> None:
    status = {"succeeded": 3, "failed": 2, "uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["x"]}}
    pods = [
        pod("a", "Succeeded"),
        pod("b", "Succeeded"),
        pod("c", "Succeeded", tracked=False),
        pod("x", "Failed"),
        pod("y", "Failed"),
        pod("z", "Failed", tracked=False),
    ]
    view = survey(job(9, status=status), pods)
    assert (view.succeeded, view.failed) == (5, 4)
    assert (names(view.new_succeeded), names(view.new_failed)) == (["b"], ["y"])


def test_a_pod_on_its_way_out_failed_unless_only_ended_ones_are_replaced() -> None:
    leaving = [pod("a", leaving=True)]
    assert survey(job(), leaving).failed == 1
    assert survey(job(podReplacementPolicy="Failed"), leaving).failed == 0
    assert survey(job(), [pod("a", "Succeeded", leaving=True)]).failed == 0


def test_ignored_failures_are_not_counted() -> None:
    view = survey(job(podFailurePolicy=IGNORE), [pod("a", "Failed", code=42), pod("b", "Failed")])
    assert view.failed == 1
    assert names(view.new_failed) == ["a", "b"]


def test_an_indexed_job_counts_indexes() -> None:
    pods = [pod("a", "Succeeded", 1), pod("b", "Succeeded", 1), pod("c", "Succeeded", 9), pod("d", "Succeeded")]
    view = survey(indexed(5, status={"completedIndexes": "0,3,4,7", "succeeded": 3}), pods)
    assert str(view.completed) == "0,1,3,4"
    assert view.succeeded == 4


def test_an_index_fails_when_it_has_used_up_its_retries() -> None:
    first, last = {INDEX_FAILURES: "0"}, {INDEX_FAILURES: "1"}
    pods = [
        pod("a", "Failed", 0, notes=first),
        pod("b", "Failed", 1, notes=last),
        pod("c", "Failed", 2, code=7, notes=first),
    ]
    view = survey(indexed(4, backoffLimitPerIndex=1, podFailurePolicy=FAIL_INDEX), pods)
    assert str(view.failed_indexes) == "1,2"
    assert names(view.predecessors.values()) == ["a"]


def test_the_predecessor_is_the_one_that_failed_last() -> None:
    pods = [
        pod("second", "Failed", 0, ended=50, notes={INDEX_FAILURES: "1"}),
        pod("first", "Failed", 0, ended=90, notes={INDEX_FAILURES: "0"}),
        pod("replaced", "Failed", 1, notes={INDEX_FAILURES: "0"}),
        pod("at-work", "Running", 1),
    ]
    assert names(survey(indexed(3, backoffLimitPerIndex=5), pods).predecessors.values()) == ["second"]


# over?


def over(obj: Object, *pods: Object, now: float = NOW) -> str:
    found = ending.decide(survey(obj, pods), now)
    return found.reason if found else ""


def test_the_backoff_limit() -> None:
    failed = [pod(f"p{number}", "Failed") for number in range(3)]
    assert over(job(backoffLimit=3), *failed) == ""
    assert over(job(backoffLimit=2), *failed) == "BackoffLimitExceeded"
    assert over(job(backoffLimit=2, status={"failed": 2}), failed[0]) == "BackoffLimitExceeded"


@pytest.mark.parametrize(
    ("limit", "restarts", "reason"),
    [
        (0, 0, ""),
        (0, 1, "BackoffLimitExceeded"),
        (1, 1, "BackoffLimitExceeded"),
        (3, 2, ""),
        (3, 3, "BackoffLimitExceeded"),
    ],
)
def test_restarts_of_containers_count_where_pods_live_on(limit: int, restarts: int, reason: str) -> None:
    running = pod("a")
    running["status"]["containerStatuses"] = [{"name": "c", "restartCount": restarts}]
    assert over(job(backoffLimit=limit, restart="OnFailure"), running) == reason
    assert over(job(backoffLimit=limit), running) == ""


def test_the_deadline_runs_while_the_job_is_not_suspended() -> None:
    running = {"startTime": rfc3339(900)}
    timed = job(activeDeadlineSeconds=100, status=running)
    assert over(timed, now=999.9) == ""
    assert over(timed, now=1000.0) == "DeadlineExceeded"
    assert ending.deadline_in(timed, 980.0) == 20.0
    suspended = job(activeDeadlineSeconds=100, status=running, suspend=True)
    assert over(suspended, now=2000.0) == ""
    assert ending.deadline_in(suspended, 2000.0) is None
    assert ending.deadline_in(job(activeDeadlineSeconds=100), NOW) is None


def test_a_rule_may_fail_the_job_at_once() -> None:
    rules = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}]}
    found = ending.decide(survey(job(podFailurePolicy=rules), [pod("a", "Failed")]), NOW)
    assert found is not None
    assert (found.interim, found.final, found.reason) == ("FailureTarget", "Failed", "PodFailurePolicy")
    assert "exit code 1" in found.message


def test_failed_indexes_end_the_job_when_no_other_is_left_or_too_many_failed() -> None:
    asked = {"backoffLimitPerIndex": 0, "backoffLimit": 2**31 - 1}
    failed = [pod("a", "Failed", 0), pod("b", "Failed", 1)]
    assert over(indexed(4, **asked), *failed) == ""
    assert over(indexed(4, status={"completedIndexes": "2,3"}, **asked), *failed) == "FailedIndexes"
    assert over(indexed(4, maxFailedIndexes=2, **asked), *failed) == ""
    assert over(indexed(4, maxFailedIndexes=1, **asked), *failed) == "MaxFailedIndexesExceeded"


def test_a_success_policy_ends_the_job_early_unless_it_failed() -> None:
    policy = {"rules": [{"succeededCount": 1}]}
    done = pod("a", "Succeeded", 2)
    found = ending.decide(survey(indexed(4, successPolicy=policy), [done]), NOW)
    assert found == ending.Ending("SuccessCriteriaMet", "SuccessPolicy", "Matched rules at index 0")
    assert over(indexed(4, successPolicy=policy, backoffLimit=0), done, pod("b", "Failed", 1)) == "BackoffLimitExceeded"


def test_a_verdict_stands() -> None:
    def with_condition(kind: str) -> Object:
        condition = {"type": kind, "status": "True", "reason": "Earlier", "message": "said so"}
        return job(backoffLimit=0, status={"conditions": [condition]})

    for kind in ("FailureTarget", "SuccessCriteriaMet"):
        found = ending.decide(survey(with_condition(kind), [pod("a", "Failed")]), NOW)
        assert found == ending.Ending(kind, "Earlier", "said so")


@pytest.mark.parametrize(
    ("completions", "succeeded", "active", "complete"),
    [
        (2, 1, 0, False),
        (2, 2, 1, False),
        (2, 2, 0, True),
        (2, 3, 0, True),
        (0, 0, 0, True),
        (None, 0, 0, False),
        (None, 1, 1, False),
        (None, 1, 0, True),
    ],
)
def test_completion(completions: int | None, succeeded: int, active: int, complete: bool) -> None:
    view = survey(job(completions, status={"succeeded": succeeded}), [])
    assert (ending.completion(view, active) is not None) is complete


def test_a_finished_job_expires() -> None:
    done = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": rfc3339(900)}]}
    assert ending.expires_in(job(ttlSecondsAfterFinished=30, status=done), 910.0) == 20.0
    assert ending.expires_in(job(status=done), 910.0) is None
    assert ending.expires_in(job(ttlSecondsAfterFinished=30), 910.0) is None


# making and deleting


@pytest.mark.parametrize(
    ("completions", "parallelism", "succeeded", "active", "wanted"),
    [
        (5, 2, 0, 0, 2),
        (5, 2, 4, 0, 1),
        (5, 2, 5, 0, 0),
        (5, 0, 0, 0, 0),
        (2, 5, 3, 0, 0),
        (None, 3, 0, 1, 3),
        (None, 3, 1, 2, 2),
    ],
)
def test_how_many_pods_should_be_at_work(
    completions: int | None, parallelism: int, succeeded: int, active: int, wanted: int
) -> None:
    pods = [pod(f"p{number}") for number in range(active)]
    asked = job(completions, parallelism, status={"succeeded": succeeded})
    assert wanted_active(survey(asked, pods)) == wanted
    assert wanted_active(survey({**asked, "spec": {**asked["spec"], "suspend": True}}, pods)) == 0


def decided(obj: Object, *pods: Object, record: Record = NO_FAILURES, now: float = NOW) -> Plan:
    return plan(survey(obj, pods), record, now)


def test_what_is_missing_is_made() -> None:
    assert decided(job(5, 3), pod("a")).create == [None, None]
    assert decided(job(1000, 1000)).create == [None] * 500
    assert decided(job(1), pod("a")) == NOTHING


def test_what_is_too_much_is_deleted_least_useful_first() -> None:
    pods = [pod("running"), pod("pending", "Pending"), pod("ended", "Failed")]
    assert names(decided(job(5, 1), *pods).delete) == ["pending"]
    assert names(decided(job(5, 0), *pods).delete) == ["pending", "running"]
    assert names(decided(job(5, 5, suspend=True), *pods).delete) == ["pending", "running"]


def test_failures_hold_up_the_next_pod_but_not_the_deletion_of_one() -> None:
    failed = Record(2, NOW - 5)
    assert decided(job(5, 1), record=failed) == Plan(wait=15.0)
    assert decided(job(5, 1), record=failed, now=NOW + 15).create == [None]
    assert names(decided(job(5, 0), pod("a"), record=failed).delete) == ["a"]


def test_a_leaving_pod_is_replaced_at_once_or_when_it_has_ended() -> None:
    assert decided(job(5, 1), pod("a", leaving=True)).create == [None]
    assert decided(job(5, 1, podReplacementPolicy="Failed"), pod("a", leaving=True)) == NOTHING
    assert decided(job(5, 1, podReplacementPolicy="Failed"), pod("a", "Failed", leaving=True)).create == [None]


def test_indexes_nobody_works_at_are_made_lowest_first() -> None:
    pods = [pod("a", "Running", 1), pod("b", "Succeeded", 3), pod("c", leaving=True, index=4)]
    assert decided(indexed(8, 4, status={"completedIndexes": "0"}), *pods).create == [2, 4, 5]
    only_ended = indexed(8, 4, status={"completedIndexes": "0"}, podReplacementPolicy="Failed")
    assert decided(only_ended, *pods).create == [2, 5]


def test_wrong_and_double_indexes_are_deleted() -> None:
    pods = [
        pod("one", "Running", 0),
        pod("twin", "Pending", 0),
        pod("beyond", "Running", 7),
        pod("none"),
        pod("two", "Running", 1),
    ]
    assert sorted(names(decided(indexed(5), *pods).delete)) == ["beyond", "none", "twin"]
    assert len(decided(indexed(5, 1), *pods).delete) == 4


def test_each_index_waits_for_its_own_failures() -> None:
    asked = indexed(4, 4, backoffLimitPerIndex=5, status={"failedIndexes": "3"})
    failed = [
        pod("a", "Failed", 0, ended=NOW - 4, notes={INDEX_FAILURES: "0"}),
        pod("b", "Failed", 1, ended=NOW - 4, notes={INDEX_FAILURES: "1", INDEX_IGNORED: "1"}),
    ]
    assert decided(asked, *failed) == Plan(create=[2], wait=6.0)
    assert decided(asked, *failed, now=NOW + 6) == Plan(create=[0, 2], wait=30.0)


# pods


def test_a_pod_is_tracked() -> None:
    made = podmaking.pod(job())
    assert made["metadata"]["finalizers"] == [spec.FINALIZER]
    assert made["metadata"]["generateName"] == "work-"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "job"
    assert "hostname" not in made["spec"]


def test_an_indexed_pod_carries_its_index_everywhere() -> None:
    obj = indexed(5)
    obj["spec"]["template"]["spec"]["containers"].append({"name": "d", "env": [{"name": "JOB_COMPLETION_INDEX"}]})
    made = podmaking.pod(obj, 3)
    assert made["metadata"]["annotations"] == made["metadata"]["labels"] == {spec.INDEX: "3"}
    assert made["metadata"]["generateName"] == "work-3-"
    assert made["spec"]["hostname"] == "work-3"
    variable = {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{spec.INDEX}']"}},
    }
    assert [container["env"] for container in made["spec"]["containers"]] == [
        [variable],
        [{"name": "JOB_COMPLETION_INDEX"}],
    ]


def test_a_long_name_gives_way_to_the_index() -> None:
    made = podmaking.pod(indexed(5, metadata={"name": "n" * 63}), 3)
    assert made["metadata"]["generateName"] == "n" * 55 + "-3-"


def test_a_successor_inherits_the_failures_of_its_index() -> None:
    obj = indexed(5, backoffLimitPerIndex=3, podFailurePolicy=IGNORE)

    def failures(predecessor: Object | None) -> tuple[str | None, str | None]:
        notes = podmaking.pod(obj, 0, predecessor)["metadata"]["annotations"]
        return notes.get(INDEX_FAILURES), notes.get(INDEX_IGNORED)

    assert failures(None) == ("0", None)
    assert failures(pod("a", "Failed", 0, notes={INDEX_FAILURES: "1"})) == ("2", None)
    assert failures(pod("a", "Failed", 0, code=42, notes={INDEX_FAILURES: "1", INDEX_IGNORED: "2"})) == ("1", "3")


# counting


def listed(obj: Object, *pods: Object, verdict: ending.Ending | None = None) -> accounting.Step:
    return accounting.listed(survey(obj, pods), obj["status"], verdict)


def test_ended_pods_are_listed_then_released() -> None:
    step = listed(job(9), pod("a", "Succeeded"), pod("b", "Failed"), pod("c"), pod("d", "Failed", tracked=False))
    assert step.status["uncountedTerminatedPods"] == {"succeeded": ["a"], "failed": ["b"]}
    assert names(step.release) == ["a", "b"]


def test_listed_pods_become_numbers_when_they_are_released() -> None:
    status = {"succeeded": 1, "uncountedTerminatedPods": {"succeeded": ["a", "b"], "failed": ["x"]}}
    counted = accounting.counted(status, {"b"})
    assert counted == {"succeeded": 2, "failed": 1, "uncountedTerminatedPods": {"succeeded": ["b"]}}
    assert accounting.counted(counted, {"b"}) == counted


def test_the_next_pass_goes_on_where_one_was_cut_off() -> None:
    status = {"uncountedTerminatedPods": {"succeeded": ["gone", "a"]}}
    step = listed(job(9, status=status), pod("a", "Succeeded"))
    assert step.status == {"succeeded": 1, "uncountedTerminatedPods": {"succeeded": ["a"]}}
    assert names(step.release) == ["a"]


def test_what_still_runs_when_a_job_fails_has_failed_and_when_it_succeeds_has_not() -> None:
    running = pod("a")
    failed = listed(job(), running, verdict=ending.BACKOFF)
    assert failed.status["uncountedTerminatedPods"] == {"failed": ["a"]}
    succeeded = listed(job(), running, verdict=ending.COMPLETIONS)
    assert succeeded.status["uncountedTerminatedPods"] == {}
    assert names(failed.release) == names(succeeded.release) == ["a"]


def test_pods_of_a_job_being_deleted_are_let_go() -> None:
    step = listed(job(metadata={"deletionTimestamp": rfc3339(NOW)}), pod("a"))
    assert step.status["uncountedTerminatedPods"] == {}
    assert names(step.release) == ["a"]


def test_indexes_need_no_list() -> None:
    step = listed(indexed(9, status={"completedIndexes": "0,1"}), pod("a", "Succeeded", 2), pod("b", "Succeeded", 99))
    assert step.status["uncountedTerminatedPods"] == {}
    assert (step.status["completedIndexes"], step.status["succeeded"]) == ("0-2", 3)
    assert names(step.release) == ["a", "b"]


def test_a_predecessor_is_kept_until_its_successor_is_there() -> None:
    failed = pod("a", "Failed", 0, notes={INDEX_FAILURES: "0"})
    asked = indexed(3, backoffLimitPerIndex=5)
    assert names(listed(asked, failed).release) == []
    assert names(listed(asked, failed, pod("b", "Running", 0)).release) == ["a"]
    assert listed(asked, failed, pod("b", "Running", 0)).status["uncountedTerminatedPods"] == {"failed": ["a"]}


def test_a_status_lists_only_so_many() -> None:
    pods = [pod(f"p{number}", "Succeeded") for number in range(accounting.MOST_LISTED + 7)]
    step = listed(job(1000), *pods)
    assert len(step.release) == accounting.MOST_LISTED
    assert step.is_full
