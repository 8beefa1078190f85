"""What to do with an object, given what became of its owners. Pure.

Source: the Kubernetes documentation, "Garbage Collection" and "Owners and Dependents".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seatrial.kube.model.objects import Object

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

Reference: TypeAlias = "dict[str, Any]"


class Verdict(Enum):
    """What became of an owner."""

    SOLID = "solid"
    WAITING = "waiting"
    """It is being deleted, and waits until its dependents are gone."""
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Detach:
    """Keep the object with only these owner references."""

    references: list[Reference]


@dataclass(frozen=True, slots=True)
class Delete:
    propagation: str
    unblock: bool = False
    """First let its owners go without waiting for it: owner and object wait for each other."""


def decide(obj: Object, verdicts: Mapping[str, Verdict], dependents: Iterable[Object]) -> Detach | Delete | None:
    """For an object that is not being deleted; `verdicts` by the uid of each owner."""
    references = objects.owner_references(obj)
    if not references:
        return None
    solid = [reference for reference in references if verdicts[reference["uid"]] is Verdict.SOLID]
    if solid:
        return Detach(solid) if len(solid) < len(references) else None
    own = list(dependents)
    if own and Verdict.WAITING in verdicts.values():
        return Delete("Foreground", unblock=any(map(waits_for_dependents, own)))
    return Delete(_propagation(obj))


def _propagation(obj: Object) -> str:
    """As the finalizers say that are on the object already."""
    finalizers = objects.finalizers(obj)
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"


def verdict_of(owner: Object) -> Verdict:
    """Of an owner that exists."""
    return Verdict.WAITING if waits_for_dependents(owner) else Verdict.SOLID


def waits_for_dependents(obj: Object) -> bool:
    return objects.is_deleting(obj) and FOREGROUND in objects.finalizers(obj)


def orphans_dependents(obj: Object) -> bool:
    return objects.is_deleting(obj) and ORPHAN in objects.finalizers(obj)


def blocks(dependent: Object, uid: str) -> bool:
    """Whether the owner of this uid must wait for the dependent."""
    return any(r["uid"] == uid and r.get("blockOwnerDeletion") for r in objects.owner_references(dependent))


def without_owner(dependent: Object, uid: str) -> list[Reference]:
    return [reference for reference in objects.owner_references(dependent) if reference["uid"] != uid]


def unblocked(obj: Object) -> list[Reference]:
    return [{**reference, "blockOwnerDeletion": False} for reference in objects.owner_references(obj)]
