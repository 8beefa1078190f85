"""YAML as the API server reads it. Imported when the first YAML body comes: most clients send JSON.

It is read from the event stream, not through a loader: so depth, aliases and types are ours to bound. The types
are those of YAML 1.1 as `sigs.k8s.io/yaml` gives them: `yes` is true, `0777` is octal, a timestamp is a string.
"""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from seatrial.kube.model import status
from seatrial.kube.model.schema.duplicates import MAX_DUPLICATES

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

MAX_DEPTH = 200
"""Levels of a YAML document; the deepest schemas in use have about forty."""
MAX_NODES = 500_000
"""Values of a YAML document with its aliases expanded: more than the largest body can spell out honestly."""
_TRUE = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
_FALSE = frozenset(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_INTEGER = re.compile(r"([-+]?)(0b[01]+|0[xX][0-9a-fA-F]+|0o[0-7]+|0[0-7]*|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_A_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_TAG = "tag:yaml.org,2002:"


def load_yaml(body: bytes, duplicates: list[str] | None = None) -> Object:
    """The first document of a YAML (or JSON) body. Raises 400.

    `duplicates` gets a line for each key that a mapping has twice; the last value counts.
    """
    builder = _Builder([] if duplicates is None else duplicates)
    try:
        for event in yaml.parse(body, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.DocumentEndEvent):
                break
            builder.take(event)
    except yaml.YAMLError as error:
        raise _bad(_first_line(error)) from None
    if not isinstance(builder.result, dict):
        raise _bad("expected a mapping with apiVersion and kind")
    return builder.result


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is not closed yet."""

    content: dict[str, Any] | list[Any]
    anchor: str | None
    key: str | None = None
    expects_key: bool = True
    merged: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Builder:
    """Puts values together from parse events, with its own stack: depth costs no recursion."""

    duplicates: list[str]
    result: Any = None
    _stack: list[_Frame] = field(default_factory=list)
    _anchors: dict[str, Any] = field(default_factory=dict)
    _nodes: int = 0

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = value
            self._put(value, event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open({}, event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open([], event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(event)
        elif isinstance(event, yaml.AliasEvent):
            self._put(self._alias(event.anchor), event)

    def _open(self, content: dict[str, Any] | list[Any], event: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise _bad(f"nested more than {MAX_DEPTH} levels deep")
        if self._stack and isinstance(self._stack[-1].content, dict) and self._stack[-1].expects_key:
            raise _bad(f"line {event.start_mark.line + 1}: a mapping's key must be a scalar")
        self._stack.append(_Frame(content, event.anchor))

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        if isinstance(frame.content, dict):
            for merged in frame.merged:
                for key, value in merged.items():
                    frame.content.setdefault(key, value)
        if frame.anchor:
            self._anchors[frame.anchor] = frame.content
        self._put(frame.content, event)

    def _put(self, value: Any, event: Any) -> None:
        self._count()
        if not self._stack:
            self.result = value
            return
        frame = self._stack[-1]
        if isinstance(frame.content, list):
            frame.content.append(value)
        elif frame.expects_key:
            frame.key, frame.expects_key = _key(value, event), False
        else:
            self._set(frame, frame.content, value, event)

    def _set(self, frame: _Frame, content: dict[str, Any], value: Any, event: Any) -> None:
        key = frame.key or ""
        frame.expects_key = True
        if key == "<<":
            frame.merged += _mappings(value, event)
            return
        if key in content and len(self.duplicates) < MAX_DUPLICATES:
            self.duplicates.append(f'line {event.start_mark.line + 1}: key "{key}" already set in map')
        content[key] = value

    def _alias(self, anchor: str | None) -> Any:
        """A copy of what the anchor names, every value of it counted."""
        if anchor is None or anchor not in self._anchors:
            raise _bad(f"unknown anchor {anchor!r} (or an anchor that contains itself)")
        return self._copy(self._anchors[anchor], MAX_DEPTH - len(self._stack))

    def _copy(self, value: Any, levels: int) -> Any:
        self._count()
        if not isinstance(value, dict | list):
            return value
        if levels <= 0:
            raise _bad(f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(value, list):
            return [self._copy(item, levels - 1) for item in value]
        return {key: self._copy(item, levels - 1) for key, item in value.items()}

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _bad(f"more than {MAX_NODES} values (aliases expanded)")


def _scalar(event: Any) -> Any:
    """The JSON value of a scalar: typed by its tag, else by its spelling if it is plain."""
    text, tag = event.value, (event.tag or "").removeprefix(_TAG)
    if tag == "binary":
        return _binary(text)
    if tag == "str" or (not tag and not event.implicit[0]):
        return text
    return _plain(text)


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        raise _bad("!!binary value contains invalid base64 data or no text") from None


def _plain(text: str) -> Any:
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text[0] not in "+-.0123456789":
        return text
    if _NOT_A_NUMBER.fullmatch(text):
        raise _bad(f"{text} has no JSON form: quote it if a string is meant")
    return _number(text)


def _number(text: str) -> Any:
    bare = text.replace("_", "")
    matched = _INTEGER.fullmatch(bare)
    if matched and len(bare) <= 70:
        sign, digits = matched.groups()
        number = _integer(digits) * (-1 if sign == "-" else 1)
        if -(2**63) <= number < 2**64:
            return number
    if not _FLOAT.fullmatch(bare):
        return text
    real = float(bare)
    if not math.isfinite(real):
        return text
    # 1.0 becomes 1 on the way to JSON.
    return int(real) if real.is_integer() and abs(real) < 2**53 else real


def _integer(digits: str) -> int:
    if digits[0] != "0" or len(digits) == 1:
        return int(digits)
    if digits[1] in "bBxX":
        return int(digits, 0)
    return int(digits.replace("o", "") or "0", 8)


def _key(value: Any, event: Any) -> str:
    """Keys that are not strings become the strings JSON would print."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise _bad(f"line {event.start_mark.line + 1}: a mapping's key must be a string, number or boolean")


def _mappings(value: Any, event: Any) -> list[dict[str, Any]]:
    """What `<<` merges: a mapping or a list of them, earlier ones first."""
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in found):
        raise _bad(f"line {event.start_mark.line + 1}: map merge requires map or sequence of maps as the value")
    return found


def _first_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark else ""
    return where + str(getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid YAML")


def _bad(why: str) -> status.StatusError:
    return status.bad_request(f"error converting YAML to JSON: yaml: {why}")
