"""When an application is synced unasked (2.5), and what is better than Argo CD's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from seatrial.base.clock import rfc3339
from seatrial.gitops.api.application import Automated
from seatrial.gitops.sync import results
from seatrial.gitops.sync.decide import Decision, Found, Situation, decide
from seatrial.gitops.sync.fights import Fight
from seatrial.kube.model.objects import Object, Ref

NOW = 1_800_000_000.0
SOURCE = {"repoURL": "https://example.com/r.git", "path": "a"}
A, B = Ref("", "ConfigMap", "default", "a"), Ref("", "ConfigMap", "default", "b")
HEAL = Automated(prune=False, self_heal=True, allow_empty=False)
PLAIN = Automated(prune=False, self_heal=False, allow_empty=False)
PRUNE = Automated(prune=True, self_heal=True, allow_empty=False)


def last(phase: str = "Succeeded", revision: str = "r1", ago: float = 100.0, **more: Any) -> Object:
    operation: Object = {"sync": {"autoHealAttemptsCount": more.get("attempts", 0)}, "info": []}
    if "failure" in more:
        operation["info"] = [{"name": results.INFO_FAILURE, "value": more["failure"]}]
    return {
        "operation": operation,
        "phase": phase,
        "message": "it broke",
        "syncResult": {"revision": revision, "source": more.get("source", SOURCE)},
        "startedAt": rfc3339(NOW - ago - 1),
        "finishedAt": rfc3339(NOW - ago),
    }


def situation(**fields: Any) -> Situation:
    made = Situation(
        automated=PLAIN, status="OutOfSync", revisions=("r1",), sources=SOURCE,
        resources=[Found(A, "OutOfSync"), Found(B, "Synced")], now=NOW,
    )  # fmt: skip
    return replace(made, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"automated": None},
        {"operation_pending": True},
        {"deleting": True},
        {"status": "Synced"},
        {"status": "Unknown"},
        {"last": last("Running")},
        {"resources": [Found(A, "OutOfSync", requires_pruning=True), Found(B, "Synced")]},
        {"skipped": ("r1",)},
        {"last": last()},
    ],
    ids=["off", "busy", "deleting", "synced", "unknown", "running", "only extras", "rolled back", "done, no selfHeal"],
)
def test_nothing_is_begun(fields: dict[str, Any]) -> None:
    assert decide(situation(**fields)).operation is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"last": last(revision="r0")},
        {"last": last(source={"repoURL": "other"})},
        {"last": last("Failed", revision="r0")},
        {"skipped": ("r0",)},
        {"automated": HEAL, "last": last()},
    ],
    ids=["never synced", "new revision", "new source", "fixed", "pin is over", "drift"],
)
def test_a_sync_is_begun(fields: dict[str, Any]) -> None:
    operation = decide(situation(**fields)).operation
    assert operation is not None
    assert operation["initiatedBy"] == {"automated": True}
    assert operation["sync"]["revision"] == "r1"


def test_a_commit_that_touched_nothing_of_ours_is_no_new_revision() -> None:
    assert decide(situation(last=last(revision="r0"), inputs_changed=False)).operation is None


def test_a_state_without_a_result_counts_as_attempted() -> None:
    assert decide(situation(last={"phase": "Succeeded"})).operation is None


def test_self_heal_names_what_differs_and_counts_its_attempts() -> None:
    decision = decide(situation(automated=HEAL, last=last(attempts=2, ago=5)))
    assert decision.operation is not None
    assert decision.operation["sync"]["resources"] == [{"kind": "ConfigMap", "name": "a", "namespace": "default"}]
    assert decision.operation["sync"]["autoHealAttemptsCount"] == 3
    assert decision.healing == (A,)


@pytest.mark.parametrize(("attempts", "delay"), [(0, 1.0), (1, 2.0), (4, 16.0), (20, 300.0)])
def test_the_delay_of_self_heal_grows(attempts: int, delay: float) -> None:
    decision = decide(situation(automated=HEAL, last=last(attempts=attempts, ago=0)))
    assert (decision.operation, decision.after) == (None, delay)
    decision = decide(situation(automated=HEAL, last=last(attempts=attempts, ago=delay)))
    assert decision.operation is not None


@pytest.mark.parametrize(("attempts", "calm"), [(1, 15.0), (4, 43.0), (20, 611.0)])
def test_the_delay_of_self_heal_starts_small_again_after_a_calm(attempts: int, calm: float) -> None:
    decision = decide(situation(automated=HEAL, last=last(attempts=attempts, ago=calm)))
    assert decision.operation is not None
    assert decision.operation["sync"]["autoHealAttemptsCount"] == 1


def test_a_failure_that_would_come_again_is_said_and_not_repeated() -> None:
    decision = decide(situation(automated=HEAL, last=last("Failed", failure=results.TERMINAL)))
    assert (decision.operation, decision.after) == (None, None)
    assert decision.condition.startswith("Failed last sync attempt to r1: it broke")


@pytest.mark.parametrize("automated", [PLAIN, HEAL])
def test_a_failure_that_may_pass_is_retried_for_ever(automated: Automated) -> None:
    for attempts in (0, 5, 500):
        failed = last("Failed", failure=results.RETRYABLE, attempts=attempts, ago=181)
        decision = decide(situation(automated=automated, last=failed))
        assert decision.operation is not None
        assert decision.operation["sync"]["autoHealAttemptsCount"] == attempts + 1
        assert "resources" not in decision.operation["sync"]


def test_a_retry_after_a_failure_waits_its_time() -> None:
    decision = decide(situation(last=last("Failed", failure=results.RETRYABLE, attempts=2, ago=5)))
    assert decision.after == 15.0
    assert decision.condition


def test_an_empty_repository_does_not_wipe_everything_out() -> None:
    extras = [Found(A, "OutOfSync", requires_pruning=True), Found(B, "OutOfSync", requires_pruning=True)]
    decision = decide(situation(automated=PRUNE, resources=extras))
    assert decision.operation is None
    assert "wipe out all resources" in decision.condition
    allowed = replace(PRUNE, allow_empty=True)
    assert decide(situation(automated=allowed, resources=extras)).operation is not None


def fight(until: float = NOW + 50) -> Fight:
    return Fight(A, "spec.replicas", "autoscaler", 5, until)


def test_a_fight_is_explained_and_left_alone() -> None:
    decision = decide(situation(automated=HEAL, last=last(), fights=[fight()]))
    assert (decision.operation, decision.after) == (None, 50.0)
    assert 'spec.replicas was repaired 5 times and "autoscaler" set it back' in decision.condition


def test_what_is_not_fought_over_is_still_repaired() -> None:
    drifted = [Found(A, "OutOfSync"), Found(B, "OutOfSync")]
    decision: Decision = decide(situation(automated=HEAL, last=last(), resources=drifted, fights=[fight()]))
    assert decision.healing == (B,)
    assert decision.condition
