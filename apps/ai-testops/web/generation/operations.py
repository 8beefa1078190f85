"""The operations of a description, read into what the generators need of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from generation.schemas import REQUEST, RESPONSE, standalone
from groundwork.expectation import UnusableSchema, compile_schema, is_json, media_type
from specifications.document import METHODS, InvalidSpecification, resolve

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
MAX_ANSWER_SCHEMA = 50_000  # characters: it is kept with every case
_IGNORED_HEADERS = {"accept", "content-type", "authorization"}  # such a parameter means nothing, says the standard
_STYLES = {"query": "form", "cookie": "form", "path": "simple", "header": "simple"}


@dataclass(frozen=True)
class Parameter:
    name: str
    place: str
    required: bool
    schema: dict[str, Any]
    style: str
    explode: bool
    json: bool
    examples: list[Any]


@dataclass(frozen=True)
class Body:
    media_type: str
    required: bool
    schema: dict[str, Any]
    examples: list[Any]

    @property
    def json(self) -> bool:
        return is_json(self.media_type)


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    parameters: list[Parameter]
    body: Body | None
    answers: dict[str, dict[str, Any]]
    """Documented status -> {"content_type": [...], "schema": {...}}, either may be absent."""
    security: dict[str, dict[str, str]]
    secured: bool
    may_vanish: bool
    """Another operation of the description deletes what this path names."""
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"

    def parameter(self, place: str, name: str) -> Parameter:
        return next(item for item in self.parameters if (item.place, item.name) == (place, name))


def operations(document: dict[str, Any]) -> tuple[list[Operation], list[str]]:
    """What can be read of the description, and a note for each operation that cannot."""
    found, notes = [], []
    deleted = [path for path, item in document["paths"].items() if isinstance(item, dict) and "delete" in item]
    for path, item in document["paths"].items():
        if not path.startswith("/"):
            continue
        try:
            item = resolve(document, item)
        except InvalidSpecification as error:
            notes.append(f"{path}: no cases: {error}")
            continue
        for method in METHODS:
            if method not in item or method == "trace":
                continue
            try:
                found.append(_operation(document, method, path, item, deleted))
            except (InvalidSpecification, UnusableSchema) as error:
                notes.append(f"{method.upper()} {path}: no cases: {error}")
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                reason = f"not as OpenAPI has it ({type(error).__name__}: {error})"
                notes.append(f"{method.upper()} {path}: no cases: {reason}")
    return found, notes


def _operation(document: dict[str, Any], method: str, path: str, item: dict[str, Any], deleted: list[str]) -> Operation:
    source = item[method]
    notes: list[str] = []
    security, secured, optional = _security(document, source.get("security", document.get("security")))
    if secured and not security and not optional:
        raise InvalidSpecification("its security scheme is of a kind that cannot be sent")
    operation = Operation(
        method=method,
        path=path,
        parameters=_parameters(document, [*(item.get("parameters") or []), *(source.get("parameters") or [])]),
        body=_body(document, resolve(document, source.get("requestBody"))),
        answers=_answers(document, source.get("responses") or {}, method, notes),
        security={} if optional else security,
        secured=secured and not optional,
        may_vanish=any(path == other or path.startswith(other + "/") for other in deleted),
        notes=notes,
    )
    declared = {parameter.name for parameter in operation.parameters if parameter.place == "path"}
    if missing := set(re.findall(r"\{([^{}]+)\}", path)) - declared:
        raise InvalidSpecification(f"the path parameter {min(missing)!r} is not described")
    return operation


def _parameters(document: dict[str, Any], sources: list[Any]) -> list[Parameter]:
    found: dict[tuple[str, str], Parameter] = {}
    for source in sources:
        source = resolve(document, source)
        name, place = str(source["name"]), source["in"]
        if place not in _STYLES or (place == "header" and name.lower() in _IGNORED_HEADERS):
            continue
        content = source.get("content")
        kind, media = next(iter(content.items())) if content else ("", source)
        schema = standalone(document, media.get("schema", {}), REQUEST)
        compile_schema(schema)
        style = source.get("style", _STYLES[place])
        found[place, name] = Parameter(
            name=name,
            place=place,
            required=place == "path" or source.get("required") is True,
            schema=schema,
            style=style,
            explode=source.get("explode", style == "form"),
            json=is_json(media_type(kind)),
            examples=_examples(document, media) or _examples(document, source),
        )
    return list(found.values())


def _examples(document: dict[str, Any], source: dict[str, Any]) -> list[Any]:
    """Of a parameter or media type; those of its schema are found there."""
    found = [source["example"]] if "example" in source else []
    if isinstance(named := source.get("examples"), dict):
        found += [item["value"] for item in (resolve(document, item) for item in named.values()) if "value" in item]
    return found


def _body(document: dict[str, Any], source: Any) -> Body | None:
    if not source or not (content := source.get("content")):
        return None
    kinds = {media_type(kind): media for kind, media in content.items()}
    chosen = next((kind for kind in kinds if is_json(kind)), None) or next(
        (kind for kind in (FORM, MULTIPART, "text/plain") if kind in kinds), None
    )
    if chosen is None:
        raise InvalidSpecification(f"a body of {next(iter(kinds))} cannot be made")
    media = kinds[chosen]
    schema = standalone(document, media.get("schema", {}), REQUEST)
    compile_schema(schema)
    if chosen == MULTIPART and "'binary'" in str(schema):
        raise InvalidSpecification("a file to upload cannot be made")
    return Body(chosen, source.get("required") is True, schema, _examples(document, media))


def _answers(document: dict[str, Any], source: dict[str, Any], method: str, notes: list[str]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, item in source.items():
        answer: dict[str, Any] = {}
        content = resolve(document, item).get("content") if method != "head" else None
        if content:
            answer["content_type"] = sorted({media_type(kind) for kind in content})
            media = next((media for kind, media in content.items() if is_json(media_type(kind))), {})
            if "schema" in media:
                schema = standalone(document, media["schema"], RESPONSE)
                if len(str(schema)) > MAX_ANSWER_SCHEMA:
                    notes.append(f"the schema of answer {status} is too large: the body is not checked")
                else:
                    compile_schema(schema)
                    answer["schema"] = schema
        answers[status.upper() if status != "default" else status] = answer
    return answers


def _security(document: dict[str, Any], requirements: Any) -> tuple[dict[str, dict[str, str]], bool, bool]:
    """(Where the credentials of the first usable alternative go, whether any is asked for, whether none will do.)"""
    if not requirements:
        return {}, False, False
    if any(not requirement for requirement in requirements):
        return {}, True, True
    schemes = (document.get("components") or {}).get("securitySchemes") or {}
    for requirement in requirements:
        places = {name: _place(resolve(document, schemes.get(name) or {})) for name in requirement}
        if all(places.values()):
            return {name: place for name, place in places.items() if place}, True, False
    return {}, True, False


def _place(scheme: dict[str, Any]) -> dict[str, str] | None:
    kind = scheme.get("type")
    if kind == "apiKey" and scheme.get("in") in {"header", "query", "cookie"}:
        return {"in": scheme["in"], "name": str(scheme["name"])}
    if kind == "http" and str(scheme.get("scheme", "")).lower() in {"basic", "bearer"}:
        return {"in": "header", "name": "Authorization", "prefix": f"{scheme['scheme'].capitalize()} "}
    if kind in {"oauth2", "openIdConnect"}:
        return {"in": "header", "name": "Authorization", "prefix": "Bearer "}
    return None
