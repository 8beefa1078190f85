"""An API description, as bytes, becomes a document in one form: OpenAPI 3.1, whatever version it came in.

The input is hostile until it has passed here: bounded in size and depth, without YAML's aliases, without references to
anywhere else. What comes out goes to the generators and, by way of the cases' expectations, to the consumer.
"""

from __future__ import annotations

import hashlib
import json
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
    """YAML as JSON would have it: dates stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def parse(content: bytes) -> ParsedSpecification:
    from specifications.openapi30 import upgrade_schemas
    from specifications.swagger2 import to_openapi

    if len(content) > MAX_BYTES:
        raise InvalidSpecification(f"the description is larger than {MAX_BYTES} bytes")
    source = _plain(_load(content), "")
    if not isinstance(source, dict):
        raise InvalidSpecification("the description must be an object")
    _check_outline(source)
    if source.get("swagger") == "2.0":
        kind, document = "Swagger 2.0", to_openapi(source)
    else:
        version = str(source.get("openapi", ""))
        if not version.startswith(("3.0", "3.1")):
            raise InvalidSpecification(f"openapi: {version or 'absent'}: 3.0, 3.1 or swagger: 2.0 was expected")
        kind, document = f"OpenAPI {version}", source
    if not str(document.get("openapi")).startswith("3.1"):
        document = upgrade_schemas(document)
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
        # Looked for before anything is built: through aliases a small file could unfold without end.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CSafeLoader)):
            raise InvalidSpecification("YAML aliases are not accepted in an API description: write the part out")
        return yaml.load(text, _Loader)  # _Loader is a safe loader
    except UnicodeDecodeError:
        raise InvalidSpecification("the description is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise InvalidSpecification(f"not JSON: {error}") from None
    except yaml.YAMLError as error:
        raise InvalidSpecification(f"not YAML: {error}") from None
    except RecursionError:
        raise InvalidSpecification("the description is nested too deeply") from None


def _plain(value: Any, where: str, depth: int = 0) -> Any:
    """As JSON would have it (YAML reads `200:` as a number), with every reference inside the document."""
    if depth > MAX_DEPTH:
        raise InvalidSpecification(f"{where[:100]}: nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        plain = {str(key): _plain(item, f"{where}/{key}", depth + 1) for key, item in value.items()}
        reference = plain.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#/"):
            raise InvalidSpecification(f"{where}: $ref {reference[:100]!r} leaves the document: only #/... is followed")
        return plain
    if isinstance(value, list):
        return [_plain(item, f"{where}/{index}", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, str):
        return value.replace("\0", "")  # which PostgreSQL cannot keep
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise InvalidSpecification(f"{where}: a {type(value).__name__} has no place in an API description")


def _check_outline(document: dict[str, Any]) -> None:
    if not isinstance(document.get("info"), dict):
        raise InvalidSpecification("info: an object with title and version was expected")
    if not isinstance(document.get("paths"), dict) or not document["paths"]:
        raise InvalidSpecification("paths: an object with at least one path was expected")
    for path, item in document["paths"].items():
        if not path.startswith("/") and not path.startswith("x-"):
            raise InvalidSpecification(f"paths: {path[:100]!r} does not begin with '/'")
        if not isinstance(item, dict):
            raise InvalidSpecification(f"paths: {path[:100]!r}: an object was expected")
        for method in METHODS:
            if method in item and not isinstance(item[method], dict):
                raise InvalidSpecification(f"paths: {method} {path[:100]!r}: an object was expected")


def _check(document: dict[str, Any]) -> None:
    count = sum(method in item for item in document["paths"].values() for method in METHODS)
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
