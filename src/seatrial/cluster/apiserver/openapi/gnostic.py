"""OpenAPI 2 in protobuf: the only form in which Go clients ask for `/openapi/v2`.

Field numbers come from `data/gnostic_v2.json`, which `tools/generate_api_data.py` makes from the protobuf
definition of `openapi.v2.Document`. A value goes in as it stands in the JSON document; keys the definition does
not know are left out.
"""

from __future__ import annotations

import struct
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    Encoder = Callable[[Any], bytes]
    """The payload of one value, without tag; length-delimited types come with their length."""

_ANY_KEY, _EXTENSION = "*", "x-"
_VARINT, _FIXED64, _LENGTH = 0, 1, 2
_WIRE_TYPES = {"bool": _VARINT, "int64": _VARINT, "double": _FIXED64}


def document(frame: dict[str, Any], paths: bytes, definitions: bytes) -> bytes:
    """A whole document, of its frame and of encoded `named` entries."""
    parts = _encoder("Document")(frame)
    return b"".join((_content(parts), _part("paths", paths), _part("definitions", definitions)))


def named(section: str, entries: dict[str, Any]) -> bytes:
    """Entries of the document's `paths` or `definitions`, ready to be put behind others of the same section."""
    kind = _messages()["Document"][section][1]
    return _content(_encoder(kind)(entries))


def _part(section: str, content: bytes) -> bytes:
    number: int = _messages()["Document"][section][0]
    return _varint(number << 3 | _LENGTH) + _varint(len(content)) + content


def _content(delimited: bytes) -> bytes:
    """Without the length in front."""
    start = 1 + next(index for index, byte in enumerate(delimited) if byte < 0x80)
    return delimited[start:]


@cache
def _messages() -> dict[str, dict[str, Any]]:
    data = files("seatrial.kube.model").joinpath("data/gnostic_v2.json").read_bytes()
    found: dict[str, dict[str, Any]] = orjson.loads(data)["messages"]
    return found


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _delimited(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _string(value: Any) -> bytes:
    return _delimited(str(value).encode())


def _boolean(value: Any) -> bytes:
    return b"\x01" if value else b"\x00"


def _integer(value: Any) -> bytes:
    return _varint(int(value) & 0xFFFF_FFFF_FFFF_FFFF)


def _double(value: Any) -> bytes:
    return struct.pack("<d", value)


def _any(value: Any) -> bytes:
    """A value as YAML text; JSON is YAML."""
    return _delimited(_field("Any", "yaml") + _string(orjson.dumps(value).decode()))


def _field(message: str, key: str) -> bytes:
    """The tag of a field."""
    number, kind, _ = _messages()[message][key]
    return _varint(number << 3 | _WIRE_TYPES.get(kind, _LENGTH))


def _strings(message: str, key: str) -> Encoder:
    """A message that holds a list: the JSON value is the list, or its only member."""
    tag, encode = _field(message, key), _encoder(_messages()[message][key][1])

    def encoded(value: Any) -> bytes:
        members = value if isinstance(value, list) else [value]
        return _delimited(b"".join(tag + encode(member) for member in members))

    return encoded


def _choice(message: str, choose: Callable[[Any], str]) -> Encoder:
    """A message that is one of several; `choose` names which, by the JSON value."""

    def encoded(value: Any) -> bytes:
        chosen = choose(value)
        return _delimited(_field(message, chosen) + _encoder(_messages()[message][chosen][1])(value))

    return encoded


_SCALARS: dict[str, Encoder] = {
    "string": _string,
    "bool": _boolean,
    "int64": _integer,
    "double": _double,
    "Any": _any,
}
_LISTS = {"TypeItem": "value", "StringArray": "value", "ItemsItem": "schema"}
_CHOICES: dict[str, Callable[[Any], str]] = {
    "AdditionalPropertiesItem": lambda value: "boolean" if isinstance(value, bool) else "schema",
    "NonBodyParameter": lambda value: f"{value['in']}ParameterSubSchema",
    "Parameter": lambda value: "bodyParameter" if value["in"] == "body" else "nonBodyParameter",
    "ParametersItem": lambda value: "jsonReference" if "$ref" in value else "parameter",
    "ResponseValue": lambda value: "jsonReference" if "$ref" in value else "response",
    "SchemaItem": lambda _value: "schema",
    "SecurityDefinitionsItem": lambda _value: "apiKeySecurity",
}


@cache
def _encoder(kind: str) -> Encoder:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind in _LISTS:
        return _strings(kind, _LISTS[kind])
    if kind in _CHOICES:
        return _choice(kind, _CHOICES[kind])
    return _message(kind)


def _message(kind: str) -> Encoder:
    fields = _messages()[kind]

    def encoded(value: dict[str, Any]) -> bytes:
        out = []
        for key, item in value.items():
            found = fields.get(key)
            if found is not None:
                out.append(_member(kind, key, found[1], found[2], item))
            elif key.startswith(_EXTENSION) and _EXTENSION in fields:
                out.append(_named(kind, _EXTENSION, key, item))
            elif _ANY_KEY in fields:
                out.append(_named(kind, _ANY_KEY, key, item))
        return _delimited(b"".join(out))

    return encoded


def _member(message: str, key: str, kind: str, is_repeated: bool, value: Any) -> bytes:
    tag, encode = _field(message, key), _encoder(kind)
    if is_repeated:
        return b"".join(tag + encode(item) for item in value)
    return tag + encode(value)


def _named(message: str, key: str, name: str, value: Any) -> bytes:
    """An entry of a map: a message of `name` and `value`."""
    kind = _messages()[message][key][1]
    content = _field(kind, "name") + _string(name)
    content += _field(kind, "value") + _encoder(_messages()[kind]["value"][1])(value)
    return _field(message, key) + _delimited(content)
