"""Rows of devices: classes, claims, slices, taints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.tables.cluster import name_and_age
from seatrial.cluster.apiserver.tables.columns import AGE, NAME, Layout, age, dig, since, text
from seatrial.kube.model import objects

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
}
