"""Which fields of a live object are the engine's, as `managedFields` says, and one object seen through them.

Works on `fieldsV1` itself: it names list items by their keys, so no schema is needed, for built-in kinds as little as
for custom ones.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.kube.model import objects
from seatrial.kube.model.patch.apply.fieldset import FieldSet

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.patch.apply.fieldset import Node

ABSENT: Any = object()
"""No value at all, as against null."""
_SELF = "."
_EMPTY: tuple[Any, ...] = ("", 0, {}, [])
"""0 stands for False as well."""


def entries(obj: Object, managers: Iterable[str], operation: str = "") -> list[dict[str, Any]]:
    """The entries of these managers, of sub-resources left out; "" is any operation."""
    wanted = frozenset(managers)
    return [
        entry
        for entry in objects.metadata(obj).get("managedFields") or ()
        if entry.get("manager") in wanted and not entry.get("subresource") and operation in ("", entry.get("operation"))
    ]


def union(found: Iterable[dict[str, Any]]) -> Node:
    """The fields of all entries together, in one trie."""
    tries = [entry["fieldsV1"] for entry in found if isinstance(entry.get("fieldsV1"), dict)]
    if len(tries) == 1:
        only: Node = tries[0]
        return only
    fields = FieldSet()
    for trie in tries:
        fields = fields | FieldSet(trie)
    return fields.node


def overlaid(below: Any, above: Any, node: Node) -> Any:
    """`below` with the values of `above` wherever `node` names a field; shares what it does not change.

    A field that `above` lacks is dropped. ABSENT: nothing is left.
    """
    if not node or (below is ABSENT and above is ABSENT):
        return above
    first = next((key for key in node if key != _SELF), _SELF)
    if first[:2] == "f:":
        return _mapping(below, above, node)
    if first[:2] in ("k:", "v:"):
        return _list(below, above, node)
    return above


def _mapping(below: Any, above: Any, node: Node) -> Any:
    if above is ABSENT and not isinstance(below, dict):
        return ABSENT
    if not isinstance(above, dict) and above is not ABSENT:
        return above
    upper = above if isinstance(above, dict) else {}
    made = dict(below) if isinstance(below, dict) else {}
    for key, child in node.items():
        if key == _SELF:
            continue
        name = key[2:]
        value = overlaid(made.get(name, ABSENT), upper.get(name, ABSENT), child)
        if value is ABSENT:
            made.pop(name, None)
        else:
            made[name] = value
    return ABSENT if not made and above is ABSENT else made


def _list(below: Any, above: Any, node: Node) -> Any:
    if (not isinstance(above, list) and above is not ABSENT) or (not isinstance(below, list) and below is not ABSENT):
        return above
    upper, lower = [] if above is ABSENT else above, [] if below is ABSENT else below
    identity = identity_of(node)
    above_by, below_by = _grouped(upper, identity), _grouped(lower, identity)
    made: dict[Hashable, list[Any]] = dict(below_by)
    for key, child in node.items():
        if key == _SELF:
            continue
        element = element_of(key)
        theirs, ours = above_by.get(element, []), below_by.get(element, [])
        if len(theirs) == 1 and len(ours) <= 1:
            item = ours[0] if ours else ABSENT
            made[element] = [overlaid(item, theirs[0], child) if key[0] == "k" else theirs[0]]
        elif theirs:
            made[element] = theirs  # duplicates are owned and replaced together
        elif ours:
            made.pop(element, None)
    if not made and above is ABSENT:
        return ABSENT
    places = {element: place for place, element in enumerate(above_by)}
    order = sorted(made, key=lambda element: places.get(element, len(places)))
    return [item for element in order for item in made[element]]


def _grouped(items: list[Any], identity: Callable[[Any], Hashable]) -> dict[Hashable, list[Any]]:
    found: dict[Hashable, list[Any]] = {}
    for item in items:
        found.setdefault(identity(item), []).append(item)
    return found


def identity_of(node: Node) -> Callable[[Any], Hashable]:
    """How items of the list are told apart, by what its trie calls them."""
    first = next(key for key in node if key != _SELF)
    if first[0] == "v":
        return _hashable
    names = _key_names(first)
    return lambda item: (
        tuple(_hashable(item.get(name)) for name in names) if isinstance(item, dict) else _hashable(item)
    )


@lru_cache(maxsize=4096)
def _key_names(element: str) -> tuple[str, ...]:
    return tuple(sorted(orjson.loads(element[2:])))


@lru_cache(maxsize=4096)
def element_of(key: str) -> Hashable:
    """The identity that `k:{"name":"web"}` or `v:"a"` stands for."""
    parsed = orjson.loads(key[2:])
    if key[0] == "v":
        return _hashable(parsed)
    return tuple(_hashable(parsed[name]) for name in _key_names(key))


def _hashable(value: Any) -> Hashable:
    """Tells 1 from True and "1"; composite values by their text."""
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return (type(value), value)


_NO_PART = _hashable(None)


def owns_exactly(desired: Any, live: Any, node: Node) -> bool:
    """Whether `node` names the very fields of `desired`, and `live` has their very values, list items in their order.

    Then applying `desired` again changes nothing. False does not say that it would change something: a default key
    left out, a quantity spelled differently and a null are for the server to judge.
    """
    if not node:
        return is_same(desired, live) and desired is not None
    first = next((key for key in node if key != _SELF), _SELF)
    if first[:2] == "f:":
        return _owns_mapping(desired, live, node)
    if first[:2] in ("k:", "v:"):
        return _owns_list(desired, live, node)
    return False


def _owns_mapping(desired: Any, live: Any, node: Node) -> bool:
    if not isinstance(desired, dict) or not isinstance(live, dict):
        return False
    if len(desired) != len(node) - (_SELF in node):
        return False
    for name, value in desired.items():
        child = node.get(f"f:{name}")
        if child is None:
            return False
        if name not in live:
            # Ours and not there: the server drops empty values of this field, and dropped this one.
            if child or value not in _EMPTY:
                return False
        elif not owns_exactly(value, live[name], child):
            return False
    return True


def _owns_list(desired: Any, live: Any, node: Node) -> bool:
    if not isinstance(desired, list) or not isinstance(live, list):
        return False
    if len(desired) != len(node) - (_SELF in node):
        return False
    identity = identity_of(node)
    children = {element_of(key): (key, child) for key, child in node.items() if key != _SELF}
    places: dict[Hashable, int] = {}
    for place, item in enumerate(live):
        if (element := identity(item)) in places:
            return False
        places[element] = place
    last = -1
    for item in desired:
        element = _completed(identity(item), places)
        if element not in children or places.get(element, -1) <= last:
            return False
        last = places[element]
        key, child = children[element]
        if key[0] == "k" and not _owns_item(item, live[last], child):
            return False
    return True


def _completed(element: Hashable, places: dict[Hashable, int]) -> Hashable:
    """With the parts of its key that the manifest leaves to the server (`protocol`), if there is but one choice."""
    if element in places or not isinstance(element, tuple) or _NO_PART not in element:
        return element
    fitting = [
        other
        for other in places
        if isinstance(other, tuple)
        and all(part in (_NO_PART, theirs) for part, theirs in zip(element, other, strict=True))
    ]
    return fitting[0] if len(fitting) == 1 else None


def _owns_item(desired: Any, live: Any, node: Node) -> bool:
    return owns_exactly(desired, live, node) if any(key != _SELF for key in node) else is_same(desired, live)


def is_same(one: Any, other: Any) -> bool:
    """Equal as JSON: True is not 1, 1.0 is not 1. A null inside is the same as nothing else."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(key in other and is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one is not None and bool(one == other)
