"""Strategic merge patch: a merge patch that knows from the schema which lists are merged, and by which key.

`apply` serves PATCH with `application/strategic-merge-patch+json`; `diff` makes such patches as kubectl does.
Directives a patch may hold, beside plain values (a null deletes):

* `$patch: replace | delete` in an object or in an item of a merged list,
* `$retainKeys: [...]`: fields of the object not listed are dropped,
* `$setElementOrder/<list>: [...]`: the order the merged list must have,
* `$deleteFromPrimitiveList/<list>: [...]`: values to drop from a merged list of scalars.

What a list, its items' key and its order mean: Kubernetes' design proposals "strategic merge patch" and
"preserve order in strategic merge patch".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model.status import StatusError, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.schema.types import Type

PATCH = "$patch"
RETAIN_KEYS = "$retainKeys"
SET_ORDER = "$setElementOrder/"
DELETE_FROM = "$deleteFromPrimitiveList/"


def apply(target: Object, patch: Object, type: Type) -> Object:
    """`target` changed by `patch`, as a new dict sharing what did not change. Raises StatusError 400, 422."""
    if not isinstance(patch, dict):
        raise bad_request("invalid JSON document: a strategic merge patch must be a JSON object")
    return _merge_object(target, patch, type)


def _merge_object(old: Object, patch: Object, type: Type | None) -> Object:
    if PATCH in patch:
        return _obey(patch[PATCH], patch)
    _check_directives(patch)
    merged = _retained(old, patch)
    ordered = {key.removeprefix(SET_ORDER) for key in patch if key.startswith(SET_ORDER)}
    for name in ordered:
        _merge_ordered(merged, patch, name, _field(type, name))
    for key, value in patch.items():
        if not _is_directive_key(key) and key not in ordered:
            _merge_field(merged, key, value, _field(type, key))
    for key, value in patch.items():
        if key.startswith(DELETE_FROM):
            _delete_scalars(merged, key.removeprefix(DELETE_FROM), value)
    return merged


def _obey(directive: Any, patch: Object) -> Object:
    if directive == "delete":
        return {}
    if directive == "replace":
        return {key: plain(value) for key, value in patch.items() if not _is_directive_key(key)}
    raise bad_request(f"unknown patch type: {directive!r} in {PATCH}, expected replace or delete")


def _check_directives(patch: Object) -> None:
    for key, value in patch.items():
        if key.startswith(DELETE_FROM) and not isinstance(value, list | None):
            raise bad_request("invalid patch format of primitive list")
        if key.startswith(SET_ORDER) and not isinstance(value, list):
            raise bad_request("invalid patch format of setElementOrder list")
    if DELETE_FROM.rstrip("/") in patch:
        raise bad_request("invalid patch format of primitive list")
    if SET_ORDER.rstrip("/") in patch:
        raise bad_request("invalid patch format of setElementOrder list")


def _retained(old: Object, patch: Object) -> Object:
    """A copy of `old`, without what `$retainKeys` does not list."""
    if RETAIN_KEYS not in patch:
        return dict(old)
    keys = patch[RETAIN_KEYS]
    if not isinstance(keys, list):
        raise bad_request("invalid patch format of retainKeys")
    unlisted = [
        key for key, value in patch.items() if value is not None and not _is_directive_key(key) and key not in keys
    ]
    if unlisted:
        raise bad_request(f"invalid patch format of retainKeys: it does not list {', '.join(unlisted)}")
    return {key: value for key, value in old.items() if key in keys}


def _merge_field(merged: Object, key: str, value: Any, type: Type | None) -> None:
    if value is None:
        merged.pop(key, None)
        return
    if isinstance(value, dict) and PATCH in value and not isinstance(merged.get(key), dict):
        merged.pop(key, None)  # nothing there to replace or delete
        return
    old = merged.get(key)
    if isinstance(value, dict) and isinstance(old, dict):
        replaces = type is not None and "replace" in type.patch_strategy
        merged[key] = plain(value) if replaces else _merge_object(old, value, type)
    elif isinstance(value, list) and isinstance(old, list):
        merged[key] = _merge_list(old, value, type)
    else:
        merged[key] = plain(value)


def _delete_scalars(merged: Object, key: str, values: list[Any] | None) -> None:
    old = merged.get(key)
    if isinstance(old, list) and values:
        merged[key] = [item for item in old if item not in values]


def _merge_ordered(merged: Object, patch: Object, name: str, type: Type | None) -> None:
    """Merge the list `name` and bring it into the order of its `$setElementOrder`."""
    order, old, given = patch[SET_ORDER + name], merged.get(name), patch.get(name)
    for values in (old, given):
        if not isinstance(values, list | None):
            raise bad_request(f"invalid patch format of setElementOrder list: {name} is not a list")
    merge_key = type.merge_key if type is not None else ""
    _check_order(given or [], order, merge_key)
    if old is None and given is None:
        return
    if old is None:
        items = plain(given)
    else:
        items = old if given is None else _merge_list(old, given, type)
    merged[name] = _interleave(items, order, old or [], _identity_of(merge_key, type))


def _check_order(given: list[Any], order: list[Any], merge_key: str) -> None:
    """The items of the patch must appear in `order`, in the same sequence."""
    if not order:
        return
    identity = _identity_of(merge_key, None)
    rest = iter([identity(item) for item in order])
    for item in given:
        if isinstance(item, dict) and PATCH in item:
            continue
        if identity(item) not in rest:
            raise bad_request(
                f"invalid patch format of setElementOrder list: the order in the patch list {given} "
                f"does not match {order}"
            )


def _merge_list(old: list[Any], patch: list[Any], type: Type | None) -> list[Any]:
    if type is None or "merge" not in type.patch_strategy:
        return plain_list(patch)
    if not old and not patch:
        return old
    _reject_lists_of_lists(old, patch)
    if type.merge_key:
        return _merge_keyed(old, patch, type)
    if any(isinstance(item, dict) for item in (*old, *patch)):
        raise bad_request("cannot merge lists of objects without merge key")
    united = list(dict.fromkeys([*old, *patch]))
    return _interleave(united, patch, old, _identity_of("", type))


def _reject_lists_of_lists(*lists: list[Any]) -> None:
    if any(isinstance(item, list) for items in lists for item in items):
        raise StatusError(422, "Invalid", "lists of lists are not supported")


def _merge_keyed(old: list[Any], patch: list[Any], type: Type) -> list[Any]:
    identity = _identity_of(type.merge_key, type)
    directives = [item for item in patch if isinstance(item, dict) and PATCH in item]
    changes = [item for item in patch if not (isinstance(item, dict) and PATCH in item)]
    kept, replace = _after_directives(old, directives, identity)
    if replace:
        return plain_list(changes)
    merged = list(kept)
    where = {identity(item): index for index, item in reversed(list(enumerate(merged)))}
    for item in changes:
        key = identity(item)
        if key in where:
            merged[where[key]] = _merge_object(merged[where[key]], item, type.element)
        else:
            where[key] = len(merged)
            merged.append(plain(item))
    return _interleave(merged, changes, kept, identity)


def _after_directives(
    old: list[Any], directives: list[Object], identity: Callable[[Any], Hashable]
) -> tuple[list[Any], bool]:
    """What the `$patch` items of a list leave of it, and whether it is replaced altogether."""
    dropped: set[Hashable] = set()
    replace = False
    for item in directives:
        if item[PATCH] == "delete":
            dropped.add(identity(item))
        elif item[PATCH] == "replace":
            replace = True
        else:
            raise bad_request(f"unknown patch type: {item[PATCH]!r} in {item}, expected replace or delete")
    if not dropped:
        return old, replace
    return [item for item in old if identity(item) not in dropped], replace


def _interleave(
    items: list[Any],
    order: list[Any],
    server_order: list[Any],
    identity: Callable[[Any], Hashable],
) -> list[Any]:
    """Bring items named in `order` into that order, and put the others where the server had them.

    Of two neighbours of which only one is in `order`, the one that came first on the server comes first; if
    the server knew only one of them, the ordered one does.
    """
    wanted = _ranks(map(identity, order))
    before = _ranks(map(identity, server_order))
    ordered = [item for item in items if identity(item) in wanted]
    others = [item for item in items if identity(item) not in wanted]
    ordered.sort(key=lambda item: wanted[identity(item)])
    others.sort(key=lambda item: before.get(identity(item), len(before)))
    result: list[Any] = []
    position = 0
    for item in ordered:
        rank = before.get(identity(item))
        while rank is not None and position < len(others):
            other = before.get(identity(others[position]))
            if other is None or other > rank:
                break
            result.append(others[position])
            position += 1
        result.append(item)
    return [*result, *others[position:]]


def _ranks(keys: Iterable[Hashable]) -> dict[Hashable, int]:
    ranks: dict[Hashable, int] = {}
    for index, key in enumerate(keys):
        ranks.setdefault(key, index)
    return ranks


def _identity_of(merge_key: str, type: Type | None) -> Callable[[Any], Hashable]:
    """What makes an item of a merged list itself: the value of its merge key, or the scalar it is."""

    def identity(item: Any) -> Hashable:
        if not merge_key:
            if isinstance(item, dict | list):
                raise bad_request("cannot merge lists of objects without merge key")
            return (item.__class__, item)
        if not isinstance(item, dict):
            raise bad_request(f"expected an object with the merge key {merge_key}, but received {item!r}")
        if merge_key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {merge_key}")
        value = item[merge_key]
        return (value.__class__, str(value))

    return identity


def _field(type: Type | None, key: str) -> Type | None:
    if type is None:
        return None
    return type.fields.get(key) or type.element


def plain(value: Any) -> Any:
    """A value that has nothing to merge with: its nulls and directives mean nothing and are dropped."""
    if isinstance(value, dict):
        return {
            key: plain(child)
            for key, child in value.items()
            if child is not None and not _is_directive_key(key) and not _is_directive(child)
        }
    return plain_list(value) if isinstance(value, list) else value


def plain_list(values: list[Any]) -> list[Any]:
    return [plain(item) for item in values if not _is_directive(item)]


def _is_directive(value: Any) -> bool:
    return isinstance(value, dict) and PATCH in value


def _is_directive_key(key: str) -> bool:
    return key.startswith("$") and (key in (PATCH, RETAIN_KEYS) or key.startswith((SET_ORDER, DELETE_FROM)))


def diff(old: Object, new: Object, type: Type) -> Object:
    """A patch that makes `new` of `old`, in the form kubectl sends. Neither may hold nulls."""
    return _diff_object(old, new, type)


def _diff_object(old: Object, new: Object, type: Type | None) -> Object:
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif old[key] != value:
            _diff_field(patch, key, old[key], value, _field(type, key))
    return patch


def _diff_field(patch: Object, key: str, old: Any, new: Any, type: Type | None) -> None:
    strategy = type.patch_strategy if type is not None else frozenset()
    if isinstance(old, dict) and isinstance(new, dict) and "replace" not in strategy:
        patch[key] = _diff_object(old, new, type)
        if "retainKeys" in strategy and new:
            patch[key][RETAIN_KEYS] = sorted(new)
    elif isinstance(old, list) and isinstance(new, list) and old and type is not None and "merge" in strategy:
        _diff_list(patch, key, old, new, type)
    else:
        patch[key] = new


def _diff_list(patch: Object, key: str, old: list[Any], new: list[Any], type: Type) -> None:
    if not _is_mergeable(old, type.merge_key) or not _is_mergeable(new, type.merge_key):
        if type.merge_key:  # duplicates or items without key can only be sent whole
            patch[key] = [*new, {PATCH: "replace"}]
        return
    if type.merge_key:
        changes = _diff_items(old, new, type)
        patch[SET_ORDER + key] = [{type.merge_key: item[type.merge_key]} for item in new]
    else:
        changes = [item for item in new if item not in old]
        patch[SET_ORDER + key] = new
        dropped = [item for item in old if item not in new]
        if dropped:
            patch[DELETE_FROM + key] = dropped
    if changes:
        patch[key] = changes


def _diff_items(old: list[Any], new: list[Any], type: Type) -> list[Any]:
    identity = _identity_of(type.merge_key, type)
    before = {identity(item): item for item in old}
    after = {identity(item) for item in new}
    changes: list[Any] = []
    for item in new:
        known = before.get(identity(item))
        if known is None:
            changes.append(item)
        elif known != item:
            change = _diff_object(known, item, type.element)
            if "retainKeys" in type.patch_strategy:
                change[RETAIN_KEYS] = sorted(item)
            changes.append({**change, type.merge_key: item[type.merge_key]})
    gone = [item for item in old if identity(item) not in after]
    return [*changes, *({PATCH: "delete", type.merge_key: item[type.merge_key]} for item in gone)]


def _is_mergeable(items: list[Any], merge_key: str) -> bool:
    """Every item has an identity, and no two the same."""
    if not merge_key:
        return not any(isinstance(item, dict | list) for item in items) and len(set(items)) == len(items)
    if not all(isinstance(item, dict) and merge_key in item for item in items):
        return False
    return len({str(item[merge_key]) for item in items}) == len(items)
