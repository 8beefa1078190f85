"""An API description, as bytes, becomes a document in one form: OpenAPI 3.1, whatever version it came in.

The input is hostile until it has passed here: bounded in size and depth, without YAML's aliases, without references to
anywhere else. What comes out goes to the generators and, by way of the cases' expectations, to the consumer.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 5 * 1024 * 1024
MAX_OPERATIONS = 1000
MAX_DEPTH = 100
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class InvalidSpecification(ValueError):
    """The description cannot be used; the message says where and why."""


@dataclass(frozen=True)
class ParsedSpecification:
    title: str
    version: str
    format: str
    digest: str
    document: dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """YAML with JSON's values, as OpenAPI wants it: no dates, and neither `on` nor `12:30` is anything but text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"(~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("bool", r"(true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^{_pattern}$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _loader, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _loader, node: float(node.value))
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(content: bytes) -> ParsedSpecification:
    from specifications.openapi30 import upgrade_schemas
    from specifications.swagger2 import to_openapi

    if len(content) > MAX_BYTES:
        raise InvalidSpecification(f"the description is larger than {MAX_BYTES} bytes")
    source = _plain(_load(content), "")
    if not isinstance(source, dict):
        raise InvalidSpecification("the description must be an object")
    version = str(source.get("openapi", ""))[:20]
    if source.get("swagger") == "2.0":
        kind = "Swagger 2.0"
    elif re.fullmatch(r"3\.[01](\..*)?", version):
        kind = f"OpenAPI {version}"
    else:
        raise InvalidSpecification(f"openapi: {version or 'absent'}: 3.0, 3.1 or swagger: 2.0 was expected")
    _check_outline(source)
    try:
        document = to_openapi(source) if kind == "Swagger 2.0" else source
        if not version.startswith("3.1"):
            document = upgrade_schemas(document)
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidSpecification(f"not as {kind} has it: {type(error).__name__}: {error}"[:300]) from None
    _check(document)
    info = source["info"]
    return ParsedSpecification(
        title=str(info.get("title", "untitled"))[:200],
        version=str(info.get("version", ""))[:100],
        format=kind[:30],
        digest=hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest(),
        document=document,
    )


def _load(content: bytes) -> Any:
    try:
        text = content.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            return json.loads(text)
        _look_through(text)
        return yaml.load(text, _Loader)  # _Loader is a safe loader
    except UnicodeDecodeError:
        raise InvalidSpecification("the description is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise InvalidSpecification(f"not JSON: {error}") from None
    except yaml.YAMLError as error:
        raise InvalidSpecification(f"not YAML: {error}") from None
    except InvalidSpecification:
        raise
    except ValueError as error:  # a number or a date that is none
        raise InvalidSpecification(f"a value cannot be read: {error}"[:300]) from None
    except RecursionError:
        raise InvalidSpecification("the description is nested too deeply") from None


def _look_through(text: str) -> None:
    """Before anything is built: by aliases a small file could unfold without end, and depth is quadratic in time."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise InvalidSpecification(f"{where}: YAML aliases are not accepted: write the part out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidSpecification(f"{where}: nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _plain(value: Any, where: str, depth: int = 0) -> Any:
    """As JSON would have it (YAML reads `200:` as a number), with every reference inside the document."""
    if depth > MAX_DEPTH:
        raise InvalidSpecification(f"{where[:100]}: nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        named = {_text(_name(key), where): item for key, item in value.items()}
        plain = {name: _plain(item, f"{where}/{name}", depth + 1) for name, item in named.items()}
        reference = plain.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#/"):
            raise InvalidSpecification(f"{where}: $ref {reference[:100]!r} leaves the document: only #/... is followed")
        return plain
    if isinstance(value, list):
        return [_plain(item, f"{where}/{index}", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidSpecification(f"{where}: {value} has no place in JSON")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise InvalidSpecification(f"{where}: a {type(value).__name__} has no place in an API description")


def _name(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key, default=str)


def _text(value: str, where: str) -> str:
    if _SURROGATE.search(value):
        raise InvalidSpecification(f"{where}: half of a surrogate pair is no text")
    return value.replace("\0", "")  # which PostgreSQL cannot keep


def _check_outline(document: dict[str, Any]) -> None:
    if not isinstance(document.get("info"), dict):
        raise InvalidSpecification("info: an object with title and version was expected")
    if not isinstance(document.get("paths"), dict) or not document["paths"]:
        raise InvalidSpecification("paths: an object with at least one path was expected")
    for path, item in document["paths"].items():
        if not path.startswith("/") and not path.startswith("x-"):
            raise InvalidSpecification(f"paths: {path[:100]!r} does not begin with '/'")
        if path.startswith("x-"):
            continue
        if not isinstance(item, dict):
            raise InvalidSpecification(f"paths: {path[:100]!r}: an object was expected")
        for method in METHODS:
            if method in item and not isinstance(item[method], dict):
                raise InvalidSpecification(f"paths: {method} {path[:100]!r}: an object was expected")


def _check(document: dict[str, Any]) -> None:
    count = sum(
        method in item for path, item in document["paths"].items() if path.startswith("/") for method in METHODS
    )
    if not count:
        raise InvalidSpecification("paths: there is no operation in them")
    if count > MAX_OPERATIONS:
        raise InvalidSpecification(f"paths: {count} operations; at most {MAX_OPERATIONS} are accepted")


def resolve(document: dict[str, Any], value: Any) -> Any:
    """What a `$ref` points at; anything else is itself."""
    seen = set()
    while isinstance(value, dict) and isinstance(reference := value.get("$ref"), str):
        if reference in seen:
            raise InvalidSpecification(f"{reference} refers to itself")
        seen.add(reference)
        value = document
        for part in reference[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(value, dict) or part not in value:
                raise InvalidSpecification(f"{reference} is not in the document")
            value = value[part]
    return value
