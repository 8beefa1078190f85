"""An Application compared: each of its resources, and what that makes of the whole. Pure.

pair     targets and live objects, by name           -> Pairs
(the Comparer says of each pair with both sides what differs)
conclude pairs and differences                       -> Comparison
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.gitops.api import names
from seatrial.gitops.diff.compare import OUT_OF_SYNC, SYNCED, UNKNOWN, Difference, State
from seatrial.gitops.diff.targets import SHARED, Condition, Tracking
from seatrial.gitops.sync import hooks
from seatrial.gitops.sync.options import annotation_list, parse
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from seatrial.gitops.api.application import Application
    from seatrial.kube.model.objects import Object, Ref

_EXTRANEOUS = "IgnoreExtraneous"


class Pair(NamedTuple):
    ref: Ref
    target: Object | None
    live: Object | None
    is_own: bool
    """The tracking id, where there is one, was written for this object."""

    @property
    def obj(self) -> Object:
        return self.live if self.live is not None else self.target or {}

    @property
    def counts(self) -> bool:
        """Whether it has a sync status at all: hooks, `Skip` and other people's objects have none."""
        if self.target is not None and hooks.skips(self.target):
            return False
        return self.is_own and not hooks.is_hook(self.obj) and not hooks.skips(self.obj)

    @property
    def is_comparable(self) -> bool:
        return self.counts and self.target is not None and self.live is not None


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    pair: Pair
    status: State | None
    """None: it has none."""
    difference: Difference | None
    affects: bool
    """Whether its status is part of the Application's."""
    requires_pruning: bool
    requires_confirmation: bool

    def to_json(self) -> dict[str, Any]:
        """An entry of `status.resources`."""
        ref, obj = self.pair.ref, self.pair.obj
        version = objects.split_api_version(obj.get("apiVersion") or "")[1]
        shown: dict[str, Any] = {
            "group": ref.group, "version": version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name,
            "status": self.status, "hook": hooks.is_hook(obj), "requiresPruning": self.requires_pruning,
            "requiresDeletionConfirmation": self.requires_confirmation,
            "syncWave": hooks.wave(self.pair.target) if self.pair.target is not None else 0,
        }  # fmt: skip
        return {key: value for key, value in shown.items() if value}


class Comparison(NamedTuple):
    status: State
    resources: tuple[ResourceStatus, ...]
    conditions: tuple[Condition, ...]


def pair(
    targets: Iterable[Object],
    tracked: Mapping[Ref, Object],
    find: Callable[[Ref, str], Object | None],
    instance: str,
) -> list[Pair]:
    """Targets in their order, then what is live and tracked and in no manifest.

    `tracked`: live objects with a tracking id of `instance`; `find`: a live object by name and apiVersion.
    """
    found: dict[Ref, Pair] = {}
    for target in targets:
        ref = objects.ref(target)
        if ref.name:
            live = find(ref, target.get("apiVersion") or "") or tracked.get(ref)
            found[ref] = Pair(ref, target, live, is_own=True)
    for ref, live in tracked.items():
        if ref not in found and not _is_made_by_another(live):
            tracking = Tracking.of(live)
            is_own = tracking is not None and tracking.instance == instance and tracking.is_of(live)
            found[ref] = Pair(ref, None, live, is_own)
    return list(found.values())


def _is_made_by_another(live: Object) -> bool:
    """Its owner's, to whom it owes the copied tracking id."""
    return bool(objects.owner_references(live))


def conclude(
    pairs: Iterable[Pair],
    differences: Mapping[Ref, Difference],
    application: Application,
    *,
    failed: bool = False,
) -> Comparison:
    """`failed`: manifests or live objects could not be had, so that nothing is known."""
    listed = list(pairs)
    resources = tuple(_status(each, differences.get(each.ref), application, failed=failed) for each in listed)
    return Comparison(
        _overall(resources, failed=failed), resources, (*_shared(listed, application), *_unknown(resources))
    )


def _status(each: Pair, difference: Difference | None, application: Application, *, failed: bool) -> ResourceStatus:
    extra = each.target is None
    state: State | None = None
    if each.counts:
        if failed or (each.is_comparable and difference is None):
            state = UNKNOWN
        elif extra or each.live is None:
            state = OUT_OF_SYNC
        else:
            state = difference.state if difference is not None else UNKNOWN
    return ResourceStatus(
        pair=each,
        status=state,
        difference=difference,
        affects=each.counts and not (extra and _EXTRANEOUS in annotation_list(each.obj, names.COMPARE_OPTIONS)),
        requires_pruning=extra and each.counts,
        requires_confirmation=_asks_for_confirmation(each, application),
    )


def _overall(resources: tuple[ResourceStatus, ...], *, failed: bool) -> State:
    states = {resource.status for resource in resources if resource.affects}
    if failed or UNKNOWN in states:
        return UNKNOWN
    return OUT_OF_SYNC if OUT_OF_SYNC in states else SYNCED


def _asks_for_confirmation(each: Pair, application: Application) -> bool:
    """`Prune=confirm` or `Delete=confirm`, on the object or, where it says nothing, for the application."""
    general = parse(application.sync_options)
    for obj in (each.target, each.live):
        if obj is not None:
            own = parse(annotation_list(obj, names.SYNC_OPTIONS))
            if any(own.get(name, general.get(name)) == "confirm" for name in ("Prune", "Delete")):
                return True
    return False


def _shared(pairs: list[Pair], application: Application) -> Iterable[Condition]:
    """A target that another Application tracks too."""
    for each in pairs:
        tracking = Tracking.of(each.live) if each.target is not None and each.live is not None else None
        if tracking is None or tracking.instance == application.instance or not tracking.is_of(each.obj):
            continue
        other = tracking.instance.replace("_", "/")
        yield Condition(SHARED, f"{each.ref} is part of the applications {application.name} and {other}")


def _unknown(resources: tuple[ResourceStatus, ...]) -> Iterable[Condition]:
    """Why the status is not known, once for each reason."""
    found = (resource.difference for resource in resources if resource.affects)
    messages = dict.fromkeys(each.message for each in found if each is not None and each.state == UNKNOWN)
    return [Condition("ComparisonError", message) for message in messages if message]
