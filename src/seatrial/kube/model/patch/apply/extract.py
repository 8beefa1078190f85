"""Finds field sets in objects: what an apply configuration claims, what a new object holds, what a write changed.

Everything here walks an object along its `Type`. Structs and maps are granular unless atomic; lists are atomic
unless they are sets or maps; a node without schema is a granular map, a leaf otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model.patch.apply.fieldset import (
    LEAF,
    SELF,
    FieldSet,
    Node,
    field,
    item_by_key,
    item_by_one_key,
    item_by_value,
)
from seatrial.kube.model.schema import printed
from seatrial.kube.model.schema.types import Type

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

UNKNOWN = Type(shape="any", preserve_unknown=True)
"""The type of a field the schema does not describe: its form is taken from its value."""

NEVER_OWNED = FieldSet(
    {
        "f:apiVersion": LEAF,
        "f:kind": LEAF,
        "f:metadata": {
            SELF: LEAF,
            **{
                field(name): LEAF
                for name in (
                    "name",
                    "namespace",
                    "creationTimestamp",
                    "selfLink",
                    "uid",
                    "clusterName",
                    "generation",
                    "managedFields",
                    "resourceVersion",
                )
            },
        },
    }
)
"""What identifies an object or is written by the server: no manager is ever recorded for it."""

_BUILTIN = "io.k8s."
"""How the names of Kubernetes' own definitions begin."""


