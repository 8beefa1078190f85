"""Tables: the columns and cells kubectl prints for each built-in kind. Pure functions of an object and the time.

`get` and `list` answer with these when the client asks for `as=Table`; the printer columns of custom resources are
theirs to define and are made elsewhere. A kind without a layout shows its name and when it was created.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.tables import cluster, devices, network, pods, policies, storage, workloads
from seatrial.cluster.apiserver.tables.columns import CREATED_AT, NAME, Column, Layout
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

__all__ = ["Column", "cells", "columns", "rows"]


def _plain(obj: Object, _now: float) -> list[Any]:
    return [objects.name(obj), objects.metadata(obj).get("creationTimestamp") or ""]


_PLAIN = Layout((NAME, CREATED_AT), _plain)
_LAYOUTS: dict[str, Layout] = {
    **cluster.LAYOUTS,
    **devices.LAYOUTS,
    **network.LAYOUTS,
    **pods.LAYOUTS,
    **policies.LAYOUTS,
    **storage.LAYOUTS,
    **workloads.LAYOUTS,
}


def _layout(resource: Resource) -> Layout:
    return _LAYOUTS.get(resource.group_resource, _PLAIN)


def columns(resource: Resource) -> tuple[Column, ...]:
    """The columns of a kind, in the order they are printed."""
    return _layout(resource).columns


def cells(resource: Resource, obj: Object, now: float) -> list[Any]:
    """The cells of one object; `now` is the wall clock's time, for ages."""
    return _layout(resource).cells(obj, now)


def rows(resource: Resource, found: Sequence[Object], now: float) -> list[list[Any]]:
    """The cells of a whole list, with what only the list can tell: which StorageClass is the default."""
    made = [cells(resource, obj, now) for obj in found]
    if resource.group_resource == "storageclasses.storage.k8s.io":
        default = storage.default_class(found)
        for row in made:
            if row[0] == default:
                row[0] = f"{default} (default)"
    return made
