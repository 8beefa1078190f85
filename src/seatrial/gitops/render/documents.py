"""Documents: manifests as text -> objects, read as Kubernetes reads them (YAML 1.1, and JSON).

Nothing here recurses and nothing is shared: how deep a document is and how much its aliases unfold to is bounded, so
that a few lines of YAML cannot take the memory or the stack. Runs in the workers: a megabyte takes a second.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_VALUES = 2_000_000
"""Of one file, aliases unfolded."""
_DEEPEST = 200
_MOST_OBJECTS = 20_000
_MARKERS = (b"apiVersion:", b"kind:", b"metadata:")
_TAG = "tag:yaml.org,2002:"

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_MAY_BE_NUMBER = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_IN_JSON = frozenset((".nan", ".NaN", ".NAN")) | frozenset(
    sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
)
_MERGE = object()


class BadDocument(Exception):
    """Says where and why, without the file's name."""


class Named(NamedTuple):
    file: str
    content: bytes


def objects(files: list[Named], *, strict: bool, lenient: bool = False) -> list[dict[str, Any]]:
    """All objects, lists unfolded, in order. `strict` refuses keys that are given twice.

    `lenient` passes over a file that does not look like manifests at all, as Argo CD does in a plain directory.
    Raises BadDocument.
    """
    found: list[dict[str, Any]] = []
    for file in files:
        own: list[dict[str, Any]] = []
        try:
            for number, document in enumerate(_parsed(file, strict), 1):
                own += _unfolded(document, f"document {number}")
        except BadDocument as error:
            if lenient and not own and not all(marker in file.content for marker in _MARKERS):
                continue
            raise BadDocument(f"{file.file}: {error}") from None
        found += own
        if len(found) > _MOST_OBJECTS:
            raise BadDocument(f"more than {_MOST_OBJECTS} objects")
    return found


def documents(content: bytes, *, strict: bool = True) -> Iterator[Any]:
    """Each document of YAML that is not empty. Raises BadDocument."""
    parser = _Builder(content, strict)
    try:
        yield from parser.documents()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise BadDocument(_said(error)) from None
    finally:
        parser.dispose()


def single(content: bytes) -> Any:
    """The only document (None if there is none). Raises BadDocument."""
    found = list(documents(content))
    if len(found) > 1:
        raise BadDocument("expected one document")
    return found[0] if found else None


def _parsed(file: Named, strict: bool) -> Iterator[Any]:
    if not file.file.endswith(".json"):
        yield from documents(file.content, strict=strict)
        return
    try:
        yield orjson.loads(file.content)
    except orjson.JSONDecodeError as error:
        raise BadDocument(f"it is not JSON: {error.msg} in line {error.lineno}") from None


def _unfolded(document: Any, where: str) -> Iterator[dict[str, Any]]:
    if document is None:
        return
    if not isinstance(document, dict):
        raise BadDocument(f"{where}: expected an object with apiVersion and kind, found {_kind(document)}")
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str) or not document[field]:
            raise BadDocument(f"{where}: {field} is missing: expected an object with apiVersion and kind")
    items = document.get("items")
    if not (document["kind"].endswith("List") and isinstance(items, list)):
        yield document
        return
    pending = [(item, f"{where}, items[{number}]") for number, item in enumerate(items)]
    for item, place in pending:
        if isinstance(item, dict) and "kind" not in item and document["kind"] != "List":
            item = {"apiVersion": document["apiVersion"], "kind": document["kind"].removesuffix("List"), **item}
        yield from _unfolded(item, place)


def _kind(value: Any) -> str:
    names = {bool: "true or false", str: "text", list: "a list", int: "a number", float: "a number"}
    return names.get(type(value), "something else")


