"""Valid requests nobody would think of: drawn by schemathesis, used when they are proven and can be sent."""

from __future__ import annotations

import time
import unicodedata
from typing import TYPE_CHECKING, Any

import schemathesis
from schemathesis import GenerationMode

from generation.patterns import is_tame
from generation.schemas import Reader, fits
from generation.values import drawn

if TYPE_CHECKING:
    from generation.operations import Operation
    from generation.requests import Content

DRAWN = 4
MAX_NUMBER = 2**31
MAX_DRAWN = 500
_LEAST = ("minLength", "minItems", "minProperties")


class Draws:
    def __init__(self, document: dict[str, Any], seed: int, deadline: float) -> None:
        self._seed, self._deadline = seed, deadline
        self.notes: list[str] = []
        try:
            self._schema = schemathesis.openapi.from_dict(document)
        except Exception as error:  # whatever a hostile document brings about in there, the other cases remain
            self._schema = None
            self.notes.append(f"no drawn requests: {type(error).__name__}: {error}"[:300])

    def contents(self, operation: Operation, base: Content) -> list[Content]:
        if self._schema is None or not (operation.parameters or operation.body):
            return []
        if not all(_is_drawable(item.schema) for item in (*operation.parameters, operation.body) if item):
            self.notes.append(f"{operation.name}: no drawn requests: its patterns or sizes could take too long")
            return []
        if time.monotonic() > self._deadline:
            self.notes.append("the time for drawing requests was used up: some operations have none")
            return []
        try:
            strategy = self._schema[operation.path][operation.method.upper()].as_strategy(
                generation_mode=GenerationMode.POSITIVE
            )
            made = [_content(operation, base, case) for case in drawn(strategy, self._seed, DRAWN)]
        except Exception as error:
            self.notes.append(f"{operation.name}: no drawn requests: {type(error).__name__}: {error}"[:300])
            return []
        return [content for content in made if content is not None and content != base]


def _is_drawable(schema: Any) -> bool:
    """Nothing in there can be stopped once it draws, so what might go on for long is not begun."""
    if isinstance(schema, list):
        return all(map(_is_drawable, schema))
    if not isinstance(schema, dict):
        return True
    if isinstance(pattern := schema.get("pattern"), str) and not is_tame(pattern):
        return False
    if any(isinstance(schema.get(word), (int, float)) and schema[word] > MAX_DRAWN for word in _LEAST):
        return False
    names = schema.get("patternProperties")
    return all(map(is_tame, names if isinstance(names, dict) else ())) and all(map(_is_drawable, schema.values()))


def _content(operation: Operation, base: Content, case: Any) -> Content | None:
    content = base
    places_ = {"query": case.query, "header": case.headers, "cookie": case.cookies}
    for parameter in operation.parameters:
        given = places_.get(parameter.place) or {}
        if parameter.name in given:
            value = given[parameter.name]
            if is_modest(value) and fits(parameter.schema, value, formats=True):
                content = content.with_parameter(parameter, value)
    body = operation.body
    if body and (body.json or isinstance(case.body, dict)) and _is_plain(case.body):
        value = _pruned(Reader(body.schema), body.schema, case.body)
        if is_modest(value) and fits(body.schema, value, formats=True):
            content = content.with_body(value)
    return content


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (dict, list, str, bool, int, float))


def _pruned(reader: Reader, schema: Any, value: Any) -> Any:
    """Without properties that are merely not forbidden, and with integers as everybody writes them."""
    flat = reader.flat(schema, value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_pruned(reader, flat.get("items", True), item) for item in value]
    if isinstance(value, dict) and (known := flat.get("properties")) is not None:
        return {name: _pruned(reader, known[name], item) for name, item in value.items() if name in known}
    return value


def is_modest(value: Any) -> bool:
    """Without what the schema allows by saying nothing: control characters, numbers beyond what computers count in."""
    if isinstance(value, dict):
        return all(is_modest(name) and is_modest(item) for name, item in value.items())
    if isinstance(value, list):
        return all(is_modest(item) for item in value)
    if isinstance(value, str):
        return not any(unicodedata.category(letter)[0] == "C" for letter in value)
    return not isinstance(value, (int, float)) or abs(value) < MAX_NUMBER
