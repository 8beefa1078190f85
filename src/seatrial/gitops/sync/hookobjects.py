"""Hook objects in the cluster: letting go of them once their end is on record, and deleting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.api import names
from seatrial.gitops.sync import prune
from seatrial.gitops.sync.calls import TRIES, call, is_gone
from seatrial.gitops.sync.results import ERROR, FAILED, RUNNING, SUCCEEDED
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.gitops.sync.context import Context
    from seatrial.gitops.sync.sight import Sight
    from seatrial.kube.model.objects import Object

_PHASES = {"Healthy": SUCCEEDED, "Degraded": FAILED, "Unknown": ERROR}


def outcome(context: Context, live: Object) -> tuple[str, str]:
    """The phase of a hook by its object's health, and the message to it."""
    health = context.assess(live)
    if health is None:
        return SUCCEEDED, ""
    phase = _PHASES.get(health.status, RUNNING)
    return (FAILED if phase == ERROR else phase), health.message


def is_held(live: Object) -> bool:
    return names.HOOK_FINALIZER in objects.finalizers(live)


async def release(context: Context, sight: Sight, live: Object) -> Object | None:
    """Take the finalizer away. The object as it is then, None if it is gone. Raises StatusError."""
    ref, api_version = objects.ref(live), live.get("apiVersion") or ""
    resource = await context.resource(api_version, ref.kind)
    found: Object | None = live
    for _ in range(TRIES):
        if found is None or objects.uid(found) != objects.uid(live) or not is_held(found):
            return found
        patch = _without_finalizer(found)
        try:
            answer = await call(
                context.clock,
                lambda patch=patch: context.client.patch(  # type: ignore[misc]
                    resource, ref.name, patch, ref.namespace, type=PatchType.MERGE
                ),
                conflicts=False,
            )
        except StatusError as error:
            if is_gone(error):
                sight.gone(ref, objects.uid(live))
                return None
            if error.code != 409:
                raise
            found = await sight.ask(ref, api_version)
            continue
        return _after_release(sight, answer, found)
    raise prune.StillThere(f"{ref} changes faster than its hook finalizer can be removed: sync again")


def _after_release(sight: Sight, answer: Object, before: Object) -> Object | None:
    """The last finalizer of a deleted object gone, it is gone too, although the answer still shows it."""
    ended = objects.is_deleting(answer) and not objects.finalizers(answer)
    if ended and objects.metadata(answer).get("deletionGracePeriodSeconds") in (None, 0):
        sight.gone(objects.ref(before), objects.uid(before))
        return None
    found = {**answer, "apiVersion": before.get("apiVersion"), "kind": before.get("kind")}
    sight.wrote(found)
    return found


def _without_finalizer(obj: Object) -> Object:
    kept = [name for name in objects.finalizers(obj) if name != names.HOOK_FINALIZER]
    version = objects.metadata(obj).get("resourceVersion")
    return {"metadata": {"finalizers": kept or None, "resourceVersion": version}}


async def remove(context: Context, sight: Sight, live: Object, propagation: str) -> None:
    """Delete a hook object, letting go of it first. Raises StatusError and others."""
    released = await release(context, sight, live)
    if released is not None and not objects.is_deleting(released):
        resource = await context.resource(live.get("apiVersion") or "", live.get("kind") or "")
        await prune.delete(context, sight, resource, released, propagation, lambda _: True)
