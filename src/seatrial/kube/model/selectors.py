"""Selectors: which objects a list, a watch, a Service or a controller means.

A label selector comes as query text (`app=web,tier in (a,b),!old`), as a `metav1.LabelSelector` object or as a
plain map; all become one immutable `LabelSelector`. A field selector (`spec.nodeName=n1`) only names paths;
whoever knows the kind supplies the values.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from seatrial.kube.model.status import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Operator = Literal["=", "!=", "in", "notin", "exists", "!", ">", "<"]

_OBJECT_OPERATORS: dict[str, Operator] = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
}
_BINARY = ("in", "notin", "=", "==", "!=", ">", "<")


class LabelRequirement(NamedTuple):
    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.key)
        match self.operator:
            case "=" | "in":
                return found in self.values
            case "!=" | "notin":
                return found is None or found not in self.values
            case "exists":
                return found is not None
            case "!":
                return found is None
            case ">" | "<":
                return self._compares(found)

    def _compares(self, found: str | None) -> bool:
        if found is None or not _is_integer(found):
            return False
        bound = int(self.values[0])
        return int(found) > bound if self.operator == ">" else int(found) < bound

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


class LabelSelector:
    """All requirements must hold. `str()` gives the query text (as `kubectl get -l` takes it)."""

    __slots__ = ("_equal", "_nothing", "_other", "requirements")

    def __init__(self, requirements: Iterable[LabelRequirement] = (), *, nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda requirement: requirement.key))
        self._nothing = nothing
        self._equal = tuple((req.key, req.values[0]) for req in self.requirements if req.operator == "=")
        self._other = tuple(req for req in self.requirements if req.operator != "=")

    def matches(self, labels: Mapping[str, str]) -> bool:
        if self._nothing:
            return False
        for key, value in self._equal:
            if labels.get(key) != value:
                return False
        return all(requirement.matches(labels) for requirement in self._other)

    @property
    def is_empty(self) -> bool:
        """Whether it matches everything."""
        return not self.requirements and not self._nothing

    @property
    def matches_nothing(self) -> bool:
        return self._nothing

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelSelector):
            return NotImplemented
        return self.requirements == other.requirements and self._nothing == other._nothing

    def __hash__(self) -> int:
        return hash((self.requirements, self._nothing))

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)

    def __repr__(self) -> str:
        return f"LabelSelector({'nothing' if self._nothing else str(self)!r})"


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)


def from_map(labels: Mapping[str, str] | None) -> LabelSelector:
    """Each label must have this value; none given matches everything."""
    if not labels:
        return EVERYTHING
    return LabelSelector(LabelRequirement(key, "=", (value,)) for key, value in labels.items())


def from_object(selector: Mapping[str, Any] | None) -> LabelSelector:
    """Of a `metav1.LabelSelector`: None matches nothing, {} everything. Raises ValueError."""
    if selector is None:
        return NOTHING
    requirements = [LabelRequirement(key, "=", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    requirements += [_expression(item) for item in selector.get("matchExpressions") or ()]
    return LabelSelector(requirements) if requirements else EVERYTHING


def _expression(item: Mapping[str, Any]) -> LabelRequirement:
    name = item.get("operator", "")
    operator = _OBJECT_OPERATORS.get(name)
    if operator is None:
        raise ValueError(f'"{name}" is not a valid label selector operator')
    values = tuple(sorted(set(item.get("values") or ())))
    if operator in ("in", "notin") and not values:
        raise ValueError(f"for '{name}' operators, values set can't be empty (key {item.get('key')})")
    if operator in ("exists", "!") and values:
        raise ValueError(f"values set must be empty for exists and does not exist (key {item.get('key')})")
    return LabelRequirement(item.get("key", ""), operator, values)


# --- label selector text ---

_TOKEN = re.compile(r"[ \t\r\n]*(?:(?P<symbol>[!=<>]+|[(),])|(?P<word>[^ \t\r\n!=<>(),]+))")
_SYMBOLS = ("==", "!=", "!", "=", ">", "<", "(", ")", ",")


@lru_cache(maxsize=1024)
def parse_label_selector(text: str) -> LabelSelector:
    """`a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1`. Raises StatusError 400."""
    tokens = _Tokens(text)
    requirements: list[LabelRequirement] = []
    while tokens.peek:
        if tokens.peek != "!" and not _is_word(tokens.peek):
            raise bad_request(f"found '{tokens.peek}', expected: !, identifier, or 'end of string'")
        requirements.append(_requirement(tokens))
        after = tokens.take()
        if not after:
            break
        if after != ",":
            raise bad_request(f"found '{after}', expected: ',' or 'end of string'")
        if tokens.peek != "!" and not _is_word(tokens.peek):
            raise bad_request(f"found '{tokens.peek}', expected: identifier after ','")
    return LabelSelector(requirements) if requirements else EVERYTHING


class _Tokens:
    """The tokens of a selector; an empty string is the end."""

    def __init__(self, text: str) -> None:
        self._items = list(_split(text))
        self._position = 0

    @property
    def peek(self) -> str:
        return self._items[self._position] if self._position < len(self._items) else ""

    def take(self) -> str:
        token = self.peek
        self._position += 1
        return token


def _split(text: str) -> Iterator[str]:
    for found in _TOKEN.finditer(text):
        symbol = found["symbol"]
        if symbol is None:
            yield found["word"]
            continue
        while symbol:  # `=!` is two tokens, `!=` one: the longest known symbol first
            token = next(known for known in _SYMBOLS if symbol.startswith(known))
            yield token
            symbol = symbol[len(token) :]


def _is_word(token: str) -> bool:
    return bool(token) and token not in _SYMBOLS


def _requirement(tokens: _Tokens) -> LabelRequirement:
    absent = tokens.peek == "!"
    if absent:
        tokens.take()
    key = tokens.take()
    if not _is_word(key):
        _unparsed(f"found '{key}', expected: identifier")
    _check_key(key)
    if absent or tokens.peek in ("", ","):
        return LabelRequirement(key, "!" if absent else "exists")
    word = tokens.take()
    if word not in _BINARY:
        _unparsed(f"found '{word}', expected: in, notin, =, ==, !=, gt, lt")
    if word in ("in", "notin"):
        return LabelRequirement(key, "in" if word == "in" else "notin", _set_values(tokens, key))
    return _exact(key, word, tokens)


def _exact(key: str, word: str, tokens: _Tokens) -> LabelRequirement:
    value = "" if tokens.peek in ("", ",") else tokens.take()
    if value and not _is_word(value):
        _unparsed(f"found '{value}', expected: identifier")
    _check_value(key, value)
    match word:
        case "=" | "==":
            return LabelRequirement(key, "=", (value,))
        case "!=":
            return LabelRequirement(key, "!=", (value,))
    if not _is_integer(value):
        _unparsed(f"values[0]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer")
    return LabelRequirement(key, ">" if word == ">" else "<", (value,))


def _set_values(tokens: _Tokens, key: str) -> tuple[str, ...]:
    opening = tokens.take()
    if opening != "(":
        _unparsed(f"found '{opening}' expected: '('")
    values: set[str] = set()
    while True:
        values.add(tokens.take() if _is_word(tokens.peek) else "")
        separator = tokens.take()
        if separator == ")":
            break
        if separator != ",":
            _unparsed(f"found '{separator}', expected: ',' or ')'")
    found = tuple(sorted(values))
    for number, value in enumerate(found):
        _check_value(key, value, number)
    return found


def _unparsed(problem: str) -> NoReturn:
    raise bad_request(f"unable to parse requirement: {problem}")


# --- what a label may look like ---

_NAME_FORM = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_NAME = re.compile(_NAME_FORM)
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_ALPHANUMERIC = "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if len(prefix) > 253:
        _invalid(key, "prefix part must be no more than 253 characters")
    if slash and not _PREFIX.fullmatch(prefix):
        _invalid(
            key,
            "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
            "'.', and must start and end with an alphanumeric character (e.g. 'example.com', "
            f"regex used for validation is '{_PREFIX.pattern}')",
        )
    if len(name) > 63:
        _invalid(key, "name part must be no more than 63 bytes")
    if not _NAME.fullmatch(name):
        _invalid(
            key,
            f"name part must consist of {_ALPHANUMERIC} (e.g. 'MyName',  or 'my.name',  or '123-abc', "
            f"regex used for validation is '{_NAME_FORM}')",
        )


def _check_value(key: str, value: str, number: int = 0) -> None:
    where = f"values[{number}][{key}]: "
    if len(value) > 63:
        _invalid(value, "must be no more than 63 bytes", where)
    if value and not _NAME.fullmatch(value):
        _invalid(
            value,
            f"a valid label must be an empty string or consist of {_ALPHANUMERIC} (e.g. 'MyValue',  or "
            f"'my_value',  or '12345', regex used for validation is '({_NAME_FORM})?')",
            where,
        )


def _invalid(value: str, problem: str, where: str = "") -> NoReturn:
    _unparsed(f'{where or "<nil>: "}Invalid value: "{value}": {problem}')


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,19}", text) is not None


# --- field selectors ---


class FieldRequirement(NamedTuple):
    path: str
    operator: Literal["=", "!="]
    value: str


class FieldSelector(NamedTuple):
    """All requirements must hold; a field that is absent counts as the empty string."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, get: Callable[[str], str | None]) -> bool:
        return all(((get(path) or "") == value) == (operator == "=") for path, operator, value in self.requirements)

    @property
    def is_empty(self) -> bool:
        return not self.requirements

    def __str__(self) -> str:
        return ",".join(f"{path}{operator}{_escape(value)}" for path, operator, value in self.requirements)


