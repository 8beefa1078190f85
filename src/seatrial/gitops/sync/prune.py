"""Deleting: exactly the object that was looked at, and only while it is still as it was when that was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.errors import Retryable, SeatrialError
from seatrial.gitops.api import names
from seatrial.gitops.sync.calls import TRIES, call, is_gone, text_of
from seatrial.gitops.sync.plan import owner_of
from seatrial.gitops.sync.results import PRUNE_SKIPPED, PRUNED, SYNC_FAILED
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.gitops.sync.context import Context
    from seatrial.gitops.sync.options import Options
    from seatrial.gitops.sync.sight import Sight
    from seatrial.gitops.sync.tasks import Task
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

_GONE_SECONDS = 60.0
_POLL = 0.1


class StillThere(Retryable):
    """A deleted object does not go: something has to happen to its finalizers first."""

    reason = "StillThere"


class Pruned(NamedTuple):
    status: str
    message: str
    error: BaseException | None = None


async def prune(context: Context, sight: Sight, options: Options, task: Task) -> Pruned:
    live = task.live or {}
    if not options.prune:
        return Pruned(PRUNE_SKIPPED, "ignored (requires pruning)")
    if options.setting("Prune", live) == "false" or keeps(live):
        return Pruned(PRUNE_SKIPPED, "ignored (no prune)")
    if options.dry_run:
        return Pruned(PRUNED, "pruned (dry run)")
    owner = owner_of(live)
    try:
        resource = await context.resource(task.api_version, task.ref.kind)
        kept = await delete(context, sight, resource, live, options.propagation, lambda obj: owner_of(obj) == owner)
    except (SeatrialError, TimeoutError) as error:
        return Pruned(SYNC_FAILED, text_of(error), error)
    return Pruned(PRUNED, "pruned") if kept is None else Pruned(PRUNE_SKIPPED, "ignored (no longer tracked)")


def keeps(live: Object) -> bool:
    return objects.annotations(live).get(names.HELM_RESOURCE_POLICY) == "keep"


async def delete(
    context: Context,
    sight: Sight,
    resource: Resource,
    live: Object,
    propagation: str,
    still: Callable[[Object], bool],
) -> Object | None:
    """Delete this object if it is the same one and `still` holds. The object if it is to stay, else None.

    It may live on for a while, with finalizers or a grace period. Raises StatusError and others.
    """
    ref = objects.ref(live)
    looked: Object | None = live
    for _ in range(TRIES):
        if looked is None or objects.uid(looked) != objects.uid(live) or objects.is_deleting(looked):
            return None
        if not still(looked):
            return looked
        try:
            await _delete_exactly(context, sight, resource, looked, propagation)
            return None
        except StatusError as error:
            if is_gone(error):
                sight.gone(ref, objects.uid(live))
                return None
            if error.code != 409:
                raise
        looked = await sight.ask(ref, live.get("apiVersion") or "")
    raise StillThere(f"{ref} changes faster than it can be deleted: sync again when whatever changes it rests")


async def _delete_exactly(context: Context, sight: Sight, resource: Resource, obj: Object, propagation: str) -> None:
    ref, uid = objects.ref(obj), objects.uid(obj)
    version = objects.metadata(obj).get("resourceVersion") or ""
    answer = await call(
        context.clock,
        lambda: context.client.delete(
            resource, ref.name, ref.namespace, propagation=propagation, uid=uid, resource_version=version
        ),
        conflicts=False,
    )
    if objects.uid(answer) == uid and objects.is_deleting(answer):
        sight.wrote(_typed(answer, obj))
    else:
        sight.gone(ref, uid)


def _typed(answer: Object, obj: Object) -> Object:
    return {**answer, "apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}


async def delete_and_wait(context: Context, sight: Sight, resource: Resource, live: Object, propagation: str) -> None:
    """To make it anew. Raises StillThere with what holds it."""
    await delete(context, sight, resource, live, propagation, lambda _: True)
    ref, deadline = objects.ref(live), context.clock.monotonic() + _GONE_SECONDS
    while True:
        found = await sight.ask(ref, live.get("apiVersion") or "")
        if found is None or objects.uid(found) != objects.uid(live):
            return
        if context.clock.monotonic() >= deadline:
            held = ", ".join(objects.finalizers(found)) or "its grace period"
            raise StillThere(f"{ref} was deleted to be made anew and is still there, held by {held}")
        await context.clock.sleep(_POLL)
