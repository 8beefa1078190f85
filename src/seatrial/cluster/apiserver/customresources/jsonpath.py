"""The JSONPath of printer columns: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`, `.items[*]`.

Source: "JSONPath Support" of the kubectl reference, without templates. A path comes from a definition anybody may
write, and meets any object: its length, its steps and what it visits are bounded, and it never fails on an object.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_LENGTH = 1000
"""Characters of a path."""
MAX_STEPS = 50
MAX_VISITS = 20_000
"""Values one evaluation passes through; what comes after them is left out."""


class PathError(ValueError):
    """The text is no path; the message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Names:
    """`.name`, `['name']` or `['a','b']`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Indexes:
    """`[0]`, `[-1]` or `[0,2]`."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """`[1:3]`, `[::2]`."""

    start: int | None
    stop: int | None
    step: int | None


@dataclass(frozen=True, slots=True)
class Every:
    """`[*]` or `.*`."""


@dataclass(frozen=True, slots=True)
class Descend:
    """`..`: the value and everything below it."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(@.type=="Ready")]`; without an operator, the left side must be there."""

    left: Path | Literal
    compare: str = ""
    right: Path | Literal | None = None


Step: TypeAlias = Names | Indexes | Slice | Every | Descend | Filter
Path: TypeAlias = tuple[Step, ...]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_NAME = re.compile(r"(?:\\.|[^\\\s.\[\]{}()'\"=<>!,:?@*])+")
_QUOTED = re.compile(r"'((?:\\.|[^'\\])*)'|\"((?:\\.|[^\"\\])*)\"")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)
_SLICE = re.compile(r"(-?\d{1,9})?:(-?\d{1,9})?(?::(-?\d{1,9})?)?", re.ASCII)
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>")
_WORD = re.compile(r"true|false")


@dataclass(slots=True)
class Budget:
    """The visits that several evaluations may make together."""

    left: int


def evaluate(path: str, obj: object, budget: Budget | None = None) -> list[Any]:
    """The values `path` finds in `obj`, none if it leads nowhere. Raises PathError if it is no path."""
    allowed = MAX_VISITS if budget is None else min(MAX_VISITS, budget.left)
    walk = _Walk(allowed)
    found = walk.along(parse(path), obj)
    if budget is not None:
        budget.left -= allowed - walk.left
    return found


@lru_cache(maxsize=1024)
def parse(path: str) -> Path:
    """The steps of a path. Raises PathError."""
    if len(path) > MAX_LENGTH:
        raise PathError(f"the path is longer than {MAX_LENGTH} characters")
    reader = _Reader(path.removeprefix("{").removesuffix("}") if path.startswith("{") else path)
    steps = reader.steps()
    reader.end()
    return steps


