"""JSON patch (RFC 6902), with the leniencies Kubernetes clients rely on.

As in Kubernetes' own library: negative array indices count from the end, `replace` of an absent object member
sets it, a missing `value` means null, and the whole document can be replaced and tested but not removed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.kube.model.objects import clone
from seatrial.kube.model.status import StatusError, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seatrial.kube.model.objects import Object

MAX_OPERATIONS = 10_000
"""What the API server accepts in one patch; more is a mistake or an attack."""

MAX_COPIED_BYTES = 3 * 1024 * 1024
"""All `copy` operations of a patch together: without a bound a short patch could double a value for ever."""

MAX_SHIFTED_ITEMS = 20_000_000
"""All insertions into and removals from lists together move at most so many items to make or fill the gap."""

_INDEX = re.compile(r"[+-]?[0-9]{1,9}")
_ABSENT = object()


class _Failed(Exception):
    """An operation that cannot be done on this document."""


def apply(document: Object, operations: Sequence[Object]) -> Object:
    """`document` after all `operations`, as a new dict. Raises StatusError 400, 413 or 422."""
    _check_shape(operations)
    patching = _Patching(clone(document))
    for index, operation in enumerate(operations):
        try:
            patching.do(operation)
        except _Failed as failed:
            raise _rejected(f"operation {index} ({operation.get('op')}): {failed}") from failed
    if not isinstance(patching.document, dict):
        raise _rejected("the patched document is not a JSON object")
    return patching.document


def _check_shape(operations: Any) -> None:
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch must be a list of operations")
    for index, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise bad_request(f"error decoding patch: operation {index} is not a JSON object")
        for key in ("op", "path", "from"):
            if not isinstance(operation.get(key, ""), str):
                raise bad_request(f'error decoding patch: "{key}" of operation {index} is not a string')
    if len(operations) > MAX_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise StatusError(413, "RequestEntityTooLarge", f"Request entity too large: {text}")


def _rejected(detail: str) -> StatusError:
    """422 with the message Kubernetes gives; unlike there, the causes say which operation failed and why."""
    return StatusError(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
        details={"causes": [{"reason": "UnexpectedServerResponse", "message": detail, "field": "patch"}]},
    )


class _Patching:
    """A document being changed in place by one operation after the other."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self._copied_bytes = 0
        self._shifted_items = 0
        self._actions: dict[str, Callable[[Object], None]] = {
            "add": lambda operation: self._add(_path(operation), _value(operation)),
            "remove": lambda operation: self._remove(_path(operation)),
            "replace": self._replace,
            "move": self._move,
            "copy": self._copy,
            "test": self._test,
        }

    def do(self, operation: Object) -> None:
        action = self._actions.get(operation.get("op", ""))
        if action is None:
            raise _Failed("unknown op, expected add, remove, replace, move, copy or test")
        action(operation)

    def _replace(self, operation: Object) -> None:
        path, value = _path(operation), _value(operation)
        if path == "":
            if not isinstance(value, dict | list):
                raise _Failed("only an object or a list can replace the whole document")
            self.document = value
            return
        holder, key = self._locate(path)
        if isinstance(holder, dict):
            holder[key] = value
        else:
            holder[_position(len(holder), key, path)] = value

    def _move(self, operation: Object) -> None:
        source = _path(operation, "from")
        value = self._get(source)
        self._remove(source)
        self._add(_path(operation), None if value is _ABSENT else value)

    def _copy(self, operation: Object) -> None:
        value = self._get(_path(operation, "from"))
        if value is _ABSENT:
            value = None
        copied = orjson.dumps(value)
        self._copied_bytes += len(copied)
        if self._copied_bytes > MAX_COPIED_BYTES:
            raise _Failed(f"copied more than {MAX_COPIED_BYTES} bytes in all, which is the limit")
        self._add(_path(operation), orjson.loads(copied))

    def _test(self, operation: Object) -> None:
        path = _path(operation)
        found = self.document if path == "" else self._get(path)
        expected = _value(operation)
        if not same(None if found is _ABSENT else found, expected):
            raise _Failed(f"testing value {path} failed")

    def _add(self, path: str, value: Any) -> None:
        holder, key = self._locate(path)
        if isinstance(holder, dict):
            holder[key] = value
        elif key == "-":
            holder.append(value)
        else:
            position = _position(len(holder) + 1, key, path)
            self._shift(len(holder) - position)
            holder.insert(position, value)

    def _remove(self, path: str) -> None:
        holder, key = self._locate(path)
        if isinstance(holder, list):
            position = _position(len(holder), key, path)
            self._shift(len(holder) - position)
            del holder[position]
        elif key in holder:
            del holder[key]
        else:
            raise _Failed(f"unable to remove nonexistent key {path}")

    def _shift(self, items: int) -> None:
        self._shifted_items += items
        if self._shifted_items > MAX_SHIFTED_ITEMS:
            raise _Failed(f"moved more than {MAX_SHIFTED_ITEMS} list items in all, which is the limit")

    def _get(self, path: str) -> Any:
        holder, key = self._locate(path)
        if isinstance(holder, list):
            return holder[_position(len(holder), key, path)]
        return holder.get(key, _ABSENT)

    def _locate(self, path: str) -> tuple[Any, str]:
        """The object or list that holds what `path` names, and its key there."""
        _, *parts = path.split("/")
        if not parts:
            raise _Failed(f'path "{path}" must begin with / and name a field')
        keys = [part.replace("~1", "/").replace("~0", "~") for part in parts]
        here = self.document
        for key in keys[:-1]:
            if isinstance(here, list):
                here = here[_position(len(here), key, path)]
            else:
                here = here.get(key)
            if not isinstance(here, dict | list):
                raise _Failed(f'doc is missing path: "{path}"')
        return here, keys[-1]


def _path(operation: Object, key: str = "path") -> str:
    path: str | None = operation.get(key)
    if path is None:
        raise _Failed(f'the operation has no "{key}"')
    return path


def _value(operation: Object) -> Any:
    """A copy, so that a later operation on the same place does not change the patch itself."""
    value = operation.get("value")
    return orjson.loads(orjson.dumps(value)) if isinstance(value, dict | list) else value


def _position(length: int, key: str, path: str) -> int:
    if not _INDEX.fullmatch(key):
        raise _Failed(f'"{key}" in {path} is not an array index')
    index = int(key)
    if not -length <= index < length:
        raise _Failed(f"index {index} in {path} is out of bounds")
    return index + length if index < 0 else index


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: unlike in Python, `true` is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
