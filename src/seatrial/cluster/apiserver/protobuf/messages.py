"""A Message knows how one protobuf message becomes JSON fields; its table is compiled when first needed.

The tables come from `data/protobuf.json`, which `tools/generate_api_data.py` makes from the protobuf
definitions of the target version: field number -> [JSON name, type, mode].
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.apiserver.protobuf import shapes, wire
from seatrial.cluster.apiserver.protobuf.wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    ReadBytes = Callable[[bytes, int, int, int], Any]
    """(data, start, stop, depth) -> JSON value."""
    Field = tuple[str, int, Callable[..., Any]]
    """JSON name, mode, reader."""

MAX_DEPTH = 100
"""Messages within messages. A level takes up to four Python frames, of which there are a thousand."""

KEEP, OMIT_ZERO, REPEATED, PACKED, MAP, INLINE = range(6)
_MODES = {"keep": KEEP, "omit": OMIT_ZERO, "repeated": REPEATED, "map": MAP, "inline": INLINE}
_INTEGERS: dict[str, Callable[[int], Any]] = {"int32": wire.int32, "int64": wire.int64, "bool": bool}


class Message:
    def __init__(self, table: dict[str, list[str]], shape: Callable[[dict[str, Any]], Any] | None = None) -> None:
        self._table = table
        self._shape = shape

    @cached_property
    def _fields(self) -> dict[int, Field]:
        """By tag: the field number and the wire type together, as they stand in the data."""
        found: dict[int, Field] = {}
        for number, (name, kind, mode) in self._table.items():
            found.update(_compile(int(number), name, kind, _MODES[mode]))
        return found

    def value(self, data: bytes, start: int, stop: int, depth: int) -> Any:
        """This message as the JSON value it stands for."""
        fields: dict[str, Any] = {}
        self.read(data, start, stop, fields, depth)
        return fields if self._shape is None else self._shape(fields)

    def read(self, data: bytes, position: int, end: int, into: dict[str, Any], depth: int) -> None:
        """Add the fields found between `position` and `end` to `into`. The inner loop of all decoding."""
        if depth > MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} levels deep")
        known = self._fields
        depth += 1
        while position < end:
            tag = data[position]
            position += 1
            if tag >= 0x80:
                tag, position = wire.varint(data, position - 1)
            field = known.get(tag)
            if field is None:
                position = self._step_over(data, position, tag)
                continue
            name, mode, reader = field
            wire_type = tag & 7
            if wire_type == wire.LENGTH:
                size = data[position]
                position += 1
                if size >= 0x80:
                    size, position = wire.varint(data, position - 1)
                stop = position + size
                if stop > end:
                    raise IndexError
                if mode == INLINE:
                    reader(data, position, stop, into, depth)
                    position = stop
                    continue
                value = reader(data, position, stop, depth)
                position = stop
            elif wire_type == wire.VARINT:
                value = data[position]
                position += 1
                if value >= 0x80:
                    value, position = wire.varint(data, position - 1)
                value = reader(value)
            else:
                value = reader(data, position)
                position += 8
            if mode == KEEP:
                if value is not None:
                    into[name] = value
            elif mode == OMIT_ZERO:
                if value:
                    into[name] = value
            elif mode == MAP:
                into.setdefault(name, {})[value[0]] = value[1]
            elif mode == REPEATED:
                into.setdefault(name, []).append(value)
            else:
                into.setdefault(name, []).extend(value)
        if position != end:
            raise IndexError

    def _step_over(self, data: bytes, position: int, tag: int) -> int:
        number = tag >> 3
        if number == 0:
            raise Malformed(f"the field before byte {position} has number 0")
        if str(number) in self._table:
            name = self._table[str(number)][0]
            raise Malformed(f"field {number} ({name}) before byte {position} has the wrong wire type {tag & 7}")
        return wire.skip(data, position, tag & 7)


def _compile(number: int, name: str, kind: str, mode: int) -> dict[int, Field]:
    if kind in _INTEGERS:
        convert = _INTEGERS[kind]
        fields: dict[int, Field] = {number << 3 | wire.VARINT: (name, mode, convert)}
        if mode == REPEATED:
            fields[number << 3 | wire.LENGTH] = (name, PACKED, _packed(convert))
        return fields
    if kind == "double":
        return {number << 3 | wire.FIXED64: (name, mode, wire.double)}
    reader: Callable[..., Any] = _reader(kind)
    if mode == INLINE:
        reader = message(kind).read
    elif mode == MAP:
        reader = _map_entry(reader)
    return {number << 3 | wire.LENGTH: (name, mode, reader)}


def _reader(kind: str) -> ReadBytes:
    if kind == "string":
        return _string
    if kind == "bytes":
        return _base64
    return _span if kind == "span" else message(kind).value


def _string(data: bytes, start: int, stop: int, _depth: int) -> str:
    return data[start:stop].decode()


def _base64(data: bytes, start: int, stop: int, _depth: int) -> str:
    return b64encode(data[start:stop]).decode()


def _span(_data: bytes, start: int, stop: int, _depth: int) -> tuple[int, int]:
    """Where bytes are, for whoever reads them in place."""
    return start, stop


def _packed(convert: Callable[[int], Any]) -> ReadBytes:
    def read(data: bytes, position: int, stop: int, _depth: int) -> list[Any]:
        found = []
        while position < stop:
            value, position = wire.varint(data, position)
            found.append(convert(value))
        if position != stop:
            raise IndexError
        return found

    return read


def _map_entry(read_value: ReadBytes) -> ReadBytes:
    """A map is a repeated message of key (1) and value (2); either is left out when empty."""
    entry = Message({})
    entry._fields = {
        1 << 3 | wire.LENGTH: ("key", KEEP, _string),
        2 << 3 | wire.LENGTH: ("value", KEEP, read_value),
    }

    def read(data: bytes, start: int, stop: int, depth: int) -> tuple[str, Any]:
        found: dict[str, Any] = {}
        entry.read(data, start, stop, found, depth)
        value = found["value"] if "value" in found else read_value(b"", 0, 0, depth)
        return found.get("key", ""), value

    return read


ENVELOPE = Message(
    {
        "1": ["typeMeta", "runtime.TypeMeta", "keep"],
        "2": ["raw", "span", "keep"],
        "3": ["contentEncoding", "string", "keep"],
        "4": ["contentType", "string", "keep"],
    }
)
"""`runtime.Unknown`, with its content left in place."""


@cache
def _data() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(files("seatrial.kube.model").joinpath("data/protobuf.json").read_bytes())
    return found


@cache
def message(name: str) -> Message:
    """The message of a short name such as `core.v1.Container`."""
    data = _data()
    shape = shapes.items if name in data["wrappers"] else shapes.OWN_JSON.get(name)
    return Message(data["messages"][name], shape)


def for_kind(api_version: str, kind: str) -> Message | None:
    """The message of a kind; options and Status belong to every version."""
    kinds = _data()["kinds"]
    name = kinds.get(f"{api_version} {kind}") or kinds.get(kind)
    return message(name) if name else None
