"""Rows of what governs: budgets, autoscalers, roles and bindings, priorities, certificates, admission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.tables.columns import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    Layout,
    age,
    boolean,
    count,
    dig,
    human_duration,
    integer,
    labels_text,
    text,
)
from seatrial.cluster.apiserver.tables.workloads import selector_text
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_MOST_METRICS = 2


def _budget(obj: Object, now: float) -> list[Any]:
    least, most = dig(obj, "spec", "minAvailable"), dig(obj, "spec", "maxUnavailable")
    return [
        objects.name(obj),
        "N/A" if least is None else str(least),
        "N/A" if most is None else str(most),
        count(obj, "status", "disruptionsAllowed"),
        age(obj, now),
    ]


def _autoscaler(obj: Object, now: float) -> list[Any]:
    reference = dig(obj, "spec", "scaleTargetRef") or {}
    least = dig(obj, "spec", "minReplicas")
    return [
        objects.name(obj),
        f"{reference.get('kind')}/{reference.get('name')}",
        _targets(dig(obj, "spec", "metrics") or [], dig(obj, "status", "currentMetrics") or []),
        UNSET if least is None else str(least),
        count(obj, "spec", "maxReplicas"),
        count(obj, "status", "currentReplicas"),
        age(obj, now),
    ]


def _targets(metrics: list[dict[str, Any]], statuses: list[dict[str, Any]]) -> str:
    if not metrics:
        return NONE
    shown = [_metric(metric, statuses[index] if index < len(statuses) else {}) for index, metric in enumerate(metrics)]
    listed = ", ".join(shown[:_MOST_METRICS])
    more = len(shown) - _MOST_METRICS
    return f"{listed} + {more} more..." if more > 0 else listed


def _metric(metric: dict[str, Any], status: dict[str, Any]) -> str:
    kind = metric.get("type") or ""
    field = kind[:1].lower() + kind[1:]
    source = metric.get(field) or {}
    target, current = source.get("target") or {}, dig(status, field, "current") or {}
    match kind:
        case "Resource" | "ContainerResource":
            return f"{source.get('name')}: {_resource_metric(target, current)}"
        case "Pods":
            return f"{current.get('averageValue') or UNKNOWN}/{target.get('averageValue')}"
        case "Object" | "External":
            if target.get("averageValue") is not None:
                return f"{current.get('averageValue') or UNKNOWN}/{target['averageValue']} (avg)"
            return f"{current.get('value') or UNKNOWN}/{target.get('value')}"
    return "<unknown type>"


def _resource_metric(target: dict[str, Any], current: dict[str, Any]) -> str:
    if target.get("averageValue") is not None:
        return f"{current.get('averageValue') or UNKNOWN}/{target['averageValue']}"
    used, wanted = current.get("averageUtilization"), target.get("averageUtilization")
    return f"{_percent(used, UNKNOWN)}/{_percent(wanted, '<auto>')}"


def _percent(value: Any, missing: str) -> str:
    return missing if value is None else f"{value}%"


def _old_autoscaler(obj: Object, now: float) -> list[Any]:
    """The v1 shape knows one target, the processor's."""
    wanted = dig(obj, "spec", "targetCPUUtilizationPercentage")
    used = dig(obj, "status", "currentCPUUtilizationPercentage")
    cells = _autoscaler(obj, now)
    if wanted is not None:
        cells[2] = f"cpu: {_percent(used, UNKNOWN)}/{_percent(wanted, '<auto>')}"
    return cells


def autoscaler_cells(obj: Object, now: float) -> list[Any]:
    old = obj.get("apiVersion") == "autoscaling/v1"
    return _old_autoscaler(obj, now) if old else _autoscaler(obj, now)


def _binding(obj: Object, now: float) -> list[Any]:
    reference = obj.get("roleRef") or {}
    subjects = obj.get("subjects") or []
    return [
        objects.name(obj),
        f"{reference.get('kind')}/{reference.get('name')}",
        age(obj, now),
        _subjects(subjects, "User"),
        _subjects(subjects, "Group"),
        ", ".join(
            f"{subject.get('namespace') or ''}/{subject.get('name')}"
            for subject in subjects
            if subject.get("kind") == "ServiceAccount"
        ),
    ]


def _subjects(subjects: list[dict[str, Any]], kind: str) -> str:
    return ", ".join(subject.get("name") or "" for subject in subjects if subject.get("kind") == kind)


def _priority(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        obj.get("value") or 0,
        bool(obj.get("globalDefault")),
        age(obj, now),
        obj.get("preemptionPolicy") or "",
    ]


def _runtime(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), obj.get("handler") or "", age(obj, now)]


