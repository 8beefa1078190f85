"""The admissionregistration group: stored and shown, with defaults; nothing here is enforced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds.rules import Rules, dig, setdefaults, struct

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_GROUP = "admissionregistration.k8s.io"
_WEBHOOK_PORT = 443


def _default_webhooks(obj: Object) -> None:
    for webhook in obj.get("webhooks") or []:
        setdefaults(webhook, failurePolicy="Fail", timeoutSeconds=10)
        _default_match(webhook)
        service = dig(webhook, "clientConfig", "service")
        if service:
            setdefaults(service, port=_WEBHOOK_PORT)
        for rule in webhook.get("rules") or []:
            setdefaults(rule, scope="*")


def _default_mutating(obj: Object) -> None:
    _default_webhooks(obj)
    for webhook in obj.get("webhooks") or []:
        setdefaults(webhook, reinvocationPolicy="Never")


def _default_match(holder: dict[str, Any]) -> None:
    setdefaults(holder, matchPolicy="Equivalent", namespaceSelector={}, objectSelector={})


def _default_policy(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, failurePolicy="Fail")
    _default_constraints(spec.get("matchConstraints"))


def _default_binding(obj: Object) -> None:
    _default_constraints(dig(obj, "spec", "matchResources"))


def _default_constraints(constraints: dict[str, Any] | None) -> None:
    if constraints is None:
        return
    _default_match(constraints)
    for key in ("resourceRules", "excludeResourceRules"):
        for rule in constraints.get(key) or []:
            setdefaults(rule, scope="*")


def _policies(default: Any) -> Rules:
    return Rules(default=default, generation=True, unconditional_update=False)


RULES = {
    f"mutatingadmissionpolicies.{_GROUP}": _policies(_default_policy),
    f"mutatingadmissionpolicybindings.{_GROUP}": _policies(_default_binding),
    f"mutatingwebhookconfigurations.{_GROUP}": _policies(_default_mutating),
    f"validatingadmissionpolicies.{_GROUP}": _policies(_default_policy),
    f"validatingadmissionpolicybindings.{_GROUP}": _policies(_default_binding),
    f"validatingwebhookconfigurations.{_GROUP}": _policies(_default_webhooks),
}