def _said(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or str(error).splitlines()[0][:200]
    return f"line {mark.line + 1}: {said}" if mark is not None else f"it is not YAML: {said}"


class _Open:
    """A list or a mapping that is not yet complete."""

    __slots__ = ("anchor", "before", "key", "merged", "value", "waits")

    def __init__(self, value: Any, anchor: str | None, before: int) -> None:
        self.value = value
        self.anchor = anchor
        self.before = before
        self.key: Any = None
        self.waits = False  # for the value of `key`
        self.merged: list[Any] = []


class _Builder:
    def __init__(self, content: bytes, strict: bool) -> None:
        self._parser: Any = yaml.CLoader(content)
        self._strict = strict
        self._count = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._root: Any = None

    def dispose(self) -> None:
        self._parser.dispose()

    def documents(self) -> Iterator[Any]:
        event_of = self._parser.get_event
        while (event := event_of()) is not None:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._begin({}, event)
            elif kind is yaml.SequenceStartEvent:
                self._begin([], event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end(event)
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                self._root = None
                self._anchors.clear()
            elif kind is yaml.DocumentEndEvent and self._root is not None:
                yield self._root

    def _begin(self, value: Any, event: Any) -> None:
        self._spend(1, event)
        if len(self._open) >= _DEEPEST:
            raise BadDocument(f"{_line(event)}: nested deeper than {_DEEPEST} levels")
        if self._open and isinstance(self._open[-1].value, dict) and not self._open[-1].waits:
            raise BadDocument(f"{_line(event)}: a key must be text")
        self._open.append(_Open(value, event.anchor, self._count))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        for merged in done.merged:
            for key, value in merged.items():
                done.value.setdefault(key, value)
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.value, self._count - done.before + 1)
        self._place(done.value, event)

    def _scalar(self, event: Any) -> None:
        self._spend(1, event)
        frame = self._open[-1] if self._open else None
        if frame is not None and not frame.waits and isinstance(frame.value, dict):
            self._key(frame, event)
            if event.anchor is not None:
                self._anchors[event.anchor] = (frame.key, 1)
            return
        value = _value(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._place(value, event)

    def _key(self, frame: _Open, event: Any) -> None:
        if event.implicit[0] and event.value == "<<":
            frame.key, frame.waits = _MERGE, True
            return
        self._keyed(frame, _value(event), event)

    def _keyed(self, frame: _Open, value: Any, event: Any) -> None:
        if value is None or isinstance(value, dict | list):
            raise BadDocument(f"{_line(event)}: a key must be text")
        key = value if isinstance(value, str) else orjson.dumps(value).decode()
        if self._strict and key in frame.value:
            raise BadDocument(f"{_line(event)}: the key {key[:100]!r} is given twice")
        frame.key, frame.waits = key, True

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise BadDocument(f"{_line(event)}: there is no anchor &{event.anchor} before it")
        value, size = self._anchors[event.anchor]
        self._spend(size, event)
        frame = self._open[-1] if self._open else None
        if frame is not None and isinstance(frame.value, dict) and not frame.waits:
            self._keyed(frame, value, event)
            return
        self._place(_copy(value), event)

    def _place(self, value: Any, event: Any) -> None:
        if not self._open:
            self._root = value
            return
        frame = self._open[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is _MERGE:
            merged = value if isinstance(value, list) else [value]
            if not all(isinstance(item, dict) for item in merged):
                raise BadDocument(f"{_line(event)}: << takes mappings")
            frame.merged += merged
            frame.waits = False
        else:
            frame.value[frame.key] = value
            frame.waits = False

    def _spend(self, values: int, event: Any) -> None:
        self._count += values
        if self._count > _MOST_VALUES:
            raise BadDocument(f"{_line(event)}: it unfolds to more than {_MOST_VALUES} values")


def _line(event: Any) -> str:
    return f"line {event.start_mark.line + 1}"


def _copy(value: Any) -> Any:
    """Bounded in depth and size by whoever built it."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _value(event: Any) -> Any:
    text: str = event.value
    if event.tag is None or event.tag == "!":
        return _plain(text, event) if event.implicit[0] else text
    return _tagged(text, event.tag.removeprefix(_TAG), event)


def _tagged(text: str, tag: str, event: Any) -> Any:
    if tag == "binary":
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise BadDocument(f"{_line(event)}: !!binary that is not text in base64") from None
    if tag == "float":
        found = _plain(text, event)
        return found if isinstance(found, int | float) and not isinstance(found, bool) else text
    return _plain(text, event) if tag in ("int", "bool", "null") else text


def _plain(text: str, event: Any) -> Any:
    """As an unquoted scalar is understood: YAML 1.1, but for dates and base 60, which stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER:
        return text
    if text in _NOT_IN_JSON:
        raise BadDocument(f"{_line(event)}: {text} is not a value JSON has")
    plain = text.replace("_", "")
    if _INTEGER.fullmatch(plain):
        found = _integer(plain)
        if -(1 << 63) <= found < 1 << 64:
            return found
    if _FLOAT.fullmatch(plain):
        number = float(plain)
        if number in (float("inf"), float("-inf")):
            raise BadDocument(f"{_line(event)}: {text[:50]} is too large a number")
        # JSON does not tell 1.0 from 1, nor does Kubernetes after reading it.
        return int(number) if number.is_integer() and abs(number) < 1 << 63 else number
    return text


def _integer(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    lowered = digits.lower()
    if lowered.startswith("0x"):
        return sign * int(lowered[2:], 16)
    if lowered.startswith("0b"):
        return sign * int(lowered[2:], 2)
    if lowered.startswith("0") and len(lowered) > 1:
        return sign * int(lowered.removeprefix("0").removeprefix("o") or "0", 8)
    return sign * int(lowered)
