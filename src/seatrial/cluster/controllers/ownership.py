"""Who controls what: a controller adopts orphans that its selector matches and lets go of what it no longer does.

Adoption is decided on a fresh copy of the owner, never on the cache: an owner deleted a moment ago must not adopt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.base.errors import Retryable
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seatrial.kube.client.client import Client
    from seatrial.kube.control.controller import Key
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource
    from seatrial.kube.model.selectors import LabelSelector

INDEX = "controller"


class OwnerGone(Retryable):
    """The owner in the cache is not the one in the API: the next pass knows better."""

    reason = "OwnerGone"


class Claims(NamedTuple):
    """What to do with the objects an owner might control."""

    kept: list[Object]
    adopted: list[Object]
    released: list[Object]


def claims(owner: Object, candidates: Iterable[Object], matches: Callable[[Object], bool]) -> Claims:
    """Pure: an owner being deleted neither adopts nor releases."""
    found = Claims([], [], [])
    uid, leaving = objects.uid(owner), objects.is_deleting(owner)
    for candidate in candidates:
        reference = objects.controller_of(candidate)
        if reference is None:
            if not leaving and not objects.is_deleting(candidate) and matches(candidate):
                found.adopted.append(candidate)
        elif reference.get("uid") == uid:
            if matches(candidate):
                found.kept.append(candidate)
            elif not leaving:
                found.released.append(candidate)
    return found


def index(informer: Informer) -> None:
    """Make `dependents` of this informer quick."""
    informer.add_index(INDEX, _index_values)


def _index_values(obj: Object) -> Iterable[str]:
    reference = objects.controller_of(obj)
    return (reference.get("uid") or "",) if reference else (f"orphan/{objects.namespace(obj)}",)


def dependents(informer: Informer, owner: Object) -> list[Object]:
    """What the owner controls, by the cache."""
    return informer.by_index(INDEX, objects.uid(owner))


def orphans(informer: Informer, namespace: str) -> list[Object]:
    return informer.by_index(INDEX, f"orphan/{namespace}")


def possible_owners(
    informer: Informer, selector_of: Callable[[Object], LabelSelector]
) -> Callable[[Object], list[Key]]:
    """For a changed orphan: the keys of those whose selector matches it, so that one adopts it."""

    def keys(obj: Object) -> list[Key]:
        if objects.controller_of(obj) is not None:
            return []
        labels = objects.labels(obj)
        if not labels:
            return []
        owners = informer.list(objects.namespace(obj))
        return [
            (objects.namespace(owner), objects.name(owner)) for owner in owners if selector_of(owner).matches(labels)
        ]

    return keys


class Claimer:
    """Carries claims out."""

    def __init__(self, client: Client, owners: Resource, owned: Resource, *, finalizer: str = "") -> None:
        """`finalizer`: one that comes with being owned and goes with it."""
        self._client = client
        self._owners = owners
        self._owned = owned
        self._finalizer = finalizer

    async def claim(
        self,
        owner: Object,
        informer: Informer,
        selector: LabelSelector,
        *,
        keep: Callable[[Object], bool] | None = None,
    ) -> list[Object]:
        """The objects the owner controls after adopting and releasing. `keep`: a further condition beside labels."""

        def matches(obj: Object) -> bool:
            return selector.matches(objects.labels(obj)) and (keep is None or keep(obj))

        candidates = [*dependents(informer, owner), *orphans(informer, objects.namespace(owner))]
        found = claims(owner, candidates, matches)
        held = list(found.kept)
        if found.adopted:
            await self._check(owner)
        for obj in found.adopted:
            adopted = await self._adopt(owner, obj)
            if adopted is not None:
                held.append(adopted)
        for obj in found.released:
            await self._release(owner, obj)
        return held

    async def _check(self, owner: Object) -> None:
        name = objects.name(owner)
        fresh = await self._client.get(self._owners, name, objects.namespace(owner))
        if objects.uid(fresh) != objects.uid(owner) or objects.is_deleting(fresh):
            raise OwnerGone(f"{self._owners} {name} was deleted or replaced: it adopts nothing")

    async def _adopt(self, owner: Object, obj: Object) -> Object | None:
        references = [*objects.owner_references(obj), objects.controller_reference(owner)]
        return await self._patch(obj, references, owned=True)

    async def _release(self, owner: Object, obj: Object) -> None:
        uid = objects.uid(owner)
        kept = [reference for reference in objects.owner_references(obj) if reference.get("uid") != uid]
        await self._patch(obj, kept or None, owned=False)

    async def _patch(self, obj: Object, references: list[dict[str, Any]] | None, *, owned: bool) -> Object | None:
        """None if the object is gone, or somebody else's by now."""
        meta = objects.metadata(obj)
        change = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "ownerReferences": references}
        if self._finalizer:
            others = [name for name in objects.finalizers(obj) if name != self._finalizer]
            change["finalizers"] = [*others, self._finalizer] if owned else others or None
        try:
            return await self._client.patch(
                self._owned, meta["name"], {"metadata": change}, meta.get("namespace") or "", type=PatchType.MERGE
            )
        except StatusError as error:
            if error.code == 404:
                return None
            raise
