"""The generator that needs nobody else: cases from the description alone, the same ones for the same seed.

Requests that must be served are proven valid, requests that must be refused are proven invalid and differ from a
valid one in one thing. Where the description does not decide what must happen there is no case: an alarm about a
correct API costs more trust than a missed bug.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from generation.cases import AUTHENTICATION, BOUNDARY, NEGATIVE, POSITIVE, Case, Generated
from generation.drawing import Draws
from generation.judgement import case_of, refused, served, unauthorised
from generation.mutations import places, replaced, spoiled
from generation.operations import Operation, Parameter, operations
from generation.requests import ABSENT, Content, body_fits, encode, parameter_fits
from generation.schemas import Unbuildable, fits
from generation.values import Builder, edges
from groundwork.expectation import UnusableSchema

if TYPE_CHECKING:
    from collections.abc import Iterator

TOTAL_SECONDS = 40.0
DRAWING_SECONDS = 20.0
LEAST_SHARE = 12
_KINDS = (POSITIVE, BOUNDARY, NEGATIVE, AUTHENTICATION)


class OfflineGenerator:
    def __init__(self, total_seconds: float = TOTAL_SECONDS, drawing_seconds: float = DRAWING_SECONDS) -> None:
        self._total, self._drawing = total_seconds, drawing_seconds

    def generate(self, document: dict[str, Any], *, seed: int, limit: int) -> Generated:
        started = time.monotonic()
        found, notes = operations(document)
        draws = Draws(document, seed, started + self._drawing)
        most = max(LEAST_SHARE, min(limit, 4 * limit // max(len(found), 1)))
        made: list[list[Case]] = []
        more = 0
        for number, operation in enumerate(found):
            if time.monotonic() - started > self._total:
                notes.append(f"after {self._total:g} s: no cases for the last {len(found) - number} operations")
                break
            maker = CaseMaker(operation, seed, started + self._total)
            made.append(maker.all(draws, most))
            notes += [f"{operation.name}: {note}" for note in [*operation.notes, *maker.notes]]
            more += maker.cut_short
        kept, left = _shared(made, limit)
        if left or more:
            rest = f", and the rest of {more} operations," if more else ""
            notes.append(f"{left} cases{rest} above the limit of {limit} were left out")
        return Generated(kept, list(dict.fromkeys(notes + draws.notes)))


def _shared(made: list[list[Case]], limit: int) -> tuple[list[Case], int]:
    """Within the limit: of every operation, and in it of every kind, as much as of the others. The rest is counted."""
    cases = {case.key: case for of_operation in made for case in of_operation}
    if len(cases) <= limit:
        return list(cases.values()), 0
    ranked = []
    for of_operation in made:
        ranks: Counter[str] = Counter()
        for case in of_operation:
            ranks[case.kind] += 1
            ranked.append((ranks[case.kind], case.key))
    chosen = {key for _, key in sorted(ranked, key=lambda item: item[0])[:limit]}
    return [case for case in cases.values() if case.key in chosen], len(cases) - len(chosen)


class CaseMaker:
    """The cases of one operation."""

    def __init__(self, operation: Operation, seed: int, deadline: float) -> None:
        self._operation, self._seed, self._deadline = operation, seed, deadline
        self.notes: list[str] = []
        self.cut_short = False
        self._known = True  # whether what the path names is known to exist

    def all(self, draws: Draws, most: int) -> list[Case]:
        made: dict[str, Case] = {}
        try:
            for case in self._cases(draws):
                made.setdefault(case.key, case)
                if len(made) >= most:
                    self.cut_short = True
                    break
                if time.monotonic() > self._deadline:
                    self.notes.append(f"the time was used up after {len(made)} cases")
                    break
        except (Unbuildable, UnusableSchema) as error:
            self.notes.append(f"no more cases: {error}" if made else f"no cases: {error}")
        except (AttributeError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
            reason = f"its schemas are not as JSON Schema has it ({type(error).__name__}: {error})"
            self.notes.append(f"no more cases: {reason}" if made else f"no cases: {reason}")
        return sorted(made.values(), key=lambda case: _KINDS.index(case.kind))

    def _cases(self, draws: Draws) -> Iterator[Case]:
        base = self._typical(full=True)
        least = self._typical(full=False)
        # By turns, so that of every kind there are some when there can be no more.
        kinds = [
            self._positive(base, least, draws),
            self._boundary(base),
            self._negative(base),
            self._authentication(base),
        ]
        for turn in zip_longest(*kinds):
            yield from (case for case in turn if case is not None)

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
        return served(self._operation, known=self._known)

    def _positive(self, base: Content, least: Content, draws: Draws) -> Iterator[Case]:
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
        expected = refused(self._operation)
        for where, label, content in self._spoiled_contents(base):
            oracle = f"{where}: {label} makes the request invalid by its schema, so it is refused with a 4xx status."
            yield from self._try(NEGATIVE, f"{where}: {label}", oracle, content, expected)

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
                    if not _is_told_apart(parameter, base.parameters[key], value):
                        continue
                    with suppress(Unbuildable):
                        if not parameter_fits(parameter, value):
                            yield where, label, base.with_parameter(parameter, value)
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
        expected = unauthorised(self._operation)
        oracle = "The description asks for a credential, so a request without one is refused with 401 or 403."
        yield from self._try(AUTHENTICATION, "without a credential", oracle, base, expected, security={})
        oracle = "The description asks for a credential, so a request with a wrong one is refused with 401 or 403."
        yield from self._try(
            AUTHENTICATION,
            "with a wrong credential",
            oracle,
            base,
            expected,
            security={},
            wrong=self._operation.security,
        )

    def _try(
        self,
        kind: str,
        title: str,
        oracle: str,
        content: Content,
        expected: dict[str, Any],
        *,
        security: dict[str, Any] | None = None,
        wrong: dict[str, dict[str, str]] | None = None,
    ) -> Iterator[Case]:
        with suppress(Unbuildable):
            yield case_of(self._operation, kind, title, oracle, content, expected, security=security, wrong=wrong)


def _is_told_apart(parameter: Parameter, valid: Any, value: Any) -> bool:
    """An object is spread over names: with others, or as a text, it is one that is absent, which may be allowed."""
    if parameter.json:
        return True
    if isinstance(valid, dict) or isinstance(value, dict):
        return isinstance(valid, dict) and isinstance(value, dict) and valid.keys() == value.keys()
    return isinstance(valid, list) or not isinstance(value, list)


def _place(where: str, at: tuple) -> str:
    return where + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at)
