"""ControllerRevisions: the templates a StatefulSet or DaemonSet has had, for `kubectl rollout history` and `undo`.

A template seen again gets the next number instead of a second revision. `decide`, `expired` and `snapshot` are pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.cluster.controllers import ownership
from seatrial.cluster.controllers.pods import created_at
from seatrial.cluster.controllers.template import stable_hash
from seatrial.kube.model import objects, resources, selectors
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

HASH_LABEL = "controller-revision-hash"
"""On pods (and on the revisions of a DaemonSet)."""
REVISIONS = resources.for_plural("controllerrevisions", "apps")
_MOST_COLLISIONS = 20


class Decision(NamedTuple):
    """Which revision holds the template: an existing one, under this number, or (None) one to be made."""

    revision: Object | None
    number: int


class Found(NamedTuple):
    update: Object
    """The revision of the present template."""
    all: list[Object]
    """Lowest number first, with `update`."""
    collisions: int


def data_of(owner: Object) -> dict[str, Any]:
    """A strategic merge patch that brings the template back: what `kubectl rollout undo` sends."""
    template = {**owner["spec"]["template"], "$patch": "replace"}
    return {"spec": {"template": template}}


def template_of(revision: Object) -> Object:
    template = objects.clone(revision["data"]["spec"]["template"])
    template.pop("$patch", None)
    return template


def number(revision: Object) -> int:
    found: int = revision.get("revision") or 0
    return found


def ordered(revisions: Iterable[Object]) -> list[Object]:
    return sorted(revisions, key=lambda found: (number(found), created_at(found), objects.name(found)))


def decide(revisions: Sequence[Object], data: dict[str, Any]) -> Decision:
    """`revisions` in order. The highest number belongs to the present template."""
    following = number(revisions[-1]) + 1 if revisions else 1
    equal = [found for found in revisions if found.get("data") == data]
    if not equal:
        return Decision(None, following)
    newest = equal[-1]
    return Decision(newest, number(newest) if newest is revisions[-1] else following)


def expired(revisions: Sequence[Object], live: set[str], limit: int | None) -> list[Object]:
    """Revisions (in order) beyond the limit, of those whose name is not in use."""
    idle = [found for found in revisions if objects.name(found) not in live]
    return idle[: max(0, len(idle) - (10 if limit is None else limit))]


def snapshot(owner: Object, label: str, revision: int, collisions: int) -> Object:
    """The ControllerRevision of the owner's template; `label` is the name of its hash label."""
    data = data_of(owner)
    mark = stable_hash(data, collisions)
    labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{objects.name(owner)}-{mark}",
            "namespace": objects.namespace(owner),
            "labels": {**labels, label: mark},
            "annotations": dict(objects.annotations(owner)),
            "ownerReferences": [objects.controller_reference(owner)],
        },
        "data": data,
        "revision": revision,
    }


class Revisions:
    """Keeps the revisions of the owners of one resource."""

    def __init__(self, context: ControlContext, owners: Resource, label: str) -> None:
        self._client = context.client
        self._label = label
        self.informer = context.informers.get(REVISIONS)
        ownership.index(self.informer)
        self._claimer = ownership.Claimer(context.client, owners, REVISIONS)

    async def sync(self, owner: Object) -> Found:
        """Make sure that the present template has the revision with the highest number."""
        selector = selectors.from_object(owner["spec"].get("selector"))
        known = ordered(await self._claimer.claim(owner, self.informer, selector))
        decision = decide(known, data_of(owner))
        collisions = (owner.get("status") or {}).get("collisionCount") or 0
        if decision.revision is None:
            made, collisions = await self._create(owner, decision.number, collisions)
            return Found(made, [*known, made], collisions)
        if decision.number == number(decision.revision):
            return Found(decision.revision, known, collisions)
        changed = {**objects.clone(decision.revision), "revision": decision.number}
        renumbered = await self._client.update(REVISIONS, changed)
        others = [found for found in known if found is not decision.revision]
        return Found(renumbered, [*others, renumbered], collisions)

    async def _create(self, owner: Object, revision: int, collisions: int) -> tuple[Object, int]:
        for attempt in range(collisions, collisions + _MOST_COLLISIONS):
            wanted = snapshot(owner, self._label, revision, attempt)
            try:
                return await self._client.create(REVISIONS, wanted), attempt
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
            present = await self._client.get(REVISIONS, objects.name(wanted), objects.namespace(wanted))
            ours = (objects.controller_of(present) or {}).get("uid") == objects.uid(owner)
            if ours and present.get("data") == wanted["data"]:
                return present, attempt  # made a moment ago: the cache was late
        raise error_of_collisions(owner)

    async def prune(self, owner: Object, found: Found, live: set[str]) -> None:
        """Delete what the history limit no longer keeps."""
        limit = owner["spec"].get("revisionHistoryLimit")
        for revision in expired(found.all, live | {objects.name(found.update)}, limit):
            try:
                await self._client.delete(
                    REVISIONS, objects.name(revision), objects.namespace(revision), uid=objects.uid(revision)
                )
            except StatusError as error:
                if error.code != 404:
                    raise


def error_of_collisions(owner: Object) -> StatusError:
    text = (
        f"every name tried for a ControllerRevision of {objects.ref(owner)} is taken: delete the ones it does not own"
    )
    return StatusError(409, "AlreadyExists", text)
