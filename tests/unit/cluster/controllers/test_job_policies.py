"""podFailurePolicy and successPolicy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.cluster.controllers.job import failurepolicy, indexes, successpolicy
from seatrial.cluster.controllers.job.failurepolicy import DEFAULT, Verdict

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def job(*rules: dict[str, Any]) -> Object:
    return {"spec": {"podFailurePolicy": {"rules": list(rules)}}}


def exit_codes(action: str, operator: str, *values: int, name: str = "") -> dict[str, Any]:
    requirement: dict[str, Any] = {"operator": operator, "values": list(values)}
    return {"action": action, "onExitCodes": requirement | ({"containerName": name} if name else {})}


def on_condition(action: str, kind: str, status: str = "True") -> dict[str, Any]:
    return {"action": action, "onPodConditions": [{"type": kind, "status": status}]}


def pod(*codes: int | None, init: int | None = None, condition: str = "") -> Object:
    """One container per exit code (None: it still runs), called c0, c1 and so on."""

    def status(name: str, code: int | None) -> dict[str, Any]:
        return {"name": name, "state": {"running": {}} if code is None else {"terminated": {"exitCode": code}}}

    conditions = [{"type": condition, "status": "True"}] if condition else []
    return {
        "metadata": {"namespace": "ns", "name": "p"},
        "status": {
            "containerStatuses": [status(f"c{number}", code) for number, code in enumerate(codes)],
            "initContainerStatuses": [] if init is None else [status("setup", init)],
            "conditions": conditions,
        },
    }


def test_without_a_policy_a_failed_pod_counts() -> None:
    assert failurepolicy.judge({"spec": {}}, pod(1)) == DEFAULT
    assert DEFAULT.counts


@pytest.mark.parametrize(
    ("rule", "failed", "matches"),
    [
        (exit_codes("Ignore", "In", 3, 4), pod(3), True),
        (exit_codes("Ignore", "In", 3, 4), pod(5), False),
        (exit_codes("Ignore", "In", 3), pod(0, 3), True),
        (exit_codes("Ignore", "In", 3), pod(0, init=3), True),
        (exit_codes("Ignore", "In", 3, name="c1"), pod(3, 0), False),
        (exit_codes("Ignore", "In", 3, name="c1"), pod(0, 3), True),
        (exit_codes("Ignore", "NotIn", 3), pod(3), False),
        (exit_codes("Ignore", "NotIn", 3), pod(4), True),
        (exit_codes("Ignore", "NotIn", 3), pod(0), False),  # it did not fail
        (exit_codes("Ignore", "NotIn", 3), pod(None), False),  # it has no exit code yet
        (on_condition("Ignore", "DisruptionTarget"), pod(1, condition="DisruptionTarget"), True),
        (on_condition("Ignore", "DisruptionTarget", "False"), pod(1, condition="DisruptionTarget"), False),
        (on_condition("Ignore", "DisruptionTarget"), pod(1), False),
    ],
)
def test_what_a_rule_matches(rule: dict[str, Any], failed: Object, matches: bool) -> None:
    verdict = failurepolicy.judge(job(rule), failed)
    assert verdict.action == ("Ignore" if matches else "Count")
    assert verdict.counts is not matches


def test_the_first_matching_rule_decides() -> None:
    rules = job(exit_codes("Count", "In", 1), exit_codes("FailIndex", "In", 2), exit_codes("FailJob", "NotIn", 1))
    assert failurepolicy.judge(rules, pod(1)).action == "Count"
    assert failurepolicy.judge(rules, pod(2)).action == "FailIndex"
    assert failurepolicy.judge(rules, pod(3)) == Verdict(
        "FailJob", "Container c0 for pod ns/p failed with exit code 3 matching FailJob rule at index 2"
    )


def test_a_condition_is_named_in_the_message() -> None:
    verdict = failurepolicy.judge(job(on_condition("FailJob", "ConfigIssue")), pod(1, condition="ConfigIssue"))
    assert verdict.message == "Pod ns/p has condition ConfigIssue matching FailJob rule at index 0"


@pytest.mark.parametrize(
    ("rules", "completed", "met"),
    [
        ([{"succeededCount": 2}], "0", ""),
        ([{"succeededCount": 2}], "0,4", "Matched rules at index 0"),
        ([{"succeededIndexes": "0,2"}], "0,1,3", ""),
        ([{"succeededIndexes": "0,2"}], "0-2", "Matched rules at index 0"),
        ([{"succeededIndexes": "0-3", "succeededCount": 2}], "0,4-9", ""),
        ([{"succeededIndexes": "0-3", "succeededCount": 2}], "0,3", "Matched rules at index 0"),
        ([{"succeededIndexes": "9"}, {"succeededCount": 1}], "4", "Matched rules at index 1"),
        ([{"succeededIndexes": "nonsense"}], "0-9", ""),
        ([], "0-9", ""),
    ],
)
def test_success_policy(rules: list[dict[str, Any]], completed: str, met: str) -> None:
    job = {"spec": {"completions": 10, "successPolicy": {"rules": rules}}}
    assert successpolicy.met(job, indexes.parse(completed, 10)) == met
