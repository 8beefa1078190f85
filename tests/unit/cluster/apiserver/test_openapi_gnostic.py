"""The protobuf form of OpenAPI 2 says what the JSON form says.

It is read back with the same field table that wrote it; that the table is right is what the generator sees to,
which takes it from the protobuf definition.
"""

from __future__ import annotations

import struct
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.cluster.apiserver.openapi import OpenAPI, gnostic

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES = orjson.loads(files("seatrial.kube.model").joinpath("data/gnostic_v2.json").read_bytes())["messages"]
CHOICES = {
    "AdditionalPropertiesItem",
    "NonBodyParameter",
    "Parameter",
    "ParametersItem",
    "ResponseValue",
    "SchemaItem",
    "SecurityDefinitionsItem",
}


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
            yield tag >> 3, value
        elif tag & 7 == 1:
            yield tag >> 3, struct.unpack_from("<d", data, at)[0]
            at += 8
        else:
            size, at = varint(data, at)
            yield tag >> 3, data[at : at + size]
            at += size


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7


def read(kind: str, data: Any) -> Any:
    """The JSON value of a message."""
    if kind == "string":
        return data.decode()
    if kind in ("int64", "double"):
        return data
    if kind == "bool":
        return bool(data)
    if kind == "Any":
        return orjson.loads(dict(fields(data))[2])
    by_number = {number: (key, inner, many) for key, (number, inner, many) in MESSAGES[kind].items()}
    found: dict[str, Any] = {}
    for number, value in fields(data):
        key, inner, many = by_number[number]
        if kind in CHOICES:
            return read(inner, value)
        if inner.startswith("Named"):
            entry = read(inner, value)
            found[entry["name"]] = entry["value"]
        elif many:
            found.setdefault(key, []).append(read(inner, value))
        else:
            found[key] = read(inner, value)
    if kind == "TypeItem":
        return found["value"][0]
    if kind == "ItemsItem":
        return found["schema"][0]
    return found.get("value", []) if kind == "StringArray" else found


@pytest.fixture(scope="module")
def api() -> OpenAPI:
    return OpenAPI()


def test_the_protobuf_document_equals_the_json_document(api: OpenAPI) -> None:
    shown = read("Document", api.v2_protobuf())

    expected = orjson.loads(api.v2_json())
    assert shown["definitions"] == expected["definitions"]
    assert shown == expected


def test_strings_numbers_and_choices_are_encoded_by_their_types() -> None:
    schema = {
        "type": "object",
        "maximum": 1.5,
        "minLength": 300,
        "uniqueItems": True,
        "enum": [1, "two", None],
        "additionalProperties": False,
        "x-kubernetes-list-map-keys": ["name"],
        "properties": {"grüße": {"$ref": "#/definitions/x"}, "list": {"items": {"type": "string"}}},
    }

    assert read("Definitions", gnostic.named("definitions", {"a": schema})) == {"a": schema}


def test_keys_that_protobuf_does_not_know_are_left_out() -> None:
    content = gnostic.named("definitions", {"a": {"type": "string", "oneOf": [{"type": "integer"}]}})

    assert read("Definitions", content) == {"a": {"type": "string"}}
