"""Which volume a claim gets (pure): the smallest that is free and has all it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers.persistentvolume import names
from seatrial.kube.model import objects, quantity, selectors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object


def best(claim: Object, volumes: Iterable[Object], *, reserved_only: bool = False) -> Object | None:
    """`reserved_only`: leave out those that nobody has reserved for the claim, as it waits for its first pod."""
    fitting: list[Object] = []
    for volume in volumes:
        if objects.is_deleting(volume) or mismatch(claim, volume):
            continue
        if names.is_for(volume, claim):
            return volume
        if not reserved_only and is_free(volume) and _is_chosen(claim, volume):
            fitting.append(volume)
    return min(fitting, key=lambda volume: (capacity(volume), objects.name(volume)), default=None)


def mismatch(claim: Object, volume: Object) -> str:
    """Why the volume cannot be the claim's, even if either names the other; "" if it can."""
    if capacity(volume) < requested(claim):
        return "requested PV is too small"
    if names.class_of(volume) != names.class_of(claim):
        return "storageClassName does not match"
    if _mode(volume) != _mode(claim):
        return "incompatible volumeMode"
    if not set(claim["spec"].get("accessModes") or []) <= set(volume["spec"].get("accessModes") or []):
        return "incompatible accessMode"
    return ""


def is_free(volume: Object) -> bool:
    """A volume that was used once holds the data of another claim."""
    return not names.claim_reference(volume) and names.phase(volume) == "Available"


def capacity(volume: Object) -> int:
    return quantity.value((volume["spec"].get("capacity") or {}).get("storage", "0"))


def requested(claim: Object) -> int:
    return quantity.value(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def _is_chosen(claim: Object, volume: Object) -> bool:
    selector = claim["spec"].get("selector")
    return selector is None or selectors.from_object(selector).matches(objects.labels(volume))


def _mode(obj: Object) -> str:
    return str(obj["spec"].get("volumeMode") or "Filesystem")
