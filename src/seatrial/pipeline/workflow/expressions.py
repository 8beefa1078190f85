"""The part of GitHub's expressions that is needed before a run: names of the contexts `github` and `inputs`, literals,
`! && || == != ( )` and the functions on strings. Everything inside a run is evaluated by `act`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MARKED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign>\|\||&&|==|!=|[!(),])"
    r"|(?P<name>[A-Za-z_][\w-]*(?:\.[A-Za-z_*][\w-]*)*))"
)
_WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
_LONGEST = 10_000
_DEEPEST = 50


class ExpressionUnknown(Terminal):
    reason = "ExpressionUnknown"


def text_of(template: str, contexts: Mapping[str, Any]) -> str:
    """The template with each `${{ }}` replaced by its value. Raises ExpressionUnknown."""
    if len(template) > _LONGEST:
        raise ExpressionUnknown("an expression is too long")
    return _MARKED.sub(lambda found: _shown(evaluate(found[1], contexts)), template)


def truth_of(given: object, contexts: Mapping[str, Any]) -> bool:
    """Of a value that is written as it is, or as one expression. Raises ExpressionUnknown."""
    if not isinstance(given, str):
        return bool(given)
    found = _MARKED.fullmatch(given.strip())
    if found is not None:
        return _truth(evaluate(found[1], contexts))
    return text_of(given, contexts).strip().lower() == "true"


def evaluate(source: str, contexts: Mapping[str, Any]) -> Any:
    """Raises ExpressionUnknown."""
    return _Reader(source, contexts).whole()


class _Reader:
    def __init__(self, source: str, contexts: Mapping[str, Any]) -> None:
        self._source = source.strip()
        self._contexts = contexts
        self._tokens = self._split()
        self._place = 0
        self._depth = 0

    def whole(self) -> Any:
        value = self._either()
        if self._place < len(self._tokens):
            raise self._unknown()
        return value

    def _split(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        place = 0
        while place < len(self._source):
            match = _TOKEN.match(self._source, place)
            if match is None or match.end() == place:
                raise self._unknown()
            kind = match.lastgroup or ""
            found.append((kind, match[kind]))
            place = match.end()
        return found

    def _unknown(self) -> ExpressionUnknown:
        return ExpressionUnknown(f"the expression '{self._source[:200]}' cannot be evaluated before the run")

    def _take(self, *signs: str) -> str:
        """The next token if it is one of these signs."""
        if self._place < len(self._tokens) and self._tokens[self._place] in [("sign", sign) for sign in signs]:
            self._place += 1
            return self._tokens[self._place - 1][1]
        return ""

    def _either(self) -> Any:
        value = self._both()
        while self._take("||"):
            other = self._both()
            value = value if _truth(value) else other
        return value

    def _both(self) -> Any:
        value = self._equal()
        while self._take("&&"):
            other = self._equal()
            value = other if _truth(value) else value
        return value

    def _equal(self) -> Any:
        value = self._single()
        while sign := self._take("==", "!="):
            value = (_loose(value) == _loose(self._single())) == (sign == "==")
        return value

    def _single(self) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST or self._place >= len(self._tokens):
            raise self._unknown()
        try:
            return self._operand()
        finally:
            self._depth -= 1

    def _operand(self) -> Any:
        if self._take("!"):
            return not _truth(self._single())
        if self._take("("):
            value = self._either()
            if not self._take(")"):
                raise self._unknown()
            return value
        kind, text = self._tokens[self._place]
        self._place += 1
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text)
        if kind != "name":
            raise self._unknown()
        return self._call(text) if self._take("(") else self._look_up(text)

    def _call(self, name: str) -> Any:
        arguments: list[Any] = []
        if not self._take(")"):
            arguments.append(self._either())
            while self._take(","):
                arguments.append(self._either())
            if not self._take(")"):
                raise self._unknown()
        function = _FUNCTIONS.get(name.lower())
        try:
            return function(*arguments) if function is not None else self._fail()
        except (TypeError, IndexError):
            raise self._unknown() from None

    def _fail(self) -> Any:
        raise self._unknown()

    def _look_up(self, name: str) -> Any:
        if name in _WORDS:
            return _WORDS[name]
        first, *rest = name.split(".")
        if first not in self._contexts:
            raise self._unknown()
        value: Any = self._contexts[first]
        for part in rest:
            value = value.get(part) if isinstance(value, dict) else None
        return value


def _format(template: Any, *values: Any) -> str:
    return re.sub(r"\{(\d+)\}", lambda found: _shown(values[int(found[1])]), _shown(template))


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "format": _format,
    "contains": lambda whole, part: _shown(part).lower() in _shown(whole).lower(),
    "startswith": lambda whole, part: _shown(whole).lower().startswith(_shown(part).lower()),
    "endswith": lambda whole, part: _shown(whole).lower().endswith(_shown(part).lower()),
}


def _truth(value: Any) -> bool:
    return value not in (None, False, 0, "")


def _loose(value: Any) -> Any:
    """Strings are compared without regard to case; numbers as numbers."""
    if isinstance(value, str):
        return value.lower()
    return float(value) if isinstance(value, int | float) else value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
