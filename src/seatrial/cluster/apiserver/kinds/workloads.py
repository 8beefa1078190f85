"""The apps group: Deployment, ReplicaSet, StatefulSet, DaemonSet, ControllerRevision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, podspec
from seatrial.cluster.apiserver.kinds.podspec.defaults import default_template
from seatrial.cluster.apiserver.kinds.rules import Rules, number, setdefaults, struct
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required, unsupported_value

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

HISTORY = 10
PROGRESS_DEADLINE = 600
_ROLLING, _RECREATE, _ON_DELETE = "RollingUpdate", "Recreate", "OnDelete"
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_EMPTY_SELECTOR = "empty selector is invalid for {kind}"

_STATEFUL_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def _default_deployment(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, replicas=1, revisionHistoryLimit=HISTORY, progressDeadlineSeconds=PROGRESS_DEADLINE)
    strategy = struct(spec, "strategy")
    strategy["type"] = strategy.get("type") or _ROLLING
    if strategy["type"] == _ROLLING:
        setdefaults(struct(strategy, "rollingUpdate"), maxUnavailable="25%", maxSurge="25%")
    default_template(struct(spec, "template"))


def _default_replica_set(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, replicas=1)
    default_template(struct(spec, "template"))


def _default_stateful_set(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, replicas=1, revisionHistoryLimit=HISTORY, podManagementPolicy="OrderedReady")
    strategy = struct(spec, "updateStrategy")
    if not strategy.get("type"):
        strategy["type"] = _ROLLING
        setdefaults(strategy, rollingUpdate={})
    if strategy["type"] == _ROLLING and strategy.get("rollingUpdate") is not None:
        setdefaults(strategy["rollingUpdate"], partition=0, maxUnavailable=1)
    retention = struct(spec, "persistentVolumeClaimRetentionPolicy")
    setdefaults(retention, whenDeleted="Retain", whenScaled="Retain")
    for claim in spec.get("volumeClaimTemplates") or []:
        setdefaults(claim, apiVersion="v1", kind="PersistentVolumeClaim")
        setdefaults(struct(claim, "spec"), volumeMode="Filesystem")
        setdefaults(struct(claim, "status"), phase="Pending")
    default_template(struct(spec, "template"))


def _count_template(obj: Object, old: Object | None) -> None:
    """The number of templates a DaemonSet has had: a remnant that Kubernetes still writes on every one."""
    before = objects.annotations(old or {}).get(_TEMPLATE_GENERATION) or "0"
    is_same = old is not None and obj["spec"].get("template") == old["spec"].get("template")
    count = before if is_same else str(int(before) + 1 if before.isdigit() else 1)
    _annotate(obj, count)


def _annotate(obj: Object, count: str) -> None:
    struct(obj, "metadata")["annotations"] = {**objects.annotations(obj), _TEMPLATE_GENERATION: count}


def _default_daemon_set(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, revisionHistoryLimit=HISTORY)
    strategy = struct(spec, "updateStrategy")
    strategy["type"] = strategy.get("type") or _ROLLING
    if strategy["type"] == _ROLLING:
        setdefaults(struct(strategy, "rollingUpdate"), maxUnavailable=1, maxSurge=0)
    default_template(struct(spec, "template"))
    if _TEMPLATE_GENERATION not in objects.annotations(obj):
        _annotate(obj, "0")


def selector_and_template(spec: dict[str, Any], kind: str) -> list[Cause]:
    """The selector must be there and pick what the template makes, or the controller makes pods for ever."""
    selector, template = spec.get("selector"), spec.get("template") or {}
    causes: list[Cause] = []
    labels = (template.get("metadata") or {}).get("labels")
    mismatch = invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if selector is None:
        causes += [required("spec.selector"), mismatch]
    elif checks.is_empty_selector(selector):
        detail = _EMPTY_SELECTOR.format(kind=kind)
        causes.append(invalid_value("spec.selector", selector, detail))
    else:
        complaints = checks.selector(selector, "spec.selector")
        if not complaints and not checks.selects(selector, labels or {}):
            causes.append(mismatch)
        causes += complaints
    return causes + _template(template)


def _template(template: dict[str, Any]) -> list[Cause]:
    field = "spec.template"
    causes = podspec.validate_template(template, field)
    spec = template.get("spec") or {}
    policy = spec.get("restartPolicy")
    if policy and policy != "Always" and policy in podspec.RESTART_POLICIES:
        causes.append(unsupported_value(f"{field}.spec.restartPolicy", policy, ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
        causes.append(forbidden_value(f"{field}.spec.activeDeadlineSeconds", detail))
    return causes


def _counts(spec: dict[str, Any], *fields: str) -> list[Cause]:
    return [cause for field in fields for cause in checks.not_negative(spec.get(field), f"spec.{field}")]


def _validate_deployment(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes = _counts(spec, "replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    causes += selector_and_template(spec, "deployment")
    causes += _deployment_strategy(spec.get("strategy") or {})
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds") or 0
    if deadline is not None and deadline <= ready:
        detail = "must be greater than minReadySeconds"
        causes.append(invalid_value("spec.progressDeadlineSeconds", deadline, detail))
    return causes


def _deployment_strategy(strategy: dict[str, Any]) -> list[Cause]:
    field = "spec.strategy"
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == _RECREATE:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        return [] if rolling is None else [forbidden_value(f"{field}.rollingUpdate", detail)]
    if kind != _ROLLING:
        return checks.one_of(kind, f"{field}.type", (_RECREATE, _ROLLING))
    return _rolling_update(rolling or {}, f"{field}.rollingUpdate")


def _rolling_update(rolling: dict[str, Any], field: str) -> list[Cause]:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    causes = checks.int_or_percent(unavailable, f"{field}.maxUnavailable")
    causes += checks.int_or_percent(surge, f"{field}.maxSurge")
    if not causes and _is_zero(unavailable) and _is_zero(surge):
        detail = "may not be 0 when `maxSurge` is 0"
        causes.append(invalid_value(f"{field}.maxUnavailable", unavailable, detail))
    share = checks.percent(unavailable)
    if share is not None and share > 100:
        causes.append(invalid_value(f"{field}.maxUnavailable", unavailable, "must not be greater than 100%"))
    return causes


def _is_zero(value: Any) -> bool:
    return value in (None, 0) or checks.percent(value) == 0


def _validate_replica_set(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    return _counts(spec, "replicas", "minReadySeconds") + selector_and_template(spec, "deployment")


def _validate_stateful_set(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes = _counts(spec, "replicas", "minReadySeconds", "revisionHistoryLimit")
    causes += selector_and_template(_with_claims(spec), "statefulset")
    management = spec.get("podManagementPolicy")
    if management not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        causes.append(invalid_value("spec.podManagementPolicy", management, detail))
    causes += _stateful_strategy(spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for key in ("whenDeleted", "whenScaled"):
        place = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
        causes += checks.optional_one_of(retention.get(key), place, ("Delete", "Retain"))
    start = (spec.get("ordinals") or {}).get("start")
    return causes + checks.not_negative(start, "spec.ordinals.start")


def _with_claims(spec: dict[str, Any]) -> dict[str, Any]:
    """A mount may name a claim template as if it were a volume of the pod."""
    claims = spec.get("volumeClaimTemplates") or []
    if not claims:
        return spec
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    own = {volume.get("name") for volume in pod.get("volumes") or []}
    names = [name for claim in claims if (name := (claim.get("metadata") or {}).get("name")) not in own]
    volumes = [
        *(pod.get("volumes") or []),
        *({"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names),
    ]
    return {**spec, "template": {**template, "spec": {**pod, "volumes": volumes}}}


def _stateful_strategy(strategy: dict[str, Any]) -> list[Cause]:
    field = "spec.updateStrategy"
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == _ON_DELETE:
        detail = "only allowed for updateStrategy 'RollingUpdate'"
        return [] if rolling is None else [invalid_value(f"{field}.rollingUpdate", rolling, detail)]
    if kind != _ROLLING:
        detail = f"must be '{_ROLLING}' or '{_ON_DELETE}'"
        return [invalid_value(f"{field}.type", kind, detail) if kind else required(f"{field}.type")]
    rolling = rolling or {}
    causes = checks.not_negative(rolling.get("partition"), f"{field}.rollingUpdate.partition")
    unavailable = rolling.get("maxUnavailable")
    causes += checks.int_or_percent(unavailable, f"{field}.rollingUpdate.maxUnavailable")
    if unavailable is not None and _is_zero(unavailable):
        place = f"{field}.rollingUpdate.maxUnavailable"
        causes.append(invalid_value(place, unavailable, "cannot be 0"))
    return causes


def _validate_daemon_set(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes = _counts(spec, "minReadySeconds", "revisionHistoryLimit")
    causes += selector_and_template(spec, "daemonset")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == _ON_DELETE:
        return causes
    if strategy.get("type") != _ROLLING:
        return causes + checks.one_of(strategy.get("type"), "spec.updateStrategy.type", (_ON_DELETE, _ROLLING))
    return causes + _daemon_rolling(strategy.get("rollingUpdate") or {})


def _daemon_rolling(rolling: dict[str, Any]) -> list[Cause]:
    """A node either surges or goes without for a moment; exactly one of the two must be possible."""
    field = "spec.updateStrategy.rollingUpdate"
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    causes = checks.int_or_percent(unavailable, f"{field}.maxUnavailable")
    causes += checks.int_or_percent(surge, f"{field}.maxSurge")
    if causes:
        return causes
    if not _is_zero(unavailable) and not _is_zero(surge):
        detail = "may not be set when maxUnavailable is non-zero"
        return [invalid_value(f"{field}.maxSurge", surge, detail)]
    if _is_zero(unavailable) and _is_zero(surge):
        return [required(f"{field}.maxUnavailable", "cannot be 0 when maxSurge is 0")]
    return []


def _selector_fixed(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(obj["spec"].get("selector"), old["spec"].get("selector"), "spec.selector")


def _stateful_update(obj: Object, old: Object) -> list[Cause]:
    service, old_service = (found["spec"].get("serviceName") for found in (obj, old))
    if not checks.same(service, old_service):
        return checks.unchanged(service, old_service, "spec.serviceName")
    fixed, old_fixed = (
        {key: value for key, value in found["spec"].items() if key not in _STATEFUL_MUTABLE} for found in (obj, old)
    )
    if checks.same(_without_claim_status(fixed), _without_claim_status(old_fixed)):
        return []
    listed = ", ".join(f"'{field}'" for field in _STATEFUL_MUTABLE[:-1]) + f" and '{_STATEFUL_MUTABLE[-1]}'"
    detail = f"updates to statefulset spec for fields other than {listed} are forbidden"
    return [forbidden_value("spec", detail)]


def _without_claim_status(spec: dict[str, Any]) -> dict[str, Any]:
    claims = spec.get("volumeClaimTemplates")
    if not claims:
        return spec
    plain = [{key: value for key, value in claim.items() if key != "status"} for claim in claims]
    return {**spec, "volumeClaimTemplates": plain}


def _deployment_status(obj: Object, old: Object) -> None:
    """Controllers of old wrote labels along with the status; the API keeps them from doing it."""
    meta, labels = obj["metadata"], (old.get("metadata") or {}).get("labels")
    meta.pop("labels", None)
    if labels:
        meta["labels"] = labels


def _validate_revision(obj: Object) -> list[Cause]:
    causes = checks.not_negative(obj.get("revision"), "revision")
    return causes if obj.get("data") is not None else [*causes, required("data", "data is mandatory")]


def _revision_update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(obj.get("data"), old.get("data"), "data")


RULES = {
    "controllerrevisions.apps": Rules(validate=_validate_revision, validate_update=_revision_update),
    "daemonsets.apps": Rules(
        default=_default_daemon_set,
        create=lambda obj: _count_template(obj, None),
        update=_count_template,
        validate=_validate_daemon_set,
        validate_update=_selector_fixed,
        generation=True,
        empty_status={
            "currentNumberScheduled": 0,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 0,
            "numberReady": 0,
        },
    ),
    "deployments.apps": Rules(
        default=_default_deployment,
        update_status=_deployment_status,
        validate=_validate_deployment,
        validate_update=_selector_fixed,
        generation=True,
    ),
    "replicasets.apps": Rules(
        default=_default_replica_set,
        validate=_validate_replica_set,
        validate_update=_selector_fixed,
        fields={"status.replicas": number("status", "replicas")},
        generation=True,
        empty_status={"replicas": 0},
    ),
    "statefulsets.apps": Rules(
        default=_default_stateful_set,
        validate=_validate_stateful_set,
        validate_update=_stateful_update,
        generation=True,
        empty_status={"replicas": 0, "availableReplicas": 0},
    ),
}