_TERM = re.compile(r"(?P<path>[^=!]*)(?P<operator>!=|==|=)(?P<value>.*)", re.DOTALL)
_VALUE_PART = re.compile(r"\\([\\,=])|([^\\,=])", re.DOTALL)


@lru_cache(maxsize=1024)
def parse_field_selector(text: str) -> FieldSelector:
    r"""`metadata.name=web,status.phase!=Failed`; `\,` `\=` `\\` are literal. Raises StatusError 400."""
    terms = re.findall(r"(?:\\.|[^,\\]|\\$)+", text, re.DOTALL)
    return FieldSelector(tuple(_field_requirement(text, term) for term in terms))


def _field_requirement(text: str, term: str) -> FieldRequirement:
    found = _TERM.fullmatch(term)
    if found is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
    operator: Literal["=", "!="] = "!=" if found["operator"] == "!=" else "="
    return FieldRequirement(found["path"], operator, _unescape(found["value"]))


def _unescape(value: str) -> str:
    if not re.search(r"[\\,=]", value):
        return value
    out: list[str] = []
    position = 0
    while position < len(value):
        found = _VALUE_PART.match(value, position)
        if found is None:
            problem = "invalid escape sequence" if value[position] == "\\" else "unescaped character in value"
            raise bad_request(f"invalid field selector: {problem}: {value[position : position + 2]}")
        out.append(found[1] or found[2])
        position = found.end()
    return "".join(out)


def _escape(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)
