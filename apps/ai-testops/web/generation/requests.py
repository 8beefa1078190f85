"""Values of parameters and body, written as a request; and read back as a server would, for proofs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from generation.operations import FORM, MULTIPART, Body, Operation, Parameter
from generation.schemas import Unbuildable, fits

if TYPE_CHECKING:
    from collections.abc import Callable

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "ABSENT"})()
BOUNDARY = "----case-boundary-7MA4YWxk"
MAX_URL = 8_000
_EMPTY = ("", [], {})
_NOT_TOLD_APART = "an empty value cannot be told from an absent one"
_JOINTS = {"form": ",", "simple": ",", "spaceDelimited": "%20", "pipeDelimited": "|"}


@dataclass(frozen=True)
class Content:
    """What one request carries."""

    parameters: dict[tuple[str, str], Any]
    body: Any = ABSENT
    raw_body: str | None = None

    def with_parameter(self, parameter: Parameter, value: Any) -> Content:
        key = (parameter.place, parameter.name)
        kept = {name: item for name, item in self.parameters.items() if name != key}
        return replace(self, parameters=kept if value is ABSENT else {**kept, key: value})

    def with_body(self, value: Any) -> Content:
        return replace(self, body=value)


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)) or value is None:
        raise Unbuildable("a structure inside a parameter has no one form")
    return str(value)


def readings(value: Any) -> list[Any]:
    """What a server may take a parameter's text for."""
    if isinstance(value, list):
        texts = [text_of(item) for item in value]
        return [texts, [_parsed(text) for text in texts], *(readings(value[0]) if len(value) == 1 else [])]
    if isinstance(value, dict):
        texts_by_name = {name: text_of(item) for name, item in value.items()}
        return [texts_by_name, {name: _parsed(text) for name, text in texts_by_name.items()}]
    text = text_of(value)
    return [text, _parsed(text), [text], [_parsed(text)]]


def _parsed(text: str) -> Any:
    if text in {"true", "false"}:
        return text == "true"
    if re.fullmatch(r"-?\d{1,300}", text):
        return int(text)
    if re.fullmatch(r"-?\d{1,300}\.\d{1,300}(e[+-]?\d{1,3})?", text):
        return float(text)
    return text


def parameter_fits(parameter: Parameter, value: Any) -> bool:
    """Whether any reading is valid: an invalid request is one that no reading saves."""
    if parameter.json:
        return fits(parameter.schema, value)
    return any(fits(parameter.schema, reading) for reading in readings(value))


def body_fits(body: Body, value: Any) -> bool:
    if body.json or not isinstance(value, dict):
        return fits(body.schema, value)
    read = {}
    single = {"properties": body.schema.get("properties") or {}, "$defs": body.schema.get("$defs") or {}}
    for name, item in value.items():
        read[name] = next((way for way in readings(item) if fits(single, {name: way})), item)
    return fits(body.schema, read)


def encode(operation: Operation, content: Content) -> tuple[str, dict[str, str], str | None]:
    """(path with query, headers, body)"""
    path, query, headers, cookies = operation.path, [], {"Accept": _accept(operation)}, []
    for (place, name), value in content.parameters.items():
        parameter = operation.parameter(place, name)
        if place == "path":
            path = path.replace("{" + name + "}", _path_part(parameter, value))
        elif place == "query":
            query += _pairs(parameter, value)
        elif place == "header":
            headers[name] = _header(_joined(parameter, value, _item if isinstance(value, (list, dict)) else text_of))
        else:
            if value in _EMPTY:
                raise Unbuildable(_NOT_TOLD_APART)
            cookies.append(f"{name}={quote(_joined(parameter, value), safe='')}")
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    if query:
        path += "?" + "&".join(f"{quote(name, safe='[]')}={value}" for name, value in query)
    if len(path) > MAX_URL:
        raise Unbuildable("the URL would be too long")
    body = _body(operation, content, headers)
    if "\0" in path + (body or ""):
        raise Unbuildable("a NUL can be neither kept nor sent")
    return path, headers, body


def _accept(operation: Operation) -> str:
    kinds = [kind for answer in operation.answers.values() for kind in answer.get("content_type", [])]
    return ", ".join(dict.fromkeys(kinds)) or "*/*"


def _joined(parameter: Parameter, value: Any, write: Callable[[Any], str] = text_of) -> str:
    """`write` makes the text of one item, so that a comma in it is told from one between two."""
    if parameter.json:
        return write(json.dumps(value))
    if isinstance(value, list):
        return ",".join(write(item) for item in value)
    if isinstance(value, dict):
        joint = "=" if parameter.explode else ","
        return ",".join(f"{write(name)}{joint}{write(item)}" for name, item in value.items())
    return write(value)


def _quoted(value: Any) -> str:
    return quote(text_of(value), safe="")


def _path_part(parameter: Parameter, value: Any) -> str:
    text = _joined(parameter, value)
    # Which resource these name is up to proxies and frameworks, not to the description.
    if text in {"", ".", ".."} or re.search(r"[/\\\x00-\x1f\x7f]", text):
        raise Unbuildable("the value cannot be a part of a path")
    if parameter.style != "simple":
        raise Unbuildable(f"a path parameter of style {parameter.style!r} cannot be made")
    return _joined(parameter, value, _quoted)


def _item(value: Any) -> str:
    text = text_of(value)
    if "," in text:
        raise Unbuildable("a comma in an item of a header cannot be told from one between items")
    return text


def _header(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", text):
        raise Unbuildable("the value cannot be a header")
    return text


def _pairs(parameter: Parameter, value: Any) -> list[tuple[str, str]]:
    name = parameter.name
    if value in _EMPTY and not parameter.json:
        raise Unbuildable(_NOT_TOLD_APART)
    if parameter.json:
        return [(name, quote(json.dumps(value), safe=""))]
    if isinstance(value, dict):
        if parameter.style == "deepObject":
            return [(f"{name}[{key}]", _quoted(item)) for key, item in value.items()]
        if parameter.style == "form" and parameter.explode:
            return [(key, _quoted(item)) for key, item in value.items()]
        return [(name, _joined(parameter, value, _quoted))]
    if isinstance(value, list):
        parts = [_quoted(item) for item in value]
        if parameter.explode and parameter.style == "form":
            return [(name, part) for part in parts]
        return [(name, _JOINTS.get(parameter.style, ",").join(parts))]
    return [(name, _quoted(value))]


def _body(operation: Operation, content: Content, headers: dict[str, str]) -> str | None:
    if operation.body is None or (content.body is ABSENT and content.raw_body is None):
        return None
    kind = operation.body.media_type
    headers["Content-Type"] = f"{kind}; boundary={BOUNDARY}" if kind == MULTIPART else kind
    if content.raw_body is not None:
        return content.raw_body
    if operation.body.json:
        return json.dumps(content.body)
    if kind in {FORM, MULTIPART}:
        if not isinstance(content.body, dict):
            raise Unbuildable("a form is an object")
        if any(value in _EMPTY for value in content.body.values()) or not (content.body or operation.body.required):
            raise Unbuildable(_NOT_TOLD_APART)
        fields = [
            (name, text_of(item))
            for name, value in content.body.items()
            for item in (value if isinstance(value, list) else [value])
        ]
        return urlencode(fields) if kind == FORM else _multipart(fields)
    return text_of(content.body)


def _multipart(fields: list[tuple[str, str]]) -> str:
    if any(re.search(r'[\r\n"]|' + BOUNDARY, name) or BOUNDARY in value for name, value in fields):
        raise Unbuildable("the field cannot be part of a form")
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    return "".join(parts) + f"--{BOUNDARY}--\r\n"
