"""Swagger 2.0 becomes OpenAPI 3.0: bodies, form fields, definitions, security and servers move to their new places."""

from __future__ import annotations

from typing import Any

_SCHEMA_KEYS = (
    "type", "format", "items", "default", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "multipleOf", "x-nullable",
)  # fmt: skip
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_MOVED = {
    "#/definitions/": "#/components/schemas/",
    "#/parameters/": "#/components/parameters/",
    "#/responses/": "#/components/responses/",
}
_FLOWS = {"implicit": "implicit", "password": "password", "application": "clientCredentials"}


def to_openapi(source: dict[str, Any]) -> dict[str, Any]:
    consumes = source.get("consumes") or ["application/json"]
    produces = source.get("produces") or ["application/json"]
    shared = source.get("parameters") or {}
    document = {
        "openapi": "3.0.3",
        "info": source["info"],
        "servers": _servers(source),
        "paths": {
            path: _path_item(item, shared, consumes, produces)
            for path, item in source["paths"].items()
            if not path.startswith("x-")
        },
        "components": {
            "schemas": source.get("definitions") or {},
            "parameters": {
                name: _parameter(item) for name, item in shared.items() if item.get("in") not in {"body", "formData"}
            },
            "responses": {name: _response(item, produces) for name, item in (source.get("responses") or {}).items()},
            "securitySchemes": {
                name: _security_scheme(item) for name, item in (source.get("securityDefinitions") or {}).items()
            },
        },
    }
    if "security" in source:
        document["security"] = source["security"]
    return _move_references(document)


def _servers(source: dict[str, Any]) -> list[dict[str, str]]:
    base = source.get("basePath") or "/"
    if "host" not in source:
        return [{"url": base}]
    return [{"url": f"{scheme}://{source['host']}{base}"} for scheme in source.get("schemes") or ["https"]]


def _path_item(item: dict[str, Any], shared: dict[str, Any], consumes: list, produces: list) -> dict[str, Any]:
    common = item.get("parameters") or []
    converted: dict[str, Any] = {}
    for method in _METHODS:
        if method in item:
            converted[method] = _operation(item[method], common, shared, consumes, produces)
    return converted


def _operation(
    operation: dict[str, Any], common: list, shared: dict[str, Any], consumes: list, produces: list
) -> dict[str, Any]:
    consumes = operation.get("consumes") or consumes
    produces = operation.get("produces") or produces
    parameters = [_shared(item, shared) for item in [*common, *(operation.get("parameters") or [])]]
    converted = {
        key: value
        for key, value in operation.items()
        if key in {"operationId", "summary", "description", "tags", "security", "deprecated"}
    }
    converted["responses"] = {
        status: _response(item, produces) for status, item in (operation.get("responses") or {}).items()
    }
    # An operation's parameter replaces its path's of the same name and place.
    plain = {
        (item.get("name"), item.get("in")): item for item in parameters if item.get("in") not in {"body", "formData"}
    }
    converted["parameters"] = [_parameter(item) for item in plain.values()]
    if body := _request_body(parameters, consumes):
        converted["requestBody"] = body
    return converted


def _shared(item: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    reference = item.get("$ref", "")
    return shared.get(reference.removeprefix("#/parameters/"), item) if reference.startswith("#/parameters/") else item


def _request_body(parameters: list[dict[str, Any]], consumes: list[str]) -> dict[str, Any] | None:
    for item in parameters:
        if item.get("in") == "body":
            content = {kind: {"schema": item.get("schema") or {}} for kind in consumes}
            return {"required": bool(item.get("required")), "content": content}
    fields = [item for item in parameters if item.get("in") == "formData"]
    if not fields:
        return None
    files = any(field.get("type") == "file" for field in fields)
    kind = "multipart/form-data" if files or "multipart/form-data" in consumes else "application/x-www-form-urlencoded"
    schema = {
        "type": "object",
        "properties": {field["name"]: _field(field) for field in fields},
        "required": [field["name"] for field in fields if field.get("required")],
    }
    return {"required": bool(schema["required"]), "content": {kind: {"schema": schema}}}


def _field(field: dict[str, Any]) -> dict[str, Any]:
    if field.get("type") == "file":
        return {"type": "string", "format": "binary"}
    return {key: field[key] for key in _SCHEMA_KEYS if key in field}


def _parameter(item: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in item:
        return item
    converted = {key: item[key] for key in ("name", "in", "description", "required") if key in item}
    converted["schema"] = {key: item[key] for key in _SCHEMA_KEYS if key in item}
    if "x-example" in item:
        converted["example"] = item["x-example"]
    if item.get("type") == "array":
        collection = item.get("collectionFormat", "csv")
        if item.get("in") == "query":
            style = {"ssv": "spaceDelimited", "pipes": "pipeDelimited"}.get(collection, "form")
            converted |= {"style": style, "explode": collection == "multi"}
    return converted


def _response(item: dict[str, Any], produces: list[str]) -> dict[str, Any]:
    if "$ref" in item:
        return item
    converted: dict[str, Any] = {"description": item.get("description", "")}
    if "schema" in item:
        media = {} if item["schema"].get("type") == "file" else {"schema": item["schema"]}
        converted["content"] = dict.fromkeys(produces, media)
    return converted


def _security_scheme(item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type")
    if kind == "basic":
        return {"type": "http", "scheme": "basic"}
    if kind == "oauth2":
        flow = {key: item[key] for key in ("authorizationUrl", "tokenUrl") if key in item}
        flow["scopes"] = item.get("scopes") or {}
        return {"type": "oauth2", "flows": {_FLOWS.get(item.get("flow", ""), "authorizationCode"): flow}}
    return {key: item[key] for key in ("type", "name", "in") if key in item}


def _move_references(value: Any) -> Any:
    if isinstance(value, list):
        return [_move_references(item) for item in value]
    if not isinstance(value, dict):
        return value
    moved = {key: _move_references(item) for key, item in value.items()}
    if moved.get("x-nullable") is True:
        moved["nullable"] = moved.pop("x-nullable")
    if isinstance(moved.get("$ref"), str):
        for old, new in _MOVED.items():
            if moved["$ref"].startswith(old):
                moved["$ref"] = new + moved["$ref"].removeprefix(old)
    return moved
