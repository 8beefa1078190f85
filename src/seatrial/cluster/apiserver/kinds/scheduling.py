"""What steers scheduling and node agents: PriorityClass, RuntimeClass, Lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.kinds import checks, names, quantities
from seatrial.cluster.apiserver.kinds.podspec.placement import tolerations
from seatrial.cluster.apiserver.kinds.rules import Rules, dig, setdefaults
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def _default_priority(obj: Object) -> None:
    setdefaults(obj, preemptionPolicy="PreemptLowerPriority")


def _validate_priority(obj: Object) -> list[Cause]:
    name, value = objects.name(obj), obj.get("value") or 0
    causes = checks.one_of(obj.get("preemptionPolicy"), "preemptionPolicy", ("Never", "PreemptLowerPriority"))
    if name.startswith("system-"):
        if SYSTEM_PRIORITIES.get(name) != value:
            detail = "priority class names with 'system-' prefix are reserved for system use only"
            causes.append(forbidden_value("metadata.name", detail))
    elif value > HIGHEST_USER_PRIORITY:
        detail = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
        causes.append(forbidden_value("value", detail))
    return causes


def _priority_update(obj: Object, old: Object) -> list[Cause]:
    causes: list[Cause] = []
    if (obj.get("value") or 0) != (old.get("value") or 0):
        causes.append(forbidden_value("value", "may not be changed in an update."))
    new_policy, old_policy = obj.get("preemptionPolicy"), old.get("preemptionPolicy")
    return causes + checks.unchanged(new_policy, old_policy, "preemptionPolicy")


def _validate_runtime(obj: Object) -> list[Cause]:
    return [
        *checks.named(obj.get("handler"), "handler", names.label),
        *quantities.amounts(dig(obj, "overhead", "podFixed"), "overhead.podFixed"),
        *tolerations(dig(obj, "scheduling", "tolerations") or [], "scheduling.tolerations"),
    ]


def _runtime_update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(obj.get("handler"), old.get("handler"), "handler")


def _validate_lease(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = checks.positive(spec.get("leaseDurationSeconds"), "spec.leaseDurationSeconds")
    causes += checks.not_negative(spec.get("leaseTransitions"), "spec.leaseTransitions")
    if spec.get("strategy") is None and spec.get("preferredHolder"):
        detail = "may only be specified if `strategy` is defined"
        causes.append(forbidden_value("spec.preferredHolder", detail))
    if spec.get("strategy") == "":
        causes.append(invalid_value("spec.strategy", "", "must not be empty"))
    return causes


RULES = {
    "leases.coordination.k8s.io": Rules(validate=_validate_lease, create_on_update=True, unconditional_update=False),
    "priorityclasses.scheduling.k8s.io": Rules(
        default=_default_priority,
        validate=_validate_priority,
        validate_update=_priority_update,
        generation=True,
    ),
    "runtimeclasses.node.k8s.io": Rules(
        validate=_validate_runtime,
        validate_update=_runtime_update,
        create_on_update=True,
        unconditional_update=False,
    ),
}
