"""Operations written down in OpenAPI 2 and 3, and the frames of the documents they stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver import version
from seatrial.cluster.apiserver.openapi.definitions import REFERENCE

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.openapi.operations import Operation, Path

BODY_TYPES = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
ANSWER_TYPES = ["application/json"]
PATCH_TYPES = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
]
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
INFO = {"title": "Kubernetes", "version": version.KUBERNETES}
SECURITY = {
    "BearerToken": {
        "type": "apiKey",
        "name": "authorization",
        "in": "header",
        "description": "A bearer token in the Authorization header.",
    }
}
_QUERY: dict[str, tuple[str, str]] = {
    "allowWatchBookmarks": ("boolean", "Send BOOKMARK events, which carry only a resourceVersion."),
    "container": ("string", "The container whose log is wanted; needed if the pod has several."),
    "continue": ("string", "The token from the metadata of the previous page."),
    "dryRun": ("string", "`All`: do everything but store."),
    "fieldManager": ("string", "Who owns the fields being set; needed for apply patches."),
    "fieldSelector": ("string", "Only objects whose fields match."),
    "fieldValidation": (
        "string",
        "Unknown and duplicate fields are ignored (Ignore), warned of (Warn) or refused (Strict).",
    ),
    "follow": ("boolean", "Keep sending what is logged."),
    "force": ("boolean", "Take over fields that other managers own (apply patches only)."),
    "gracePeriodSeconds": ("integer", "How long the object may take to end."),
    "labelSelector": ("string", "Only objects whose labels match."),
    "limit": ("integer", "The most objects a page may have."),
    "limitBytes": ("integer", "The most bytes to send."),
    "orphanDependents": ("boolean", "Deprecated: use propagationPolicy."),
    "pretty": ("string", "Accepted, and without effect."),
    "previous": ("boolean", "The log of the container's previous run."),
    "propagationPolicy": ("string", "What becomes of dependents: Orphan, Background or Foreground."),
    "resourceVersion": ("string", "The version to read, or to watch from."),
    "resourceVersionMatch": ("string", "How resourceVersion counts: NotOlderThan or Exact."),
    "sendInitialEvents": ("boolean", "Begin a watch with the present objects and a closing bookmark."),
    "sinceSeconds": ("integer", "Only what was logged in the last seconds."),
    "stream": ("string", "All, Stdout or Stderr."),
    "tailLines": ("integer", "Only the last lines."),
    "timeoutSeconds": ("integer", "When to end the watch."),
    "timestamps": ("boolean", "Begin each line with its time."),
    "watch": ("boolean", "Send changes as they happen instead of a list."),
}
_IN_PATH = {"name": "The object's name.", "namespace": "The object's namespace."}
_INLINE = frozenset({"dryRun", "fieldValidation"})
"""Older kubectl looks these up without following references."""


def v2_frame() -> dict[str, Any]:
    """An OpenAPI 2 document without paths and definitions."""
    shared = [_v2_query(name) for name in _QUERY if name not in _INLINE]
    return {
        "swagger": "2.0",
        "info": INFO,
        "parameters": {parameter["name"]: parameter for parameter in shared},
        "securityDefinitions": SECURITY,
        "security": [{"BearerToken": []}],
    }


def v3_frame() -> dict[str, Any]:
    return {"openapi": "3.0.0", "info": INFO}


def v2_path(path: Path) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "type": "string", "description": _IN_PATH[name]}
        for name in path.parameters
    ]
    item = {operation.verb.method: _v2_operation(operation) for operation in path.operations}
    return {**item, "parameters": [*parameters, {"$ref": "#/parameters/pretty"}]}


def _v2_operation(operation: Operation) -> dict[str, Any]:
    parameters = [
        _v2_query(name) if name in _INLINE else {"$ref": f"#/parameters/{name}"} for name in operation.parameters
    ]
    if operation.body:
        parameters.insert(0, _v2_body(operation))
    found = {
        **_common(operation),
        "consumes": _body_types(operation) if operation.body else ["*/*"],
        "produces": ANSWER_TYPES if operation.answer else ["*/*"],
        "schemes": ["https"],
        "responses": _responses(operation, {"schema": _answer(operation, REFERENCE["v2"])}),
    }
    return {**found, "parameters": parameters} if parameters else found


def _v2_query(name: str) -> dict[str, Any]:
    kind, description = _QUERY[name]
    return {"name": name, "in": "query", "type": kind, "description": description, "uniqueItems": True}


def _v2_body(operation: Operation) -> dict[str, Any]:
    return {
        "name": "body",
        "in": "body",
        "required": operation.verb.method != "delete",
        "schema": {"$ref": REFERENCE["v2"] + operation.body},
    }


def v3_path(path: Path) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": _IN_PATH[name]}
        for name in path.parameters
    ]
    item = {operation.verb.method: _v3_operation(operation) for operation in path.operations}
    return {**item, "parameters": [*parameters, _v3_query("pretty")]}


def _v3_operation(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        **_common(operation),
        "responses": _responses(operation, {"content": _v3_answer(operation)}),
    }
    if operation.parameters:
        found["parameters"] = [_v3_query(name) for name in operation.parameters]
    if operation.body:
        schema = {"schema": {"$ref": REFERENCE["v3"] + operation.body}}
        content = dict.fromkeys(_body_types(operation), schema)
        found["requestBody"] = {"content": content, "required": operation.verb.method != "delete"}
    return found


def _v3_query(name: str) -> dict[str, Any]:
    kind, description = _QUERY[name]
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": True}}


def _v3_answer(operation: Operation) -> dict[str, Any]:
    media = ANSWER_TYPES if operation.answer else ["*/*"]
    return {kind: {"schema": _answer(operation, REFERENCE["v3"])} for kind in media}


def _common(operation: Operation) -> dict[str, Any]:
    group, version, kind = operation.gvk
    return {
        "description": operation.description,
        "operationId": operation.id,
        "tags": [operation.tag],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "kind": kind, "version": version},
    }


def _answer(operation: Operation, prefix: str) -> dict[str, str]:
    return {"$ref": prefix + operation.answer} if operation.answer else {"type": "string"}


def _responses(operation: Operation, success: dict[str, Any]) -> dict[str, Any]:
    found = {code: {"description": "OK", **success} for code in operation.success}
    return {**found, "401": {"description": "Unauthorized"}}


def _body_types(operation: Operation) -> list[str]:
    if operation.verb.method != "patch":
        return BODY_TYPES
    return PATCH_TYPES if operation.is_custom else [*PATCH_TYPES, STRATEGIC_PATCH]