class StructureError(Exception):
    """An object that does not have the form its schema says."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem

    def within(self, element: str) -> StructureError:
        return StructureError(element + self.path, self.problem)


def is_granular(type: Type, value: Any) -> bool:
    """Whether the parts of `value`, which is a dict, have owners of their own."""
    if type.shape in ("struct", "map"):
        return not type.atomic
    return type.shape == "any" and not type.name


def child_type(type: Type, key: str) -> Type:
    return type.fields.get(key) or type.element or UNKNOWN


def element_type(type: Type) -> Type:
    return type.element or UNKNOWN


def is_associative(type: Type) -> bool:
    return type.shape == "list" and type.list_type != "atomic"


def item_element(type: Type, item: Any) -> str:
    """The path element that names `item` in a list of this type. Raises StructureError."""
    if type.list_type == "set":
        if item is None or isinstance(item, dict | list):
            raise StructureError("", "a list of type set may hold scalars only")
        return item_by_value(item)
    if not isinstance(item, dict):
        raise StructureError("", "associative list with keys may not have non-map elements")
    keys = type.list_keys
    if len(keys) == 1 and item.get(keys[0]).__class__ is str:
        return item_by_one_key(keys[0], item[keys[0]])
    parts = _key_fields(type, item)
    if not parts:
        raise StructureError("", f"associative list with keys has an element that omits all key fields {keys}")
    return item_by_key(parts)


def _key_fields(type: Type, item: Object) -> dict[str, Any]:
    parts = {}
    fields = element_type(type).fields
    for key in type.list_keys:
        if key in item:
            if isinstance(item[key], dict | list):
                raise StructureError("", f"key field {key} must be a scalar")
            parts[key] = item[key]
        elif key in fields and fields[key].has_default:
            parts[key] = fields[key].default
    return parts


def items_by_element(type: Type, items: list[Any]) -> dict[str, list[Any]]:
    """The items under their path elements, in order; more than one under the same are duplicates."""
    found: dict[str, list[Any]] = {}
    for index, item in enumerate(items):
        try:
            element = item_element(type, item)
        except StructureError as error:
            raise StructureError(error.path, f"element {index}: {error.problem}") from None
        if element in found:
            found[element].append(item)
        else:
            found[element] = [item]
    return found


def claimed(config: Object, type: Type) -> FieldSet:
    """What whoever applies `config` owns. Structs are not claimed themselves; map entries and list items are."""
    return FieldSet(_claimed_below(config, type)) - NEVER_OWNED


def _claimed_below(value: Any, type: Type) -> Node:
    """The paths below a granular value."""
    node: Node = {}
    if isinstance(value, dict):
        for key, child in value.items():
            below = _claimed(child, child_type(type, key), declared=key in type.fields)
            if below is not None:
                node[field(key)] = below
        return node
    for element, items in items_by_element(type, value).items():
        if len(items) > 1:
            node[element] = LEAF
        else:
            below = _claimed(items[0], element_type(type), declared=False)
            node[element] = LEAF if below is None else below
    return node


def _claimed(value: Any, type: Type, *, declared: bool) -> Node | None:
    if not _has_parts(value, type):
        if value == [] and is_associative(type):
            return None if declared else LEAF
        return LEAF
    below = _claimed_below(value, type)
    if not below:
        return None if declared else LEAF
    return below if declared else {SELF: LEAF, **below}


def _has_parts(value: Any, type: Type) -> bool:
    """Whether there is something below `value` that can be owned."""
    if value.__class__ is dict:
        return bool(value) and is_granular(type, value)
    return value.__class__ is list and bool(value) and is_associative(type)


def whole(value: Any, type: Type) -> Node:
    """Every path of a value that was not there before (or is not there any more), itself included."""
    if not _has_parts(value, type):
        return LEAF
    node: Node = {SELF: LEAF}
    if value.__class__ is dict:
        fields, element = type.fields, type.element or UNKNOWN
        for key, child in value.items():
            node[f"f:{key}"] = whole(child, fields.get(key) or element) if child.__class__ in (dict, list) else LEAF
        return node
    inner = element_type(type)
    for name, items in items_by_element(type, value).items():
        node[name] = whole(items[0], inner) if len(items) == 1 else LEAF
    return node


def created(obj: Object, type: Type) -> FieldSet:
    """What whoever creates `obj` owns: all that is not in every object of its kind anyway."""
    if type.name.startswith(_BUILTIN):
        return compared(printed.zero(type), obj, type).changed - NEVER_OWNED
    return FieldSet({key: child for key, child in whole(obj, type).items() if key != SELF}) - NEVER_OWNED


class Comparison:
    """What happened between two objects: the paths whose value is new or different, and those that are gone."""

    __slots__ = ("changed", "removed")

    def __init__(self, changed: FieldSet, removed: FieldSet) -> None:
        self.changed = changed
        self.removed = removed


def compared(old: Object, new: Object, type: Type) -> Comparison:
    """Raises StructureError if a list item cannot be told from the others."""
    changed: Node = {}
    removed: Node = {}
    _compare_objects(old, new, type, changed, removed)
    return Comparison(FieldSet(changed), FieldSet(removed))


def _compare_objects(old: Object, new: Object, type: Type, changed: Node, removed: Node) -> None:
    """Adds to `changed` and `removed` what differs below two granular objects."""
    fields, element = type.fields, type.element or UNKNOWN
    for key, value in new.items():
        if key not in old:
            _compare_with_nothing(key, value, fields.get(key) or element, type, changed)
        elif old[key] != value:
            _compare(f"f:{key}", old[key], value, fields.get(key) or element, changed, removed)
    for key in old.keys() - new.keys():
        _compare_with_nothing(key, old[key], fields.get(key) or element, type, removed)


def _compare_with_nothing(key: str, value: Any, type: Type, parent: Type, found: Node) -> None:
    """Adds to `found` a field only one side has, unless it says nothing.

    A side that leaves out what Kubernetes always prints is read as if it had printed it.
    """
    if value is None and not type.nullable:
        return
    zero = printed.zero(parent) if parent.name.startswith(_BUILTIN) else {}
    if key not in zero:
        found[f"f:{key}"] = whole(value, type)
    elif zero[key] != value:
        _compare(f"f:{key}", zero[key], value, type, found, {})


def _compare(name: str, old: Any, new: Any, type: Type, changed: Node, removed: Node) -> None:
    """Adds what differs between two unequal values under the path element `name`."""
    below_changed: Node = {}
    below_removed: Node = {}
    if _is_granular_pair(old, new, type):
        if isinstance(old or new, dict):
            _compare_objects(old or {}, new or {}, type, below_changed, below_removed)
        else:
            _compare_lists(old or [], new or [], type, below_changed, below_removed)
    elif type is UNKNOWN or (type.shape == "any" and not type.name):
        below_changed = {**whole(new, type), SELF: LEAF}
        below_removed = {key: child for key, child in whole(old, type).items() if key != SELF}
        if len(below_changed) == 1:
            below_changed = LEAF
        changed[name] = below_changed
        if below_removed:
            removed[name] = below_removed
        return
    else:
        changed[name] = LEAF
        return
    if below_changed:
        changed[name] = below_changed
    if below_removed:
        removed[name] = below_removed


def _is_granular_pair(old: Any, new: Any, type: Type) -> bool:
    """Both are objects, or both lists, with parts to compare; null counts as an empty one of either."""
    if not old and not new:
        return False
    if (old is None or isinstance(old, dict)) and (new is None or isinstance(new, dict)):
        return is_granular(type, old or new)
    if (old is None or isinstance(old, list)) and (new is None or isinstance(new, list)):
        return is_associative(type)
    return False


def _compare_lists(old: list[Any], new: list[Any], type: Type, changed: Node, removed: Node) -> None:
    before, after = items_by_element(type, old), items_by_element(type, new)
    inner = element_type(type)
    for name, items in after.items():
        known = before.get(name)
        if known is None:
            changed[name] = whole(items[0], inner) if len(items) == 1 else LEAF
        elif known != items:
            if len(items) == len(known) == 1:
                _compare(name, known[0], items[0], inner, changed, removed)
            else:
                _compare_duplicates(name, known, items, inner, changed, removed)
    for name in before.keys() - after.keys():
        removed[name] = whole(before[name][0], inner) if len(before[name]) == 1 else LEAF


def _compare_duplicates(name: str, old: list[Any], new: list[Any], type: Type, changed: Node, removed: Node) -> None:
    """Items that share a key have one owner together, who does not own their parts."""
    if len(old) > 1 and len(new) > 1:
        changed[name] = LEAF
    elif len(new) > 1:
        changed[name] = LEAF
        removed[name] = whole(old[0], type)
    else:
        changed[name] = whole(new[0], type)
