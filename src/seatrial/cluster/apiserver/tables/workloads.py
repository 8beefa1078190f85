"""Rows of what makes pods: Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, Job, CronJob."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time
from seatrial.cluster.apiserver.tables.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    SELECTOR,
    UNSET,
    Layout,
    age,
    boolean,
    containers_and_images,
    count,
    dig,
    human_duration,
    integer,
    labels_text,
    since,
    text,
)
from seatrial.kube.model import conditions, objects, selectors

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_JOB_STATES = (
    ("Complete", "Complete"),
    ("Failed", "Failed"),
    ("", "Terminating"),
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)
"""Condition types in the order they decide the state of a Job; the empty one stands for being deleted."""

_REPLICAS = (
    NAME,
    integer("Desired", "Pods wanted."),
    integer("Current", "Pods there are."),
    integer("Ready", "Pods that are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def selector_text(selector: dict[str, Any] | None) -> str:
    try:
        return str(selectors.from_object(selector)) or NONE
    except ValueError:
        return "<error>"


def _template(obj: Object) -> Any:
    return dig(obj, "spec", "template", "spec")


def _deployment(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        f"{count(obj, 'status', 'readyReplicas')}/{count(obj, 'spec', 'replicas')}",
        count(obj, "status", "updatedReplicas"),
        count(obj, "status", "availableReplicas"),
        age(obj, now),
        *containers_and_images(_template(obj)),
        selector_text(dig(obj, "spec", "selector")),
    ]


def _replicas(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        count(obj, "spec", "replicas"),
        count(obj, "status", "replicas"),
        count(obj, "status", "readyReplicas"),
        age(obj, now),
        *containers_and_images(_template(obj)),
    ]


def _replica_set(obj: Object, now: float) -> list[Any]:
    return [*_replicas(obj, now), selector_text(dig(obj, "spec", "selector"))]


def _replication_controller(obj: Object, now: float) -> list[Any]:
    return [*_replicas(obj, now), labels_text(dig(obj, "spec", "selector"))]


def _stateful_set(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        f"{count(obj, 'status', 'readyReplicas')}/{count(obj, 'spec', 'replicas')}",
        age(obj, now),
        *containers_and_images(_template(obj)),
    ]


def _daemon_set(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        count(obj, "status", "desiredNumberScheduled"),
        count(obj, "status", "currentNumberScheduled"),
        count(obj, "status", "numberReady"),
        count(obj, "status", "updatedNumberScheduled"),
        count(obj, "status", "numberAvailable"),
        labels_text(dig(_template(obj), "nodeSelector")),
        age(obj, now),
        *containers_and_images(_template(obj)),
        selector_text(dig(obj, "spec", "selector")),
    ]


def _job(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        _job_state(obj),
        _completions(obj),
        _job_duration(obj, now),
        age(obj, now),
        *containers_and_images(_template(obj)),
        selector_text(dig(obj, "spec", "selector")),
    ]


def _job_state(obj: Object) -> str:
    for condition, state in _JOB_STATES:
        if conditions.is_true(obj, condition) if condition else objects.is_deleting(obj):
            return state
    return "Running"


def _completions(obj: Object) -> str:
    done, wanted = count(obj, "status", "succeeded"), dig(obj, "spec", "completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallel = count(obj, "spec", "parallelism")
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _job_duration(obj: Object, now: float) -> str:
    start, end = dig(obj, "status", "startTime"), dig(obj, "status", "completionTime")
    if not start:
        return ""
    return human_duration((parse_time(end) if end else now) - parse_time(start))


def _cron_job(obj: Object, now: float) -> list[Any]:
    job = dig(obj, "spec", "jobTemplate", "spec")
    last = dig(obj, "status", "lastScheduleTime")
    return [
        objects.name(obj),
        dig(obj, "spec", "schedule") or "",
        dig(obj, "spec", "timeZone") or NONE,
        _suspended(dig(obj, "spec", "suspend")),
        len(dig(obj, "status", "active") or []),
        since(last, now) if last else NONE,
        age(obj, now),
        *containers_and_images(dig(job, "template", "spec")),
        selector_text(dig(job, "selector")),
    ]


def _suspended(value: Any) -> str:
    return UNSET if value is None else str(bool(value))


def _scale(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        count(obj, "spec", "replicas"),
        count(obj, "status", "replicas"),
        age(obj, now),
    ]


def _revision(obj: Object, now: float) -> list[Any]:
    owner = objects.controller_of(obj)
    controller = NONE
    if owner is not None:
        group, _ = objects.split_api_version(owner.get("apiVersion") or "")
        kind = (owner.get("kind") or "").lower()
        controller = f"{kind}.{group}" if group else kind
        controller = f"{controller}/{owner.get('name')}"
    return [objects.name(obj), controller, obj.get("revision") or 0, age(obj, now)]


LAYOUTS = {
    "controllerrevisions.apps": Layout(
        (
            NAME,
            text("Controller", "What the revision belongs to."),
            text("Revision", "Number of the revision."),
            AGE,
        ),
        _revision,
    ),
    "cronjobs.batch": Layout(
        (
            NAME,
            text("Schedule", "When it runs, in cron's notation."),
            text("Timezone", "Time zone of the schedule."),
            boolean("Suspend", "Whether it makes no new Jobs."),
            integer("Active", "Jobs that run now."),
            text("Last Schedule", "When it last made a Job."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ),
        _cron_job,
    ),
    "daemonsets.apps": Layout(
        (
            NAME,
            integer("Desired", "Nodes that should run its pod."),
            integer("Current", "Nodes that run its pod."),
            integer("Ready", "Nodes whose pod is ready."),
            integer("Up-to-date", "Nodes that run the newest pod."),
            integer("Available", "Nodes whose pod has been ready long enough."),
            text("Node Selector", "Labels of the nodes it is for."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ),
        _daemon_set,
    ),
    "deployments.apps": Layout(
        (
            NAME,
            text("Ready", "Pods that are ready, of those wanted."),
            text("Up-to-date", "Pods of the newest template."),
            text("Available", "Pods that have been ready long enough."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ),
        _deployment,
    ),
    "jobs.batch": Layout(
        (
            NAME,
            text("Status", "State of the Job."),
            text("Completions", "Pods that have succeeded, of those needed."),
            text("Duration", "How long it ran, or has been running."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ),
        _job,
    ),
    "replicasets.apps": Layout(_REPLICAS, _replica_set),
    "replicationcontrollers": Layout(_REPLICAS, _replication_controller),
    "scales.autoscaling": Layout(
        (NAME, integer("Desired", "Pods there should be."), integer("Available", "Pods there are."), AGE), _scale
    ),
    "statefulsets.apps": Layout(
        (NAME, text("Ready", "Pods that are ready, of those wanted."), AGE, CONTAINERS, IMAGES),
        _stateful_set,
    ),
}
