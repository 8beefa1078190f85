"""Reading live objects that may lack anything: a custom resource's status is whatever its controller wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def mapping(value: object, *path: str) -> dict[str, Any]:
    """The mapping at `path`; empty if there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def mappings(value: object, *path: str) -> list[dict[str, Any]]:
    """The mappings of the list at `path`."""
    found = mapping(value, *path[:-1]).get(path[-1]) if path else value
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def number(value: dict[str, Any], key: str, default: int = 0) -> int:
    found = value.get(key)
    return found if isinstance(found, int) else default


def text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def is_observed(obj: Object) -> bool:
    """Whether the controller has seen the newest spec."""
    return number(mapping(obj, "metadata"), "generation") <= number(mapping(obj, "status"), "observedGeneration")


def condition(obj: Object, kind: str) -> dict[str, Any]:
    """The condition of that type; empty if there is none."""
    found = mappings(mapping(obj, "status"), "conditions")
    return next((item for item in found if item.get("type") == kind), {})
