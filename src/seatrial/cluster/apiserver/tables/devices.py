"""Rows of the newer kinds around devices, pod groups and stored versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.tables.cluster import name_and_age
from seatrial.cluster.apiserver.tables.columns import AGE, NAME, NONE, Layout, age, dig, since, text
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_GROUP = "resource.k8s.io"


def _claim(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), _claim_state(obj), age(obj, now)]


def _claim_state(obj: Object) -> str:
    deleted = ["deleted"] if objects.is_deleting(obj) else []
    if dig(obj, "status", "allocation") is None:
        return ",".join(deleted or ["pending"])
    reserved = ["reserved"] if dig(obj, "status", "reservedFor") else []
    return ",".join([*deleted, "allocated", *reserved])


def _slice(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    pool = dig(spec, "pool", "name") or ""
    return [objects.name(obj), spec.get("nodeName") or "", spec.get("driver") or "", pool, age(obj, now)]


def _taint(obj: Object, now: float) -> list[Any]:
    taint = dig(obj, "spec", "taint") or {}
    added = taint.get("timeAdded")
    shown = [taint.get(key) or "" for key in ("key", "value", "effect")]
    return [objects.name(obj), *shown, since(added, now) if added else "", age(obj, now)]


def _pod_group(obj: Object, now: float) -> list[Any]:
    scheduled = conditions.get(obj, "PodGroupInitiallyScheduled")
    disrupted = conditions.get(obj, "DisruptionTarget")
    status = "Pending"
    if scheduled:
        status = "Scheduled" if scheduled.get("status") == "True" else "Unschedulable"
    if disrupted:
        status = disrupted.get("reason") or status
    return [
        objects.name(obj),
        "Gang" if dig(obj, "spec", "schedulingPolicy", "gang") is not None else "Basic",
        dig(obj, "spec", "workloadRef", "workloadName") or NONE,
        status,
        age(obj, now),
    ]


def _migration(obj: Object, _now: float) -> list[Any]:
    resource = dig(obj, "spec", "resource") or {}
    group, name = resource.get("group") or "", resource.get("resource") or ""
    met = [kind for kind in ("Running", "Failed", "Succeeded") if conditions.is_true(obj, kind)]
    return [objects.name(obj), f"{name}.{group}" if group else name, met[-1] if met else "Unknown"]


LAYOUTS = {
    f"deviceclasses.{_GROUP}": Layout((NAME, AGE), name_and_age),
    f"devicetaintrules.{_GROUP}": Layout(
        (
            NAME,
            text("Key", "Key of the taint."),
            text("Value", "Value of the taint."),
            text("Effect", "What the taint does."),
            text("TimeAdded", "Time since the taint was added."),
            AGE,
        ),
        _taint,
    ),
    "podgroups.scheduling.k8s.io": Layout(
        (
            NAME,
            text("Policy", "Gang or Basic."),
            text("Workload", "The Workload it belongs to."),
            text("Status", "Whether it has been scheduled."),
            AGE,
        ),
        _pod_group,
    ),
    f"resourceclaims.{_GROUP}": Layout((NAME, text("State", "Where the claim stands."), AGE), _claim),
    f"resourceclaimtemplates.{_GROUP}": Layout((NAME, AGE), name_and_age),
    f"resourceslices.{_GROUP}": Layout(
        (
            NAME,
            text("Node", "The node that has the devices."),
            text("Driver", "Who manages the devices."),
            text("Pool", "The pool they belong to."),
            AGE,
        ),
        _slice,
    ),
    "storageversionmigrations.storagemigration.k8s.io": Layout(
        (NAME, text("Resource", "What is rewritten."), text("Status", "How far it got.")), _migration
    ),
    "workloads.scheduling.k8s.io": Layout((NAME, AGE), name_and_age),
}
