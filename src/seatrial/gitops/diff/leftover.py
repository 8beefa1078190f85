"""Fields that client-side apply once set and Git no longer has: a sync takes them over and drops them.

Server-side apply by itself leaves them, since `kubectl-client-side-apply` owns them: its dry run does not show them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.gitops.api import names
from seatrial.gitops.diff.normalise import LAST_APPLIED
from seatrial.gitops.diff.ownership import element_of, entries, identity_of, union
from seatrial.kube.model import objects
from seatrial.kube.model.patch.apply.fieldset import FieldSet

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.patch.apply.fieldset import Node

_APPLIERS = ("kubectl-client-side-apply", names.FIELD_MANAGER)
_SELF = "."


def without_leftovers(obj: Object, live: Object, desired: Object) -> Object:
    """`obj` without them; itself if there are none."""
    left = leftovers(live, desired)
    if not left:
        return obj
    made: Object = _without(obj, left)
    return made


def leftovers(live: Object, desired: Object) -> Node:
    """The paths, as a trie: applied before, not in `desired`, and nobody else's."""
    last = _last_applied(live)
    theirs = entries(live, _APPLIERS, "Update") if last else []
    if not theirs:
        return {}
    found = FieldSet(_dropped(union(theirs), last, desired))
    if found.is_empty():
        return {}
    own = [id(entry) for entry in theirs]
    others = [entry for entry in objects.metadata(live)["managedFields"] if id(entry) not in own]
    return (found - FieldSet(union(entry for entry in others if entry.get("manager") != names.FIELD_MANAGER))).node


def _last_applied(live: Object) -> Any:
    try:
        return orjson.loads(objects.annotations(live).get(LAST_APPLIED) or "null")
    except orjson.JSONDecodeError:
        return None


def _dropped(node: Node, last: Any, desired: Any) -> Node:
    found: Node = {}
    keys = [key for key in node if key != _SELF]
    if not keys:
        return found
    if keys[0][:2] == "f:" and isinstance(last, dict) and isinstance(desired, dict):
        before: Any = {f"f:{name}": value for name, value in last.items()}
        after: Any = {f"f:{name}": value for name, value in desired.items()}
    elif keys[0][:2] in ("k:", "v:") and isinstance(last, list) and isinstance(desired, list):
        identity = identity_of(node)
        names_of = {element_of(key): key for key in keys}
        before = {names_of.get(identity(item)): item for item in last}
        after = {names_of.get(identity(item)): item for item in desired}
    else:
        return found
    for key in keys:
        if key in before and key not in after:
            found[key] = node[key]
        elif key in before and (below := _dropped(node[key], before[key], after[key])):
            found[key] = below
    return found


def _without(value: Any, node: Node) -> Any:
    keys = [key for key in node if key != _SELF]
    if keys[0][:2] == "f:" and isinstance(value, dict):
        made = dict(value)
        for key in keys:
            name = key[2:]
            if name in made:
                _take(made, name, node[key])
        return made
    if keys[0][:2] in ("k:", "v:") and isinstance(value, list):
        identity = identity_of(node)
        by_element = {element_of(key): node[key] for key in keys}
        items = []
        for item in value:
            child = by_element.get(identity(item))
            if child is None:
                items.append(item)
            elif child and _SELF not in child:
                items.append(_without(item, child))
        return items
    return value


def _take(made: dict[str, Any], name: str, child: Node) -> None:
    """Drop the field, or what of it is to go; a mapping of which nothing is left goes too."""
    below = _without(made[name], child) if any(key != _SELF for key in child) else None
    if below:
        made[name] = below
    else:
        del made[name]
