"""The generator that needs nobody else: cases from the description alone, the same ones for the same seed.

Requests that must be served are proven valid, requests that must be refused are proven invalid and differ from a
valid one in one thing. Where the description does not decide what must happen there is no case: an alarm about a
correct API costs more trust than a missed bug.
"""

from __future__ import annotations

import time
import unicodedata
from typing import TYPE_CHECKING, Any

import schemathesis
from schemathesis import GenerationMode

from generation.cases import AUTHENTICATION, BOUNDARY, NEGATIVE, POSITIVE, Case, Generated, make_case
from generation.mutations import places, replaced, spoiled
from generation.operations import Operation, operations
from generation.patterns import is_tame
from generation.requests import ABSENT, Content, body_fits, encode, parameter_fits
from generation.schemas import Reader, Unbuildable, fits
from generation.values import Builder, drawn, edges
from groundwork.expectation import UnusableSchema

if TYPE_CHECKING:
    from collections.abc import Iterator

TOTAL_SECONDS = 40.0
DRAWING_SECONDS = 20.0
DRAWN = 4
LEAST_SHARE = 8
MAX_NUMBER = 2**31
MAX_DRAWN = 500
_LEAST = ("minLength", "minItems", "minProperties")
# What a valid request may meet that depends on what else is going on, if the description mentions it.
_CIRCUMSTANCES = ("409", "410", "412", "423", "429")
_WRONG_SECRET = {"Basic ": "d3Jvbmc6d3Jvbmc="}  # wrong:wrong


