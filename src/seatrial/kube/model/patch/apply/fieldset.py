"""A FieldSet is a set of field paths, kept in the very shape `fieldsV1` has on the wire.

That shape is a trie of dicts: the keys are path elements (`f:` field, `k:` list item by key, `v:` item of a set,
`i:` index), an empty dict is a path that belongs to the set, and `.` says that a path which has children belongs
to it too. So reading one costs no more than a check, and writing one no more than sorting.

Nodes are never changed after they were made: sets share them freely.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Node = dict[str, Any]

SELF = "."
LEAF: Node = {}
"""A path that belongs to the set and has no children. Shared: never write to it."""

_KINDS = {"f": 0, "k": 1, "v": 2, "i": 3}


class FieldSet:
    """An immutable set of field paths."""

    __slots__ = ("node",)

    def __init__(self, node: Node | None = None) -> None:
        """`node` must be in canonical form; use `from_fields_v1` for what a client sent."""
        self.node: Node = node or {}

    @classmethod
    def from_fields_v1(cls, fields: Any) -> FieldSet:
        """Raises ValueError if `fields` is no FieldsV1."""
        if not isinstance(fields, dict):
            raise ValueError("fieldsV1 must be an object")
        return cls(_canonical(fields, root=True))

    def to_fields_v1(self) -> Node:
        """A new trie (leaves may be shared) with its keys in the order Kubernetes writes them."""
        return _sorted(self.node)

    def is_empty(self) -> bool:
        return not self.node

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSet) and (self.node is other.node or self.node == other.node)

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: FieldSet) -> FieldSet:
        if not other.node or self.node is other.node:
            return self
        return FieldSet(_union_below(self.node, other.node)) if self.node else other

    def __sub__(self, other: FieldSet) -> FieldSet:
        """Without the paths in `other`; removing a path does not remove what is below it."""
        if not other.node:
            return self
        rest = _minus_below(self.node, other.node)
        return self if rest is self.node else FieldSet(rest)

    def __and__(self, other: FieldSet) -> FieldSet:
        return FieldSet(_common_below(self.node, other.node))

    def leaves(self) -> FieldSet:
        """Only the paths with nothing below them."""
        return FieldSet(_leaves_below(self.node))

    def paths(self) -> Iterator[str]:
        """`.spec.template.spec.containers[name="nginx"].image`; shorter paths before what is below them."""
        return _paths(self.node, "")

    def __repr__(self) -> str:
        return f"FieldSet({', '.join(self.paths())})"


EMPTY = FieldSet()


def _union(one: Node, other: Node) -> Node:
    member = not one or not other or SELF in one or SELF in other
    merged = _union_below(one, other)
    if member and merged and SELF not in merged:
        merged = {SELF: LEAF, **merged}
    return merged


def _union_below(one: Node, other: Node) -> Node:
    merged = dict(one)
    for key, child in other.items():
        known = merged.get(key)
        if known is None:
            merged[key] = child
        elif known is not child:
            merged[key] = _union(known, child)
    return merged


def _minus(one: Node, other: Node) -> Node | None:
    """None if nothing is left; `one` itself if nothing went."""
    member = (not one or SELF in one) and not (not other or SELF in other)
    if not one:
        return LEAF if member else None
    rest = _minus_below(one, other)
    if rest is one and (member or SELF not in one):
        return one
    if not rest:
        return LEAF if member else None
    if member:
        return {SELF: LEAF, **rest}
    return {key: child for key, child in rest.items() if key != SELF} or None


def _minus_below(one: Node, other: Node) -> Node:
    """The children of `one` without those paths of `other`; `.` is left to the caller unless nothing changes."""
    rest: Node = {}
    changed = False
    for key, child in one.items():
        if key == SELF:
            continue
        taken = other.get(key)
        if taken is None:
            rest[key] = child
            continue
        left = _minus(child, taken)
        changed = changed or left is not child
        if left is not None:
            rest[key] = left
    return rest if changed else one


def _common(one: Node, other: Node) -> Node | None:
    member = (not one or SELF in one) and (not other or SELF in other)
    common = _common_below(one, other)
    if member:
        return {SELF: LEAF, **common} if common else LEAF
    return common or None


def _common_below(one: Node, other: Node) -> Node:
    common: Node = {}
    for key, child in one.items():
        if key != SELF and key in other:
            shared = _common(child, other[key])
            if shared is not None:
                common[key] = shared
    return common


def _leaves_below(node: Node) -> Node:
    return {key: _leaves_below(child) for key, child in node.items() if key != SELF}


def _sorted(node: Node) -> Node:
    if len(node) < 2:
        return {key: _sorted(child) if child else LEAF for key, child in node.items()}
    keys = sorted(node)
    if keys[-1] >= "g":  # not only fields: keys and values have an order of their own
        keys.sort(key=_rank)
    return {key: _sorted(child) if (child := node[key]) else LEAF for key in keys}


@lru_cache(maxsize=16_384)
def _rank(element: str) -> tuple[Any, ...]:
    """Sorts `.`, then fields, list keys, set values and indices, each by value."""
    if element == SELF:
        return (-1,)
    kind, text = element[0], element[2:]
    if kind == "f":
        return (0, text)
    value = orjson.loads(text)
    if kind == "k":
        return (1, *((name, *_value_rank(part)) for name, part in sorted(value.items())))
    return (_KINDS[kind], *_value_rank(value))


def _value_rank(value: Any) -> tuple[int, Any]:
    """Numbers before strings before booleans before the rest."""
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, int | float):
        return (0, value)
    return (1, value) if isinstance(value, str) else (3, orjson.dumps(value))


def _paths(node: Node, prefix: str) -> Iterator[str]:
    inner = []
    for key in sorted(node, key=_rank):
        if key == SELF:
            continue
        child = node[key]
        path = prefix + _shown(key)
        if not child or SELF in child:
            yield path
        if child:
            inner.append((child, path))
    for child, path in inner:
        yield from _paths(child, path)


@lru_cache(maxsize=16_384)
def _shown(element: str) -> str:
    kind, text = element[0], element[2:]
    if kind == "f":
        return f".{text}"
    if kind == "k":
        parts = sorted(orjson.loads(text).items())
        return "[" + ",".join(f"{name}={text_of(value)}" for name, value in parts) + "]"
    return f"[={text}]" if kind == "v" else f"[{text}]"


def field(name: str) -> str:
    return f"f:{name}"


def item_by_key(parts: Mapping[str, Any]) -> str:
    """The element of a list item with these key fields; values must be scalars."""
    inner = ",".join(f"{text_of(name)}:{text_of(parts[name])}" for name in sorted(parts))
    return f"k:{{{inner}}}"


@lru_cache(maxsize=16_384, typed=True)
def item_by_one_key(name: str, value: Any) -> str:
    return item_by_key({name: value})


@lru_cache(maxsize=16_384, typed=True)
def item_by_value(value: Any) -> str:
    return f"v:{text_of(value)}"


def text_of(value: Any) -> str:
    """A scalar as Kubernetes writes it inside a path element."""
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    text = orjson.dumps(value).decode()
    if "<" in text or ">" in text or "&" in text:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text


def _canonical(fields: Node, *, root: bool) -> Node:
    """The same set with its elements in canonical spelling and without what we do not understand."""
    clean: Node = {}
    for key, child in fields.items():
        if key == SELF:
            if not root:
                clean[SELF] = LEAF
            continue
        element = _canonical_element(key)
        if element is None:
            continue
        if not isinstance(child, dict):
            raise ValueError(f"fieldsV1: {key} must be an object")
        below = _canonical(child, root=False) if child else LEAF
        clean[element] = _union(clean[element], below) if element in clean else below
    if len(clean) == 1 and SELF in clean:
        return LEAF
    return clean


@lru_cache(maxsize=16_384)
def _canonical_element(element: str) -> str | None:
    """None for a kind of element from the future. Raises ValueError."""
    if len(element) < 2 or element[1] != ":":
        raise ValueError(f"fieldsV1: {element!r} is not a path element")
    kind, text = element[0], element[2:]
    if kind == "f":
        return element
    if kind == "i":
        return f"i:{int(text)}"
    if kind not in _KINDS:
        return None
    value = orjson.loads(text)
    if kind == "v":
        return f"v:{text_of(value)}"
    if not isinstance(value, dict):
        raise ValueError(f"fieldsV1: the key in {element!r} is not an object")
    return item_by_key(value)