class _Reader:
    """Reads a path from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._nested = 0

    def steps(self) -> Path:
        found: list[Step] = []
        self._take("$")
        while self._peek() in (".", "["):
            found += self._step()
            if len(found) > MAX_STEPS:
                raise PathError(f"the path has more than {MAX_STEPS} steps")
        return tuple(found)

    def end(self) -> None:
        if self._at < len(self._text):
            raise self._expected("`.` or `[`")

    def _step(self) -> list[Step]:
        if self._take("["):
            return [self._brackets()]
        if self._take(".."):
            return [Descend()] if self._peek() == "[" else [Descend(), self._name()]
        self._take(".")
        if self._at == len(self._text) or self._peek() == "[":
            return []  # `.` alone is the whole object, `.[0]` is `[0]`
        return [self._name()]

    def _name(self) -> Step:
        if self._take("*"):
            return Every()
        matched = self._match(_NAME)
        if matched is None:
            raise self._expected("a field name")
        return Names((_unescaped(matched[0]),))

    def _brackets(self) -> Step:
        step = self._inside()
        self._skip_spaces()
        if not self._take("]"):
            raise self._expected("`]`")
        return step

    def _inside(self) -> Step:
        self._skip_spaces()
        if self._take("*"):
            return Every()
        if self._take("?("):
            return self._filter()
        sliced = self._match(_SLICE)
        if sliced is not None:
            start, stop, step = (int(part) if part else None for part in sliced.groups())
            if step is not None and step < 1:
                raise PathError("the step of a slice must be positive")
            return Slice(start, stop, step)
        return self._union()

    def _union(self) -> Step:
        names: list[str] = []
        indexes: list[int] = []
        while True:
            self._skip_spaces()
            if self._peek() in ("'", '"'):
                names.append(self._quoted())
            else:
                number = self._match(_NUMBER)
                if number is None or number[1]:
                    raise self._expected("a quoted name, a whole number, `*` or `?(`")
                indexes.append(int(number[0]))
            self._skip_spaces()
            if not self._take(","):
                break
        if names and indexes:
            raise PathError("names and indexes cannot be mixed in one pair of brackets")
        return Names(tuple(names)) if names else Indexes(tuple(indexes))

    def _filter(self) -> Step:
        self._nested += 1
        if self._nested > 2:
            raise PathError("filters are nested too deeply")
        left = self._operand()
        self._skip_spaces()
        compare = self._match(_OPERATOR)
        right = self._operand() if compare else None
        self._skip_spaces()
        if not self._take(")"):
            raise self._expected("a comparison or `)`")
        self._nested -= 1
        return Filter(left, compare[0] if compare else "", right)

    def _operand(self) -> Path | Literal:
        self._skip_spaces()
        if self._take("@"):
            return self.steps()
        if self._peek() in ("'", '"'):
            return Literal(self._quoted())
        number = self._match(_NUMBER)
        if number is not None:
            return Literal(float(number[0]) if number[1] else int(number[0]))
        word = self._match(_WORD)
        if word is None:
            raise self._expected("`@`, a quoted text, a number, true or false")
        return Literal(word[0] == "true")

    def _quoted(self) -> str:
        matched = self._match(_QUOTED)
        if matched is None:
            raise self._expected("a closing quote")
        return _unescaped(matched[1] if matched[1] is not None else matched[2])

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        matched = pattern.match(self._text, self._at)
        if matched is not None:
            self._at = matched.end()
        return matched

    def _skip_spaces(self) -> None:
        while self._peek() == " ":
            self._at += 1

    def _expected(self, what: str) -> PathError:
        return PathError(f"expected {what} at position {self._at + 1} of {self._text!r}")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


class _Walk:
    """One evaluation; filters spend from the same budget of visits."""

    def __init__(self, visits: int) -> None:
        self.left = visits

    def along(self, path: Path, value: object) -> list[Any]:
        values: list[Any] = [value]
        for step in path:
            values = list(self._counted(found for item in values for found in self._apply(step, item)))
        return values

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if self.left <= 0:
                return
            self.left -= 1
            yield value

    def _apply(self, step: Step, value: Any) -> Iterable[Any]:
        if isinstance(step, Names):
            return [value[name] for name in step.names if name in value] if isinstance(value, dict) else ()
        if isinstance(step, Every):
            return _children(value)
        if isinstance(step, Descend):
            return _descendants(value)
        if isinstance(step, Filter):
            return (item for item in self._counted(_children(value)) if self._holds(step, item))
        if not isinstance(value, list):
            return ()
        if isinstance(step, Indexes):
            return [value[index] for index in step.indexes if -len(value) <= index < len(value)]
        return value[step.start : step.stop : step.step]

    def _holds(self, step: Filter, item: object) -> bool:
        left = self._operand(step.left, item)
        if not step.compare or step.right is None:
            return bool(left)
        right = self._operand(step.right, item)
        if not left or not right or not _comparable(left[0], right[0]):
            return False
        return _COMPARE[step.compare](left[0], right[0])

    def _operand(self, operand: Path | Literal, item: object) -> list[Any]:
        return [operand.value] if isinstance(operand, Literal) else self.along(operand, item)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _descendants(value: Any) -> Iterator[Any]:
    """Parents before children, in the order of the document."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        yield item
        waiting += reversed(list(_children(item)))


def _comparable(left: object, right: object) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool)
    if isinstance(left, int | float):
        return isinstance(right, int | float)
    return isinstance(left, str) and isinstance(right, str)