def _signing_request(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    return [
        objects.name(obj),
        age(obj, now),
        spec.get("signerName") or NONE,
        spec.get("username") or "",
        NONE if seconds is None else human_duration(seconds),
        _signing_state(obj),
    ]


def _signing_state(obj: Object) -> str:
    found = [condition.get("type") for condition in dig(obj, "status", "conditions") or []]
    state = "Denied" if "Denied" in found else "Approved" if "Approved" in found else "Pending"
    if "Failed" in found:
        state += ",Failed"
    return f"{state},Issued" if dig(obj, "status", "certificate") else state


def _pod_certificate(obj: Object, _now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    found = [condition.get("type") for condition in dig(obj, "status", "conditions") or []]
    ended = [state for state in found if state in ("Issued", "Denied", "Failed")]
    return [
        objects.name(obj),
        *(spec.get(key) or "" for key in ("podName", "serviceAccountName", "nodeName", "signerName")),
        ended[-1] if ended else "Pending",
        labels_text(spec.get("unverifiedUserAnnotations")),
    ]


def _trust_bundle(obj: Object, _now: float) -> list[Any]:
    return [objects.name(obj), dig(obj, "spec", "signerName") or NONE]


def _webhooks(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), len(obj.get("webhooks") or []), age(obj, now)]


def _validating_policy(obj: Object, now: float) -> list[Any]:
    return _policy(obj, "validations", now)


def _mutating_policy(obj: Object, now: float) -> list[Any]:
    return _policy(obj, "mutations", now)


def _policy(obj: Object, rules: str, now: float) -> list[Any]:
    kind = dig(obj, "spec", "paramKind")
    shown = f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else UNSET
    return [objects.name(obj), len(dig(obj, "spec", rules) or []), shown, age(obj, now)]


def _policy_binding(obj: Object, now: float) -> list[Any]:
    reference = dig(obj, "spec", "paramRef")
    shown = UNSET
    if reference and reference.get("name"):
        shown = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif reference and reference.get("selector") is not None:
        shown = selector_text(reference["selector"])
    return [objects.name(obj), dig(obj, "spec", "policyName") or "", shown, age(obj, now)]


_BINDING = (
    NAME,
    text("Role", "The role it gives."),
    AGE,
    text("Users", "Users it gives it to.", 1),
    text("Groups", "Groups it gives it to.", 1),
    text("ServiceAccounts", "Service accounts it gives it to.", 1),
)
_WEBHOOK = (NAME, integer("Webhooks", "Number of webhooks."), AGE)
_POLICY_BINDING = (
    NAME,
    text("PolicyName", "The policy it applies."),
    text("ParamRef", "Where the policy has its parameters."),
    AGE,
)
_PARAM_KIND = text("ParamKind", "Kind of the policy's parameters.")

LAYOUTS = {
    f"clusterrolebindings.{_RBAC}": Layout(_BINDING, _binding),
    f"rolebindings.{_RBAC}": Layout(_BINDING, _binding),
    "certificatesigningrequests.certificates.k8s.io": Layout(
        (
            NAME,
            AGE,
            text("SignerName", "Who is to sign."),
            text("Requestor", "Who asks."),
            text("RequestedDuration", "How long the certificate is to be valid."),
            text("Condition", "Where the request stands."),
        ),
        _signing_request,
    ),
    "podcertificaterequests.certificates.k8s.io": Layout(
        (
            NAME,
            text("PodName", "The pod the certificate is for."),
            text("ServiceAccountName", "Account of the pod."),
            text("NodeName", "Node of the pod."),
            text("SignerName", "Who is to sign."),
            text("State", "Where the request stands."),
            text("UnverifiedUserAnnotations", "What the pod adds for the signer."),
        ),
        _pod_certificate,
    ),
    "clustertrustbundles.certificates.k8s.io": Layout(
        (NAME, text("SignerName", "The signer it belongs to.")), _trust_bundle
    ),
    "horizontalpodautoscalers.autoscaling": Layout(
        (
            NAME,
            text("Reference", "What it scales."),
            text("Targets", "Each metric as it is, and as it should be."),
            text("MinPods", "Fewest pods."),
            text("MaxPods", "Most pods."),
            text("Replicas", "Pods there are."),
            AGE,
        ),
        autoscaler_cells,
    ),
    f"mutatingadmissionpolicies.{_ADMISSION}": Layout(
        (NAME, integer("Mutations", "Number of mutations."), _PARAM_KIND, AGE), _mutating_policy
    ),
    f"mutatingadmissionpolicybindings.{_ADMISSION}": Layout(_POLICY_BINDING, _policy_binding),
    f"mutatingwebhookconfigurations.{_ADMISSION}": Layout(_WEBHOOK, _webhooks),
    "poddisruptionbudgets.policy": Layout(
        (
            NAME,
            text("Min Available", "Fewest pods that must stay."),
            text("Max Unavailable", "Most pods that may go."),
            integer("Allowed Disruptions", "Pods that may go now."),
            AGE,
        ),
        _budget,
    ),
    "priorityclasses.scheduling.k8s.io": Layout(
        (
            NAME,
            integer("Value", "The priority; higher goes first."),
            boolean("Global-Default", "Whether pods that name no class get it."),
            AGE,
            text("PreemptionPolicy", "Whether it may push others out."),
        ),
        _priority,
    ),
    "runtimeclasses.node.k8s.io": Layout((NAME, text("Handler", "The runtime that runs it."), AGE), _runtime),
    f"validatingadmissionpolicies.{_ADMISSION}": Layout(
        (NAME, integer("Validations", "Number of validations."), _PARAM_KIND, AGE), _validating_policy
    ),
    f"validatingadmissionpolicybindings.{_ADMISSION}": Layout(_POLICY_BINDING, _policy_binding),
    f"validatingwebhookconfigurations.{_ADMISSION}": Layout(_WEBHOOK, _webhooks),
}
