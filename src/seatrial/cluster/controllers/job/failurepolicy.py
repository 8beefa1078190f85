"""Job spec.podFailurePolicy: what a failed pod means for its Job. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

FAIL_JOB, FAIL_INDEX, IGNORE, COUNT = "FailJob", "FailIndex", "Ignore", "Count"


class Verdict(NamedTuple):
    action: str
    message: str = ""

    @property
    def counts(self) -> bool:
        """Towards backoffLimit and status.failed."""
        return self.action != IGNORE


DEFAULT = Verdict(COUNT)


def judge(job: Object, pod: Object) -> Verdict:
    """By the first rule that matches; a pod no rule matches counts."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or []
    for number, rule in enumerate(rules):
        match = _matched(rule, pod)
        if match:
            return Verdict(rule["action"], f"{match} matching {rule['action']} rule at index {number}")
    return DEFAULT


def _matched(rule: dict[str, Any], pod: Object) -> str:
    """What about the pod the rule matches; "" if it does not."""
    if rule.get("onExitCodes") is not None:
        return _exit_code(rule["onExitCodes"], pod)
    for condition in (pod.get("status") or {}).get("conditions") or []:
        for pattern in rule.get("onPodConditions") or []:
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                return f"Pod {_name(pod)} has condition {condition['type']}"
    return ""


def _exit_code(requirement: dict[str, Any], pod: Object) -> str:
    status = pod.get("status") or {}
    wanted, values = requirement.get("containerName"), requirement.get("values") or []
    is_in = requirement["operator"] == "In"
    for found in [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]:
        code = ((found.get("state") or {}).get("terminated") or {}).get("exitCode")
        if not code or (wanted and wanted != found["name"]):
            continue  # still running, or it did not fail
        if (code in values) == is_in:
            return f"Container {found['name']} for pod {_name(pod)} failed with exit code {code}"
    return ""


def _name(pod: Object) -> str:
    return f"{objects.namespace(pod)}/{objects.name(pod)}"
