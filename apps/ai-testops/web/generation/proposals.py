"""What a language model proposes, made into cases — or dropped, with the reason.

A proposal is data: an operation of the description, values for its parameters, a body. Method, path, credentials and
what is expected are the description's, so an answer can neither name another host nor soften a judgement. A request
said to be valid is proven valid; one said to be invalid is proven to be so in exactly one of its parts.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from generation.cases import BOUNDARY, NEGATIVE, POSITIVE, Case
from generation.drawing import is_modest
from generation.judgement import case_of, refused, served
from generation.requests import ABSENT, Content, body_fits, parameter_fits
from generation.schemas import Reader, Unbuildable, fits, types_of
from generation.values import given_values
from groundwork.expectation import UnusableSchema

if TYPE_CHECKING:
    from generation.operations import Operation, Parameter

MAX_TITLE = 200
MAX_ORACLE = 500


class Dropped(ValueError):
    """The proposal is no case; the message says why."""


def case_from(proposal: Any, operations: dict[str, Operation]) -> Case:
    if not isinstance(proposal, dict):
        raise Dropped("not an object")
    operation = operations.get(str(proposal.get("operation")))
    if operation is None:
        raise Dropped("its operation is not one of those asked about")
    kind = proposal.get("kind")
    if kind not in (POSITIVE, BOUNDARY, NEGATIVE):
        raise Dropped("its kind is not positive, boundary or negative")
    title, oracle = _words(proposal.get("title"), MAX_TITLE), _words(proposal.get("oracle"), MAX_ORACLE)
    if not title or not oracle:
        raise Dropped("it has no title or no oracle")
    try:
        content = _content(operation, proposal)
        wrong = _wrong_parts(operation, content)
        if kind == NEGATIVE:
            if len(wrong) != 1:
                reason = f"{', '.join(wrong)} are" if wrong else "nothing is"
                raise Dropped(f"said to be invalid in one part, but {reason} invalid by the description")
            _refuse_ambiguous(operation, content)
            expected = refused(operation)
        else:
            if wrong:
                raise Dropped(f"said to be valid, but {wrong[0]} is not by the description")
            _refuse_undecided(operation, content)
            expected = served(operation, known=_is_known(operation, content))
        return case_of(operation, kind, title, oracle, content, expected)
    except (Unbuildable, UnusableSchema) as error:
        raise Dropped(f"it cannot be sent or proven: {error}") from None
    except (AttributeError, KeyError, TypeError, RecursionError, UnicodeError, OverflowError) as error:
        raise Dropped(f"it is not as it was asked for ({type(error).__name__})") from None


def _words(value: Any, most: int) -> str:
    """One line of text, whatever was written."""
    text = value if isinstance(value, str) else ""
    letters = (" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text[: most * 2])
    return " ".join("".join(letters).split())[:most]


def _content(operation: Operation, proposal: dict[str, Any]) -> Content:
    content = Content({})
    given = proposal.get("parameters") or []
    if not isinstance(given, list):
        raise Dropped("its parameters are not a list")
    for item in given:
        place, name = str(item["in"]), str(item["name"])
        if (place, name) not in {(parameter.place, parameter.name) for parameter in operation.parameters}:
            raise Dropped(f"there is no {place[:20]} parameter {name[:50]!r}")
        content = content.with_parameter(operation.parameter(place, name), item["value"])
    if "body" in proposal and operation.body is not None:
        content = content.with_body(proposal["body"])
    elif proposal.get("body") is not None:
        raise Dropped("the operation has no body")
    return content


def _wrong_parts(operation: Operation, content: Content) -> list[str]:
    """The parts that the description does not allow."""
    wrong = []
    for parameter in operation.parameters:
        value = content.parameters.get((parameter.place, parameter.name), ABSENT)
        if value is ABSENT:
            if parameter.place == "path":
                raise Dropped(f"the path parameter {parameter.name!r} has no value")
            bad = parameter.required
        else:
            bad = not parameter_fits(parameter, value)
        if bad:
            wrong.append(f"{parameter.place} {parameter.name}")
    if body := operation.body:
        if content.body is ABSENT:
            bad = body.required
        else:
            bad = not body_fits(body, content.body)
        if bad:
            wrong.append("body")
    return wrong


def _refuse_ambiguous(operation: Operation, content: Content) -> None:
    """What is spread over several names may be read as something else, or as absent."""
    for parameter in operation.parameters:
        value = content.parameters.get((parameter.place, parameter.name), ABSENT)
        kinds = types_of(Reader(parameter.schema).flat(parameter.schema))
        plain = not isinstance(value, dict) and "object" not in kinds
        if not parameter.json and not (plain and ("array" in kinds or not isinstance(value, list))):
            raise Dropped(f"how {parameter.place} {parameter.name} would be read is not certain")


def _refuse_undecided(operation: Operation, content: Content) -> None:
    """Valid by a hair's breadth is not proven: a text read as a number, a format that is not kept to."""
    for parameter in operation.parameters:
        value = content.parameters.get((parameter.place, parameter.name), ABSENT)
        if value is not ABSENT and not (is_modest(value) and fits(parameter.schema, value, formats=True)):
            raise Dropped(f"whether {parameter.place} {parameter.name} is valid is not certain")
    if operation.body is None or content.body is ABSENT:
        return
    if not (is_modest(content.body) and fits(operation.body.schema, content.body, formats=True)):
        raise Dropped("whether its body is valid is not certain")


def _is_known(operation: Operation, content: Content) -> bool:
    """Whether the description itself gives the names in the path."""
    return all(
        content.parameters[parameter.place, parameter.name] in _given(parameter)
        for parameter in operation.parameters
        if parameter.place == "path"
    )


def _given(parameter: Parameter) -> list[Any]:
    return [*parameter.examples, *given_values(parameter.schema), *(parameter.schema.get("enum") or [])]
