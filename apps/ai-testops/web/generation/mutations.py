"""Invalid values: one thing of a valid value changed so that it no longer fits its schema."""

from __future__ import annotations

import contextlib
import copy
import json
import math
from typing import TYPE_CHECKING, Any

from generation.schemas import Unbuildable, types_of
from generation.values import MAX_ITEMS, MAX_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generation.schemas import Reader
    from generation.values import Builder

MAX_DEPTH = 5
UNKNOWN = "unexpected_property"
_WRONG: dict[str, Any] = {
    "string": {"not": "a text"},  # of a number many make a text, and who is to say that they must not
    "integer": "not-a-number",
    "number": "not-a-number",
    "boolean": "not-a-boolean",
    "array": "not-a-list",
    "object": "not-an-object",
}


def places(reader: Reader, schema: Any, value: Any, at: tuple = ()) -> Iterator[tuple[tuple, Any, Any]]:
    """Every part of a value with the schema that applies to it: (where, schema, part)."""
    yield at, schema, value
    if len(at) >= MAX_DEPTH:
        return
    flat = reader.flat(schema, value)
    if isinstance(value, dict):
        for name, part in value.items():
            if name in (flat.get("properties") or {}):
                yield from places(reader, flat["properties"][name], part, (*at, name))
    elif isinstance(value, list) and value and "items" in flat:
        index = len(flat.get("prefixItems") or [])
        if index < len(value):
            yield from places(reader, flat["items"], value[index], (*at, index))


def replaced(value: Any, at: tuple, new: Any) -> Any:
    """Another value at that place; what is on the way there is copied, the rest is shared and stays as it is."""
    if not at:
        return new
    changed = copy.copy(value)
    changed[at[0]] = replaced(value[at[0]], at[1:], new)
    return changed


def spoiled(builder: Builder, schema: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """Candidates: a validator has to say which of them are invalid indeed."""
    flat = builder.reader.flat(schema, value)
    kinds = types_of(flat)
    for kind in kinds[:1]:
        if kind in _WRONG:
            yield f"{json.dumps(_WRONG[kind])} instead of {_article(kind)}", _WRONG[kind]
    if kinds and "null" not in kinds:
        yield "null, which is not allowed", None
    if "enum" in flat or "const" in flat:
        yield from _outside(flat)
    match value:
        case bool():
            pass
        case int() | float():
            yield from _out_of_range(flat, value)
        case str():
            yield from _misspelt(builder, flat, value)
        case list():
            yield from _miscounted(builder, flat, value)
        case dict():
            yield from _misshapen(flat, value)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aio" else f"a {kind}"


def _outside(flat: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    allowed = flat.get("enum", [flat.get("const")])
    if any(isinstance(item, str) for item in allowed):
        yield "a value outside the enumeration", "not-in-the-enumeration"
    numbers = [item for item in allowed if isinstance(item, (int, float)) and not isinstance(item, bool)]
    if numbers:
        yield "a value outside the enumeration", max(numbers) + 1


def _out_of_range(flat: dict[str, Any], value: float) -> Iterator[tuple[str, Any]]:
    step = flat.get("multipleOf")
    if (low := flat.get("minimum")) is not None:
        yield f"below the least value {low}", math.ceil(low / step) * step - step if step else low - 1
    if (high := flat.get("maximum")) is not None:
        yield f"above the greatest value {high}", math.floor(high / step) * step + step if step else high + 1
    if (low := flat.get("exclusiveMinimum")) is not None:
        yield f"the exclusive minimum itself, {low}", low
    if (high := flat.get("exclusiveMaximum")) is not None:
        yield f"the exclusive maximum itself, {high}", high
    if step:
        yield f"not a multiple of {step}", value + step / 2
    if "integer" in types_of(flat) and "number" not in types_of(flat):
        yield "a fraction instead of an integer", value - 0.5 if value == flat.get("maximum") else value + 0.5


def _misspelt(builder: Builder, flat: dict[str, Any], value: str) -> Iterator[tuple[str, Any]]:
    least, most = flat.get("minLength"), flat.get("maxLength")
    if least and least <= MAX_LENGTH:
        yield f"shorter than the least length {least}", _of_length(builder, flat, value, least - 1)
    if most is not None and most <= MAX_LENGTH:
        yield f"longer than the greatest length {most}", _of_length(builder, flat, value, most + 1)
    if "pattern" in flat:
        for text in ("#" * len(value), " " * len(value), "1" * len(value), "é" * len(value), value + "\n!"):
            yield "against the pattern", text


def _of_length(builder: Builder, flat: dict[str, Any], value: str, length: int) -> str:
    """Too short or too long and nothing else: it keeps to the pattern, or at least to the same characters."""
    if "pattern" in flat:
        try:
            text = builder.string({"pattern": flat["pattern"]}, length)
        except Unbuildable:
            text = ""
        if len(text) == length:
            return text
    return (value * (length // max(len(value), 1) + 1) if value else "a" * length)[:length]


def _miscounted(builder: Builder, flat: dict[str, Any], value: list[Any]) -> Iterator[tuple[str, Any]]:
    least, most = flat.get("minItems"), flat.get("maxItems")
    if least and least <= MAX_ITEMS:
        yield f"fewer than {least} items", value[: least - 1]
    if most is not None and most < MAX_ITEMS and value:
        with contextlib.suppress(Unbuildable):
            yield f"more than {most} items", builder.items(flat, most + 1)
    if flat.get("uniqueItems") and value:
        others = value if most is None or len(value) < most else value[:-1]
        if others:
            yield "an item twice", [*others, others[0]]


def _misshapen(flat: dict[str, Any], value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in flat.get("required") or []:
        if name in value:
            yield f"without the required {name!r}", {key: item for key, item in value.items() if key != name}
    if flat.get("additionalProperties") is False or flat.get("unevaluatedProperties") is False:
        yield "with a property that is not described", {**value, UNKNOWN: "unexpected"}
