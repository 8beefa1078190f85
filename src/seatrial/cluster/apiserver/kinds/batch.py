"""The batch group: Job and CronJob."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, names, podspec, schedules
from seatrial.cluster.apiserver.kinds.podspec.defaults import default_template
from seatrial.cluster.apiserver.kinds.rules import Rules, number, setdefaults, struct
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, invalid_value, required, unsupported_value

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

UID_LABEL = "batch.kubernetes.io/controller-uid"
NAME_LABEL = "batch.kubernetes.io/job-name"
_OLD_UID_LABEL, _OLD_NAME_LABEL = "controller-uid", "job-name"
_UNLIMITED = 2**31 - 1
_INDEXED = "Indexed"
_MOST_INDEXED = 100_000
_CRON_NAME_LENGTH = 52
"""A CronJob's Jobs append eleven characters, and their pods' names must still be labels."""

_FIXED = (
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
)
_SCHEDULING_DIRECTIVES = ("nodeSelector", "affinity", "tolerations", "schedulingGates")


def _default_job(obj: Object) -> None:
    spec = struct(obj, "spec")
    _default_job_spec(spec)
    _default_labels(obj, spec)


def _default_labels(obj: Object, spec: dict[str, Any]) -> None:
    labels = (spec["template"].get("metadata") or {}).get("labels")
    meta = struct(obj, "metadata")
    if labels and not meta.get("labels"):
        meta["labels"] = dict(labels)


def _default_job_spec(spec: dict[str, Any]) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    setdefaults(
        spec,
        parallelism=1,
        backoffLimit=6 if spec.get("backoffLimitPerIndex") is None else _UNLIMITED,
        completionMode="NonIndexed",
        suspend=False,
        podReplacementPolicy="Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed",
        manualSelector=False,
    )
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or []:
        for pattern in rule.get("onPodConditions") or []:
            setdefaults(pattern, status="True")
    default_template(struct(spec, "template"))


def _default_cron_job(obj: Object) -> None:
    """The Job it describes gets its own defaults when it is made; only its pod template is filled here."""
    spec = struct(obj, "spec")
    setdefaults(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    default_template(struct(struct(struct(spec, "jobTemplate"), "spec"), "template"))


def _create_job(obj: Object) -> None:
    """Without a selector of its own, a Job finds its pods by its uid, which nothing else can have."""
    spec = obj["spec"]
    if spec.get("manualSelector"):
        return
    uid, name = objects.uid(obj), objects.name(obj)
    labels = struct(struct(spec["template"], "metadata"), "labels")
    setdefaults(labels, **{_OLD_NAME_LABEL: name, NAME_LABEL: name, _OLD_UID_LABEL: uid, UID_LABEL: uid})
    setdefaults(struct(struct(spec, "selector"), "matchLabels"), **{UID_LABEL: uid})
    _default_labels(obj, spec)


def _validate_job(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes = _job_spec(spec, "spec")
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if selector is None:
        causes.append(required("spec.selector"))
    else:
        causes += checks.selector(selector, "spec.selector")
        if not checks.selects(selector, labels):
            detail = "`selector` does not match template `labels`"
            causes.append(invalid_value("spec.template.metadata.labels", labels, detail))
    return causes + _generated(obj, labels)


def _generated(obj: Object, labels: dict[str, str]) -> list[Cause]:
    if obj["spec"].get("manualSelector"):
        return []
    uid, name = objects.uid(obj), objects.name(obj)
    expected = {UID_LABEL: uid, _OLD_UID_LABEL: uid, NAME_LABEL: name, _OLD_NAME_LABEL: name}
    field = "spec.template.metadata.labels"
    return [
        required(f"{field}[{key}]", f"must be '{value}'")
        if not labels.get(key)
        else invalid_value(f"{field}[{key}]", labels[key], f"must be '{value}'")
        for key, value in expected.items()
        if value and labels.get(key) != value
    ]


def _job_spec(spec: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for key in (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ):
        causes += checks.not_negative(spec.get(key), f"{field}.{key}")
    causes += _completion(spec, field)
    causes += podspec.validate_template(spec.get("template") or {}, f"{field}.template")
    return causes + _restart_policy(spec, f"{field}.template.spec.restartPolicy")


def _completion(spec: dict[str, Any], field: str) -> list[Cause]:
    mode = spec.get("completionMode") or "NonIndexed"
    causes = checks.one_of(mode, f"{field}.completionMode", (_INDEXED, "NonIndexed"))
    causes += checks.optional_one_of(
        spec.get("podReplacementPolicy"), f"{field}.podReplacementPolicy", ("Failed", "TerminatingOrFailed")
    )
    if mode == _INDEXED:
        return causes + _indexed(spec, field)
    return causes + [
        invalid_value(f"{field}.{key}", spec[key], "requires indexed completion mode")
        for key in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy")
        if spec.get(key) is not None
    ]


def _indexed(spec: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    if spec.get("completions") is None:
        causes.append(required(f"{field}.completions", f"when completion mode is {_INDEXED}"))
    parallelism = spec.get("parallelism") or 0
    if parallelism > _MOST_INDEXED:
        detail = f"must be less than or equal to {_MOST_INDEXED} when completion mode is {_INDEXED}"
        causes.append(invalid_value(f"{field}.parallelism", parallelism, detail))
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        causes.append(required(f"{field}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    return causes


def _restart_policy(spec: dict[str, Any], field: str) -> list[Cause]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy in (None, "", "Always"):
        return [required(field, 'valid values: "OnFailure", "Never"')]
    if policy not in ("Never", "OnFailure"):
        return [unsupported_value(field, policy, ("Never", "OnFailure"))]
    if spec.get("podFailurePolicy") and policy != "Never":
        return [invalid_value(field, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def _job_update(obj: Object, old: Object) -> list[Cause]:
    spec, old_spec = obj["spec"], old["spec"]
    causes: list[Cause] = []
    if not _resized(spec, old_spec):
        causes += checks.unchanged(spec.get("completions"), old_spec.get("completions"), "spec.completions")
    causes += checks.unchanged(spec.get("selector"), old_spec.get("selector"), "spec.selector")
    template, old_template = spec.get("template"), old_spec.get("template")
    if old_spec.get("suspend") and not (old.get("status") or {}).get("startTime"):
        template, old_template = _without_directives(template), _without_directives(old_template)
    causes += checks.unchanged(template, old_template, "spec.template")
    for key in _FIXED:
        causes += checks.unchanged(spec.get(key), old_spec.get(key), f"spec.{key}")
    return causes


def _resized(spec: dict[str, Any], old: dict[str, Any]) -> bool:
    """An indexed Job may be made larger or smaller if completions and parallelism stay equal."""
    return (
        spec.get("completionMode") == _INDEXED
        and spec.get("completions") is not None
        and old.get("completions") is not None
        and spec.get("completions") == spec.get("parallelism")
    )


def _without_directives(template: Any) -> dict[str, Any]:
    """A suspended Job that never ran may still be told where to run, and with how much."""
    found = dict(template or {})
    found["metadata"] = {
        key: value for key, value in (found.get("metadata") or {}).items() if key not in ("labels", "annotations")
    }
    pod = {key: value for key, value in (found.get("spec") or {}).items() if key not in _SCHEDULING_DIRECTIVES}
    for group in ("containers", "initContainers"):
        pod[group] = [
            {key: value for key, value in container.items() if key != "resources"} for container in pod.get(group) or []
        ]
    return {**found, "spec": pod}


def _validate_cron_job(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    schedule, zone = spec.get("schedule") or "", spec.get("timeZone")
    causes = [] if schedule else [required("spec.schedule")]
    if schedule and (found := schedules.problem(schedule)):
        causes.append(invalid_value("spec.schedule", schedule, found))
    if zone is not None and (found := schedules.zone_problem(zone)):
        causes.append(invalid_value("spec.timeZone", zone, found))
    causes += checks.one_of(spec.get("concurrencyPolicy"), "spec.concurrencyPolicy", ("Allow", "Forbid", "Replace"))
    for key in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        causes += checks.not_negative(spec.get(key), f"spec.{key}")
    return causes + _job_spec((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")


def _cron_name(name: str) -> list[str]:
    complaints = names.subdomain(name)
    if len(name) > _CRON_NAME_LENGTH:
        complaints.append(f"must be no more than {_CRON_NAME_LENGTH} characters")
    return complaints


RULES = {
    "cronjobs.batch": Rules(default=_default_cron_job, validate=_validate_cron_job, name=_cron_name, generation=True),
    "jobs.batch": Rules(
        default=_default_job,
        create=_create_job,
        validate=_validate_job,
        validate_update=_job_update,
        fields={"status.successful": number("status", "succeeded")},
        generation=True,
    ),
}
