"""Valid values: one typical value of a schema, and values at the edges of what it allows.

Nothing made here is used before a validator has proven it; what cannot be made is no case.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
import uuid
import warnings
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from generation.patterns import proposals
from generation.schemas import Reader, Unbuildable, fits, types_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 8
MAX_LENGTH = 5_000
MAX_ITEMS = 200
_FORMATS = {
    "date-time": "2024-02-29T12:30:00Z", "date": "2024-02-29", "time": "12:30:00Z", "duration": "P1D",
    "email": "someone@example.com", "idn-email": "someone@example.com", "hostname": "example.com",
    "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uri": "https://example.com/a", "url": "https://example.com/a",
    "uri-reference": "/a", "iri": "https://example.com/a", "byte": "dGV4dA==", "regex": "a+", "json-pointer": "/a",
    "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, "example.com")),
}  # fmt: skip


def drawn(strategy: st.SearchStrategy, seed_: int, count: int) -> list[Any]:
    """Examples of a strategy, the same ones for the same seed."""
    found: list[Any] = []

    @seed(seed_)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            collect()
        except (HypothesisException, re.error, ValueError, RecursionError) as error:
            if not found:
                raise Unbuildable(f"no example could be drawn: {type(error).__name__}") from None
    return found


class Builder:
    def __init__(self, root: dict[str, Any], seed_: int) -> None:
        self.reader = Reader(root)
        self._root = root
        self._seed = seed_

    def typical(self, *, full: bool, nonempty: bool = False) -> Any:
        """A proven value: of the document if it gives one, else made. `nonempty`: it is to be a part of a path."""
        problem = "its schema is of a kind that no value was found for"
        for branch in range(4):
            try:
                value = self._build(self._root, full, branch, 0)
            except Unbuildable as error:
                problem = str(error)
                continue
            if nonempty and value in ("", [], {}, None):
                continue
            if fits(self._root, value, formats=True):
                return value
        raise Unbuildable(problem)

    def _build(self, schema: Any, full: bool, branch: int, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Unbuildable("its schema has no end")
        flat = self.reader.flat(schema, branch=branch)
        for value in given_values(flat):
            if full and fits(self.reader.part(schema), value, formats=True):
                return copy.deepcopy(value)
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            return next(iter(flat["enum"]), None)
        makers = {
            "string": self._string, "integer": self._number, "number": self._number, "boolean": lambda _flat: True,
            "null": lambda _flat: None,
        }  # fmt: skip
        kind = kind_of(flat)
        if kind == "object":
            return self._object(flat, full, branch, depth)
        if kind == "array":
            return self._array(flat, full, branch, depth)
        return makers[kind](flat)

    def _object(self, flat: dict[str, Any], full: bool, branch: int, depth: int) -> dict[str, Any]:
        required = flat.get("required") or []
        properties = flat.get("properties") or {}
        made: dict[str, Any] = {}
        for name in [*required, *(name for name in properties if full and name not in required)]:
            try:
                made[name] = self._build(properties.get(name, True), full, branch, depth + 1)
            except Unbuildable:
                if name in required:
                    raise
        for name in properties:
            if len(made) >= flat.get("minProperties", 0):
                break
            if name not in made:
                made[name] = self._build(properties[name], full, branch, depth + 1)
        extra = flat.get("additionalProperties", True)
        while len(made) < min(flat.get("minProperties", 0), MAX_ITEMS):
            made[f"extra{len(made)}"] = self._build(extra, full, branch, depth + 1)
        return made

    def _array(self, flat: dict[str, Any], full: bool, branch: int, depth: int) -> list[Any]:
        count = max(flat.get("minItems", 0), 1 if full else 0)
        return self.items(flat, min(count, flat.get("maxItems", count)), full=full, branch=branch, depth=depth)

    def items(self, flat: dict[str, Any], count: int, *, full: bool = True, branch: int = 0, depth: int = 0) -> list:
        if count > MAX_ITEMS:
            raise Unbuildable(f"it wants {count} items")
        made: list[Any] = [
            self._build(item, full, branch, depth + 1) for item in (flat.get("prefixItems") or [])[:count]
        ]
        schema = flat.get("items", True)
        while len(made) < count:
            value = self._build(schema, full, branch, depth + 1)
            made.append(self._another(schema, value, made) if flat.get("uniqueItems") else value)
        return made

    def _another(self, schema: Any, value: Any, others: list[Any]) -> Any:
        flat = self.reader.flat(schema, value)
        candidates = [value, *flat.get("enum", [])]
        for number in range(1, len(others) + 2):
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                candidates += [value + number * flat.get("multipleOf", 1), value - number * flat.get("multipleOf", 1)]
            elif isinstance(value, str):
                candidates += [f"{value}{number}", f"{value[:-1]}{'abcdefghijklmnopqrstuvwxyz'[number % 26]}"]
        part = self.reader.part(schema)
        for candidate in candidates:
            if candidate not in others and fits(part, candidate, formats=True):
                return candidate
        raise Unbuildable("not enough different items")

    def _string(self, flat: dict[str, Any]) -> str:
        least = flat.get("minLength", 0)
        return self.string(flat, max(least, min(6, flat.get("maxLength", 6))))

    def string(self, flat: dict[str, Any], length: int) -> str:
        """Of that length, if format and pattern leave a choice."""
        if length > MAX_LENGTH:
            raise Unbuildable(f"it wants {length} characters")
        if "pattern" in flat:
            return self._by_pattern(flat, length)
        if flat.get("format") in _FORMATS:
            return _stretched(_FORMATS[flat["format"]], flat["format"], length, flat)
        return ("sample" * (length // 6 + 1))[:length]

    def _by_pattern(self, flat: dict[str, Any], length: int) -> str:
        plain = {key: flat[key] for key in ("pattern", "minLength", "maxLength") if key in flat}
        easy = [letter * length for letter in "aA1"] + [("aA1" * length)[:length]]
        fitting: list[str] = []
        for text in itertools.chain(easy, proposals(flat["pattern"], length)):
            if fits(plain, text):
                if len(text) == length:
                    return text
                fitting.append(text)
        if not fitting:
            raise Unbuildable("no value of its pattern and length was found")
        return min(fitting, key=lambda text: (len(text), text))

    def _number(self, flat: dict[str, Any]) -> int | float:
        low, high = bounds(flat)
        step = flat.get("multipleOf")
        if step:
            value: float = math.ceil((1 if low is None else low) / step) * step
        elif low is None:
            value = 1 if high is None or high >= 1 else high
        elif high is None:
            value = max(low, 1)
        else:
            value = (low + high) / 2 if "integer" not in types_of(flat) else (int(low) + int(high)) // 2
            value = max(value, low)
        return int(value) if value == int(value) else value


def kind_of(flat: dict[str, Any]) -> str:
    for kind in types_of(flat):
        if kind != "null":
            return kind
    if types_of(flat):
        return "null"
    signs = {
        "object": ("properties", "required", "additionalProperties", "minProperties"),
        "array": ("items", "minItems", "maxItems", "prefixItems"),
        "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
    return next((kind for kind, words in signs.items() if any(word in flat for word in words)), "string")


def given_values(flat: dict[str, Any]) -> list[Any]:
    """Values the description itself gives."""
    found = [flat[key] for key in ("example", "default") if key in flat]
    return found[:1] + (flat["examples"] if isinstance(flat.get("examples"), list) else []) + found[1:]


def bounds(flat: dict[str, Any]) -> tuple[Any, Any]:
    """The least and the greatest value allowed; None where there is none, or no single one."""
    whole = "integer" in types_of(flat)
    low, high = flat.get("minimum"), flat.get("maximum")
    if whole:
        low = math.ceil(low) if low is not None else None
        high = math.floor(high) if high is not None else None
        if (over := flat.get("exclusiveMinimum")) is not None:
            low = max(math.floor(over) + 1, low if low is not None else -math.inf)
        if (under := flat.get("exclusiveMaximum")) is not None:
            high = min(math.ceil(under) - 1, high if high is not None else math.inf)
    else:
        over, under = flat.get("exclusiveMinimum"), flat.get("exclusiveMaximum")
        floor = max((bound for bound in (low, over) if bound is not None), default=-math.inf)
        ceiling = min((bound for bound in (high, under) if bound is not None), default=math.inf)
        inside = 1 if ceiling - floor > 2 else (ceiling - floor) / 1000
        if over is not None and over == floor:
            low = over + inside
        if under is not None and under == ceiling:
            high = under - inside
    return low, high


def _stretched(value: str, kind: str, length: int, flat: dict[str, Any]) -> str:
    """Longer where the format has room; the proof that follows says whether it still is one."""
    if flat.get("minLength", 0) <= len(value) <= flat.get("maxLength", len(value)) and length == 6:
        return value
    if length <= len(value):
        return value
    if kind in {"email", "idn-email"}:
        return "a" * (length - len("@example.com")) + "@example.com"
    return value + "a" * (length - len(value)) if kind in {"uri", "url", "iri", "uri-reference"} else value


def edges(builder: Builder, schema: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """Values at the edges of what this part of a schema allows."""
    flat = builder.reader.flat(schema, value)
    if flat.get("enum"):
        yield "the first value of the enumeration", flat["enum"][0]
        yield "the last value of the enumeration", flat["enum"][-1]
        return
    kinds = types_of(flat)
    if "null" in kinds and len(kinds) > 1:
        yield "null, which is allowed", None
    match value:
        case bool():
            yield "false", False
            yield "true", True
        case int() | float():
            yield from _number_edges(flat)
        case str():
            yield from _length_edges(builder, flat)
        case list():
            yield from _count_edges(builder, flat)


def _number_edges(flat: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for label, edge in (("the least value", flat.get("minimum")), ("the greatest value", flat.get("maximum"))):
        if edge is not None:
            yield f"{label}, {edge}", edge
    low, high = bounds(flat)
    if "exclusiveMinimum" in flat and low is not None:
        yield f"just above the exclusive minimum, {low}", low
    if "exclusiveMaximum" in flat and high is not None:
        yield f"just below the exclusive maximum, {high}", high


def _length_edges(builder: Builder, flat: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for keyword, label in (("minLength", "the least length"), ("maxLength", "the greatest length")):
        length = flat.get(keyword)
        if length is None or length > MAX_LENGTH:
            continue
        try:
            text = builder.string(flat, length)
        except Unbuildable:
            continue
        if len(text) == length:
            yield f"{label}, {length}", text


def _count_edges(builder: Builder, flat: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for keyword, label in (("minItems", "the least number of items"), ("maxItems", "the greatest number of items")):
        count = flat.get(keyword)
        if count is None or count > MAX_ITEMS:
            continue
        try:
            yield f"{label}, {count}", builder.items(flat, count)
        except Unbuildable:
            continue
