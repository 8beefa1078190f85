"""Lays an apply configuration over an object, and takes away what an applier no longer claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model.patch.apply.extract import (
    StructureError,
    child_type,
    element_type,
    is_associative,
    is_granular,
    item_element,
    items_by_element,
)
from seatrial.kube.model.patch.apply.fieldset import LEAF, SELF, FieldSet, Node, field

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.schema.types import Type


def merged(live: Object, config: Object, type: Type) -> Object:
    """A new object: the configuration where it says something, the live object everywhere else."""
    result = dict(live)
    for key, value in config.items():
        inner = child_type(type, key)
        result[key] = _merge_values(live.get(key), value, inner)
        if result[key] is None and not _may_be_null(inner):
            del result[key]
    return result


def _may_be_null(type: Type) -> bool:
    return type.nullable or type.shape == "any"


def _new(value: Any, type: Type) -> Any:
    """A value with nothing to merge with: a null in it says no more than its absence."""
    if isinstance(value, dict) and is_granular(type, value):
        return merged({}, value, type)
    if isinstance(value, list) and type.shape == "list":
        return [_new(item, element_type(type)) for item in value]
    return value


def _merge_values(live: Any, config: Any, type: Type) -> Any:
    """Null leaves what has owners of its own below it, and replaces everything else."""
    if isinstance(live, dict) and is_granular(type, live):
        if isinstance(config, dict):
            return merged(live, config, type)
        return live if config is None and live else config
    if isinstance(live, list) and is_associative(type):
        if isinstance(config, list):
            return _merge_lists(live, config, type)
        return live if config is None and live else config
    return _new(config, type)


def _merge_lists(live: list[Any], config: list[Any], type: Type) -> list[Any]:
    """Items of the configuration in its order; the others stay in front of what followed them in `live`."""
    given = {name: items[0] for name, items in items_by_element(type, config).items()}
    known = items_by_element(type, live)
    shared = iter([name for name in given if name in known])
    due = next(shared, None)
    waiting = iter(given.items())
    result: list[Any] = []
    for item in live:
        name = item_element(type, item)
        if name not in given:
            result.append(item)
        elif name == due:
            for other, value in waiting:
                result.append(_merge_item(known.get(other), value, type))
                if other == due:
                    break
            due = next(shared, None)
    result.extend(_merge_item(known.get(other), value, type) for other, value in waiting)
    return result


def _merge_item(live: list[Any] | None, config: Any, type: Type) -> Any:
    if live is None or len(live) > 1:  # duplicates cannot be merged with, only replaced
        return _new(config, element_type(type))
    return _merge_values(live[0], config, element_type(type))


def without(obj: Object, gone: FieldSet, type: Type) -> Object:
    """A new object without the paths in `gone` and everything below them. What is emptied by that stays, empty."""
    return _object_without(obj, gone.node, type)


def _object_without(value: Object, gone: Node, type: Type) -> Object:
    result = dict(value)
    for key in value.keys() & {name[2:] for name in gone if name.startswith("f:")}:
        node = gone[field(key)]
        if not node or SELF in node:
            del result[key]
            continue
        result[key] = _without(value[key], node, child_type(type, key))
    return result


def _without(value: Any, gone: Node, type: Type) -> Any:
    if isinstance(value, dict) and is_granular(type, value):
        return _object_without(value, gone, type)
    if isinstance(value, list) and is_associative(type):
        return _list_without(value, gone, type)
    return value


def _list_without(value: list[Any], gone: Node, type: Type) -> list[Any]:
    result = []
    for item in value:
        node = gone.get(item_element(type, item))
        if node is None:
            result.append(item)
        elif node and SELF not in node:
            result.append(_without(item, node, element_type(type)))
    return result


def with_structs(fields: FieldSet, type: Type) -> FieldSet:
    """The set together with every declared field that has one of its paths below it.

    A struct is not owned for itself, so this is what "nobody needs this struct any more" is decided with.
    """
    return FieldSet(_with_structs(fields.node, type))


def _with_structs(node: Node, type: Type) -> Node:
    result: Node = {}
    for name, child in node.items():
        if not child:
            result[name] = child
            continue
        named = name.startswith("f:")
        inner = child_type(type, name[2:]) if named else element_type(type)
        below = _with_structs(child, inner)
        if named and name[2:] in type.fields and SELF not in below:
            below[SELF] = LEAF
        result[name] = below
    return result


def check(config: Object, type: Type) -> None:
    """Refuse a configuration the schema does not allow to be merged. Raises StructureError with the field."""
    _check(config, type, root=True)


def _check(value: Any, type: Type, *, root: bool = False) -> None:
    if value is None:
        return
    if type.shape == "scalar":
        _check_scalar(value, type)
    elif type.shape in ("struct", "map"):
        if not isinstance(value, dict):
            raise StructureError("", f"expected map, got {_kind(value)}")
        _check_object(value, type, root=root)
    elif type.shape == "list":
        if not isinstance(value, list):
            raise StructureError("", f"expected list, got {_kind(value)}")
        _check_list(value, type)


def _check_object(value: Object, type: Type, *, root: bool) -> None:
    closed = type.shape == "struct" and bool(type.fields) and type.element is None
    for key, child in value.items():
        if closed and key not in type.fields and not type.preserve_unknown:
            if root and key in ("apiVersion", "kind", "metadata"):
                continue
            raise StructureError(f".{key}", "field not declared in schema")
        try:
            _check(child, child_type(type, key))
        except StructureError as error:
            raise error.within(f".{key}") from None


def _check_list(value: list[Any], type: Type) -> None:
    names: set[str] = set()
    inner = element_type(type)
    for index, item in enumerate(value):
        shown = f"[{index}]"
        if is_associative(type):
            try:
                name = item_element(type, item)
            except StructureError as error:
                raise StructureError("", f"element {index}: {error.problem}") from None
            shown = next(FieldSet({name: LEAF}).paths())
            if name in names:
                raise StructureError("", f"duplicate entries for key {shown}")
            names.add(name)
        try:
            _check(item, inner)
        except StructureError as error:
            raise error.within(shown) from None


_SCALARS: dict[str, tuple[str, tuple[type, ...]]] = {
    "string": ("string", (str,)),
    "integer": ("numeric (int or float)", (int, float)),
    "number": ("numeric (int or float)", (int, float)),
    "boolean": ("boolean", (bool,)),
}


def _check_scalar(value: Any, type: Type) -> None:
    if isinstance(value, dict | list):
        raise StructureError("", f"expected any scalar, got {_kind(value)}")
    if type.scalar not in _SCALARS or (type.scalar == "string" and type.format not in ("", "byte")):
        return
    expected, allowed = _SCALARS[type.scalar]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise StructureError("", f"expected {expected}, got {_kind(value)}")


def _kind(value: Any) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "map"}
    return names.get(value.__class__, "null")