class OfflineGenerator:
    def __init__(self, total_seconds: float = TOTAL_SECONDS, drawing_seconds: float = DRAWING_SECONDS) -> None:
        self._total, self._drawing = total_seconds, drawing_seconds

    def generate(self, document: dict[str, Any], *, seed: int, limit: int) -> Generated:
        started = time.monotonic()
        found, notes = operations(document)
        draws = _Draws(document, seed, started + self._drawing)
        share = max(LEAST_SHARE, limit // max(len(found), 1))
        cases: dict[str, Case] = {}
        for number, operation in enumerate(found):
            if time.monotonic() - started > self._total:
                notes.append(f"after {self._total:g} s: no cases for the last {len(found) - number} operations")
                break
            maker = CaseMaker(operation, seed)
            made = _share(maker.all(draws), share)
            notes += [f"{operation.name}: {note}" for note in [*operation.notes, *maker.notes]]
            cases.update((case.key, case) for case in made)
        kept = list(cases.values())[:limit]
        if len(kept) < len(cases):
            notes.append(f"{len(cases) - len(kept)} cases above the limit of {limit} were left out")
        return Generated(kept, list(dict.fromkeys(notes + draws.notes)))


def _share(cases: list[Case], share: int) -> list[Case]:
    """Some of each kind, where there are more than this operation's share."""
    if len(cases) <= share:
        return cases
    ranks: dict[str, int] = {}
    ordered = []
    for case in cases:
        ranks[case.kind] = ranks.get(case.kind, 0) + 1
        ordered.append((ranks[case.kind], case))
    return [case for _, case in sorted(ordered, key=lambda item: item[0])[:share]]


class CaseMaker:
    """The cases of one operation."""

    def __init__(self, operation: Operation, seed: int) -> None:
        self._operation = operation
        self._seed = seed
        self.notes: list[str] = []
        self._known = True  # whether what the path names is known to exist

    def all(self, draws: _Draws) -> list[Case]:
        try:
            base = self._typical(full=True)
            least = self._typical(full=False)
            return [
                *self._positive(base, least, draws),
                *self._boundary(base),
                *self._negative(base),
                *self._authentication(base),
            ]
        except (Unbuildable, UnusableSchema) as error:
            self.notes.append(f"no cases: {error}")
        except (AttributeError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
            self.notes.append(f"no cases: its schemas are not as JSON Schema has it ({type(error).__name__}: {error})")
        return []

    # -- valid requests

    def _typical(self, *, full: bool) -> Content:
        content = Content({})
        for parameter in self._operation.parameters:
            if not full and not parameter.required:
                continue
            example = next((item for item in parameter.examples if fits(parameter.schema, item)), ABSENT)
            if parameter.place == "path" and example is ABSENT:
                self._known &= any(word in parameter.schema for word in ("example", "examples", "default", "enum"))
            try:
                if example is ABSENT:
                    builder = Builder(parameter.schema, self._seed)
                    example = builder.typical(full=True, nonempty=parameter.place == "path")
                changed = content.with_parameter(parameter, example)
                encode(self._operation, changed)
            except Unbuildable as error:
                if parameter.required:
                    raise Unbuildable(f"{parameter.place} parameter {parameter.name!r}: {error}") from None
                self.notes.append(f"without the {parameter.place} parameter {parameter.name!r}: {error}")
                continue
            content = changed
        body = self._operation.body
        if body is None or (not full and not body.required):
            return content
        example = next((item for item in body.examples if fits(body.schema, item)), ABSENT) if full else ABSENT
        if example is ABSENT:
            example = Builder(body.schema, self._seed).typical(full=full)
        return content.with_body(example)

    def _served(self) -> dict[str, Any]:
        """What a valid request has to be answered with."""
        answers = self._operation.answers
        good = [status for status in answers if status[0] in "23"]
        has_input = bool(self._operation.parameters or self._operation.body)
        lost = ("404",) if has_input and (not self._known or self._may_refer()) else ()
        if not good or (not self._known and "404" not in answers and "4XX" not in answers):
            return self._expectation({"not_in": ["5XX"]})
        also = [status for status in (*_CIRCUMSTANCES, *lost) if status in answers]
        if not self._known and "404" not in answers:
            also.append("404")
        return self._expectation({"in": [_entry(status) for status in [*good, *also]]})

    def _may_refer(self) -> bool:
        """A 404 is documented for things that the path does not name, or that another operation may have deleted."""
        return self._operation.may_vanish or "{" not in self._operation.path

    def _expectation(self, status: dict[str, Any]) -> dict[str, Any]:
        expectation: dict[str, Any] = {"status": status}
        for aspect in ("content_type", "schema"):
            table = {
                name: answer[aspect]
                for name, answer in self._operation.answers.items()
                if aspect in answer and not name.startswith("5")
            }
            if table:
                expectation[aspect] = table
        return expectation

    def _positive(self, base: Content, least: Content, draws: _Draws) -> Iterator[Case]:
        oracle = "The request is valid by the description, so it is served, with an answer as described."
        yield from self._try(POSITIVE, "valid request with everything", oracle, base, self._served())
        if least != base:
            yield from self._try(POSITIVE, "valid request with what is required only", oracle, least, self._served())
        for example in (self._operation.body.examples if self._operation.body else [])[1:5]:
            if fits(self._operation.body.schema, example):
                content = base.with_body(example)
                yield from self._try(POSITIVE, "another example of the description", oracle, content, self._served())
        for number, content in enumerate(draws.contents(self._operation, base), 1):
            yield from self._try(POSITIVE, f"drawn valid request {number}", oracle, content, self._served())

    def _boundary(self, base: Content) -> Iterator[Case]:
        for where, label, content in self._edge_contents(base):
            oracle = f"{where}: {label} is still valid by its schema, so the request is served."
            yield from self._try(BOUNDARY, f"{where}: {label}", oracle, content, self._served())

    def _edge_contents(self, base: Content) -> Iterator[tuple[str, str, Content]]:
        for parameter in self._operation.parameters:
            key = (parameter.place, parameter.name)
            if key not in base.parameters or (parameter.place == "path" and self._known):
                continue
            builder = Builder(parameter.schema, self._seed)
            for at, schema, part in places(builder.reader, parameter.schema, base.parameters[key]):
                for label, edge in edges(builder, schema, part):
                    value = replaced(base.parameters[key], at, edge)
                    if fits(parameter.schema, value, formats=True):
                        yield f"{parameter.place} {parameter.name}", label, base.with_parameter(parameter, value)
        body = self._operation.body
        if body is None or base.body is ABSENT:
            return
        builder = Builder(body.schema, self._seed)
        for at, schema, part in places(builder.reader, body.schema, base.body):
            for label, edge in edges(builder, schema, part):
                value = replaced(base.body, at, edge)
                if fits(body.schema, value, formats=True):
                    yield _place("body", at), label, base.with_body(value)

    # -- invalid requests

    def _negative(self, base: Content) -> Iterator[Case]:
        refused = self._expectation({"in": ["4XX"]})
        for where, label, content in self._spoiled_contents(base):
            oracle = f"{where}: {label} makes the request invalid by its schema, so it is refused with a 4xx status."
            yield from self._try(NEGATIVE, f"{where}: {label}", oracle, content, refused)

    def _spoiled_contents(self, base: Content) -> Iterator[tuple[str, str, Content]]:
        for parameter in self._operation.parameters:
            key, where = (parameter.place, parameter.name), f"{parameter.place} {parameter.name}"
            if parameter.required and parameter.place != "path" and key in base.parameters:
                yield where, "left out although required", base.with_parameter(parameter, ABSENT)
            if key not in base.parameters:
                continue
            builder = Builder(parameter.schema, self._seed)
            for at, schema, part in places(builder.reader, parameter.schema, base.parameters[key]):
                for label, value in spoiled(builder, schema, part):
                    value = replaced(base.parameters[key], at, value)
                    try:
                        if not parameter_fits(parameter, value):
                            yield where, label, base.with_parameter(parameter, value)
                    except Unbuildable:
                        continue
        yield from self._spoiled_bodies(base)

    def _spoiled_bodies(self, base: Content) -> Iterator[tuple[str, str, Content]]:
        body = self._operation.body
        if body is None or base.body is ABSENT:
            return
        if body.required:
            yield "body", "left out although required", Content(base.parameters)
        if body.json:
            yield "body", "text that is not JSON", Content(base.parameters, raw_body='{"unfinished": ')
        builder = Builder(body.schema, self._seed)
        for at, schema, part in places(builder.reader, body.schema, base.body):
            for label, value in spoiled(builder, schema, part):
                value = replaced(base.body, at, value)
                try:
                    if not body_fits(body, value):
                        yield _place("body", at), label, base.with_body(value)
                except Unbuildable:
                    continue

    # -- credentials

    def _authentication(self, base: Content) -> Iterator[Case]:
        if not self._operation.secured:
            return
        refused = self._expectation({"in": [401, 403]})
        oracle = "The description asks for a credential, so a request without one is refused with 401 or 403."
        yield from self._try(AUTHENTICATION, "without a credential", oracle, base, refused, security={})
        oracle = "The description asks for a credential, so a request with a wrong one is refused with 401 or 403."
        yield from self._try(
            AUTHENTICATION,
            "with a wrong credential",
            oracle,
            base,
            refused,
            security={},
            wrong=self._operation.security,
        )

    def _try(
        self,
        kind: str,
        title: str,
        oracle: str,
        content: Content,
        expectation: dict[str, Any],
        *,
        security: dict[str, Any] | None = None,
        wrong: dict[str, dict[str, str]] | None = None,
    ) -> Iterator[Case]:
        try:
            path, headers, body = encode(self._operation, content)
        except Unbuildable:
            return
        for place in (wrong or {}).values():
            path = _add_wrong(place, path, headers)
        yield make_case(
            kind=kind,
            operation=self._operation.name,
            title=title,
            oracle=oracle,
            method=self._operation.method.upper(),
            path=path,
            headers=headers,
            body=body,
            authentication=self._operation.security if security is None else security,
            expectation=expectation,
        )


def _entry(status: str) -> int | str:
    return int(status) if status.isdecimal() else status


def _place(where: str, at: tuple) -> str:
    return where + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at)


def _add_wrong(place: dict[str, str], path: str, headers: dict[str, str]) -> str:
    prefix = place.get("prefix", "")
    value = prefix + _WRONG_SECRET.get(prefix, "wrong-credential")
    match place["in"]:
        case "header":
            headers[place["name"]] = value
        case "cookie":
            headers["Cookie"] = "; ".join(filter(None, [headers.get("Cookie"), f"{place['name']}={value}"]))
        case "query":
            path += ("&" if "?" in path else "?") + f"{place['name']}={value}"
    return path


class _Draws:
    """Valid requests nobody would think of: drawn by schemathesis, used when they are proven and can be sent."""

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
            if _is_modest(value) and fits(parameter.schema, value, formats=True):
                content = content.with_parameter(parameter, value)
    body = operation.body
    if body and (body.json or isinstance(case.body, dict)) and _is_plain(case.body):
        value = _pruned(Reader(body.schema), body.schema, case.body)
        if _is_modest(value) and fits(body.schema, value, formats=True):
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


def _is_modest(value: Any) -> bool:
    """Without what the schema allows by saying nothing: control characters, numbers beyond what computers count in."""
    if isinstance(value, dict):
        return all(_is_modest(name) and _is_modest(item) for name, item in value.items())
    if isinstance(value, list):
        return all(_is_modest(item) for item in value)
    if isinstance(value, str):
        return not any(unicodedata.category(letter)[0] == "C" for letter in value)
    return not isinstance(value, (int, float)) or abs(value) < MAX_NUMBER
