"""What an operation has to answer, and a request with it as a case: the same for every generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generation.cases import Case, make_case
from generation.requests import encode

if TYPE_CHECKING:
    from generation.operations import Operation
    from generation.requests import Content

# What a valid request may meet that depends on what else is going on, if the description mentions it.
_CIRCUMSTANCES = ("409", "410", "412", "423", "429")
_WRONG_SECRET = {"Basic ": "d3Jvbmc6d3Jvbmc="}  # wrong:wrong


def served(operation: Operation, *, known: bool) -> dict[str, Any]:
    """What a valid request has to be answered with. `known`: what its path names is known to exist."""
    answers = operation.answers
    good = [status for status in answers if status[0] in "23"]
    if not good or (not known and "404" not in answers and "4XX" not in answers):
        return expectation(operation, {"not_in": ["5XX"]})
    has_input = bool(operation.parameters or operation.body)
    lost = ("404",) if has_input and (not known or _may_refer(operation)) else ()
    also = [status for status in (*_CIRCUMSTANCES, *lost) if status in answers]
    if not known and "404" not in answers:
        also.append("404")
    return expectation(operation, {"in": [_entry(status) for status in [*good, *also]]})


def refused(operation: Operation) -> dict[str, Any]:
    """What an invalid request has to be answered with."""
    return expectation(operation, {"in": ["4XX"]})


def unauthorised(operation: Operation) -> dict[str, Any]:
    return expectation(operation, {"in": [401, 403]})


def _may_refer(operation: Operation) -> bool:
    """A 404 is documented for things that the path does not name, or that another operation may have deleted."""
    return operation.may_vanish or "{" not in operation.path


def expectation(operation: Operation, status: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"status": status}
    for aspect in ("content_type", "schema"):
        table = {
            name: answer[aspect]
            for name, answer in operation.answers.items()
            if aspect in answer and not name.startswith("5")
        }
        if table:
            found[aspect] = table
    return found


def _entry(status: str) -> int | str:
    return int(status) if status.isdecimal() else status


def case_of(
    operation: Operation,
    kind: str,
    title: str,
    oracle: str,
    content: Content,
    expected: dict[str, Any],
    *,
    security: dict[str, Any] | None = None,
    wrong: dict[str, dict[str, str]] | None = None,
) -> Case:
    """Unbuildable when it cannot be sent. `security` replaces the operation's; `wrong` gets a wrong credential."""
    path, headers, body = encode(operation, content)
    for place in (wrong or {}).values():
        path = _add_wrong(place, path, headers)
    return make_case(
        kind=kind,
        operation=operation.name,
        title=title,
        oracle=oracle,
        method=operation.method.upper(),
        path=path,
        headers=headers,
        body=body,
        authentication=operation.security if security is None else security,
        expectation=expected,
    )


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
