"""The health of an Application: the worst of its resources, and which of them it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.gitops.api import names
from seatrial.gitops.health.health import HEALTHY, MISSING, UNKNOWN, Health, Status, is_worse
from seatrial.gitops.sync import hooks
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object, Ref

_SHOWN = 3
"""Causes the message names."""


class Resource(NamedTuple):
    """`target`: as Git says, None for what is to be pruned. `live`: None if it is missing. `health`: of `live`."""

    target: Object | None
    live: Object | None
    health: Health | None

    @property
    def ref(self) -> Ref:
        return objects.ref(self.live if self.live is not None else self.target or {})


def aggregate(resources: Iterable[Resource], itself: Ref | None = None) -> Health:
    """A missing resource alone does not count (it is OutOfSync); an Application of which nothing exists is Missing.

    `itself`: the Application, which is no cause of its own health where it is among its resources.
    """
    worst: Status = HEALTHY
    causes: list[Ref] = []
    counted = [resource for resource in resources if _is_counted(resource)]
    for resource in counted:
        health = _effect(resource, itself)
        if health is None:
            continue
        if is_worse(health.status, worst):
            worst, causes = health.status, []
        if health.status == worst and worst != HEALTHY:
            causes.append(resource.ref)
    exists = any(resource.live is not None for resource in counted)
    if counted and not exists and is_worse(MISSING, worst):
        return Health(MISSING, "none of its resources exist")
    return Health(worst, _named(causes))


def _is_counted(resource: Resource) -> bool:
    if resource.target is not None and (hooks.skips(resource.target) or hooks.is_hook(resource.target)):
        return False
    return resource.live is None or not (hooks.is_hook(resource.live) or hooks.skips(resource.live))


def _effect(resource: Resource, itself: Ref | None) -> Health | None:
    """The health with which it counts; None if it does not."""
    if resource.live is None or resource.health is None or resource.ref == itself:
        return None
    if objects.annotations(resource.live).get(names.IGNORE_HEALTHCHECK) == "true":
        return None
    is_child = (resource.ref.group, resource.ref.kind) == (names.GROUP, "Application")
    if is_child and resource.health.status in (MISSING, UNKNOWN):
        return None
    return resource.health


def _named(causes: list[Ref]) -> str:
    if not causes:
        return ""
    more = f" and {len(causes) - _SHOWN} more" if len(causes) > _SHOWN else ""
    return f"because of {', '.join(str(cause) for cause in causes[:_SHOWN])}{more}"
