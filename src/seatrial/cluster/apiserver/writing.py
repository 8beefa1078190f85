"""From a request body to an object that may be stored: decoded, pruned, type-checked.

A body is JSON, YAML or protobuf. `fieldValidation` says what becomes of unknown and duplicate fields: dropped
(Ignore), dropped with a warning (Warn, the default) or refused (Strict).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from seatrial.cluster.apiserver import protobuf
from seatrial.kube.model import objects, status
from seatrial.kube.model.schema import builtin, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cluster.apiserver.catalog import Kind
    from seatrial.cluster.apiserver.core import Call
    from seatrial.kube.client.transport import Request
    from seatrial.kube.model.objects import Object

PROTOBUF = "application/vnd.kubernetes.protobuf"
BODY_TYPES = ("application/json", "application/yaml", PROTOBUF)
MAX_BODY = 3 * 1024 * 1024
"""Bytes; what upstream accepts as well."""


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def body_object(request: Request) -> tuple[Object, list[str]]:
    """The body as an object, and the duplicate fields found in it. Raises 400 or 415."""
    body = request.body
    if isinstance(body, dict):
        return objects.clone(body), []
    kind = media_type(request)
    if not body:
        raise status.bad_request("the request needs a body: send the object as JSON, YAML or protobuf")
    if kind == PROTOBUF or body.startswith(b"k8s\x00"):
        return protobuf.decode(body), []
    if kind == "application/yaml":
        duplicates: list[str] = []
        return _mapping(decode.load_yaml(body, duplicates)), duplicates
    if kind in ("application/json", "", "text/plain", "application/octet-stream"):
        obj = _mapping(load_json(body))
        return obj, decode.duplicate_fields(body, obj)
    raise status.unsupported_media_type(kind, BODY_TYPES)


def typed_body(request: Request, api_version: str, kind: str) -> Object:
    """The body as an object of a built-in kind that is never stored: options, a scale, a binding. Raises 400 or 415."""
    obj, _duplicates = body_object(request)
    check_types(obj, api_version, kind)
    return obj


def check_types(obj: Object, api_version: str, kind: str) -> None:
    """Prune and type-check, in place, an object of a kind that is never stored. Raises 400."""
    if obj.get("kind") not in (None, "", kind):
        raise status.bad_request(f"the body must be of kind {kind}, not {obj['kind']}")
    known = builtin.type_for(api_version, kind)
    if known is not None:
        decode.clean(obj, known, kind)


def load_json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise status.bad_request(f"the body is not valid JSON: {error}") from None


def _mapping(value: object) -> Object:
    if not isinstance(value, dict):
        raise status.bad_request("the body must be a JSON object with apiVersion and kind")
    return value


def check_name(obj: Object, kind: str, name: str) -> None:
    """The body of a sub-resource names the object in the path. Raises 400."""
    if objects.name(obj) != name:
        raise status.bad_request(f"name in URL does not match name in {kind} object")


def check_kind(obj: Object, kind: Kind) -> None:
    """Fill in or compare apiVersion and kind with what the path names. Raises 400."""
    resource = kind.resource
    given = obj.get("apiVersion")
    if given and given != resource.api_version:
        raise status.bad_request(
            f"the API version in the data ({given}) does not match the expected API version ({resource.api_version})"
        )
    named = obj.get("kind")
    if named and named != resource.kind:
        raise status.bad_request(f"the kind in the data ({named}) does not match the expected kind ({resource.kind})")
    if not given or not named:
        missing = "apiVersion" if not given else "kind"
        if kind.custom is not None:
            raise status.bad_request(
                f"{missing} must be set in the body: expected {resource.api_version} {resource.kind}"
            )
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
    if not isinstance(obj.get("metadata"), dict):
        if obj.get("metadata") is not None:
            raise status.bad_request("metadata must be an object")
        obj["metadata"] = {}


def clean(obj: Object, kind: Kind, duplicates: Sequence[str], mode: str) -> list[str]:
    """Prune and type-check `obj` in place; returns warnings. Raises 400 under Strict."""
    if kind.custom is None:
        problems = [*duplicates, *decode.clean(obj, kind.type, kind.resource.kind)]
    else:
        decode.check_metadata(obj, kind.resource.kind)
        problems = [*duplicates, *decode.prune(obj, kind.type)]
    if not problems or mode == "Ignore":
        return []
    if mode == "Strict":
        resource = kind.resource
        raise status.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"strict decoding error: {', '.join(problems)}"
        )
    return problems


def field_validation(call: Call) -> str:
    mode = call.request.param("fieldValidation") or "Warn"
    if mode not in ("Ignore", "Warn", "Strict"):
        modes = ("", "Ignore", "Strict", "Warn")
        raise status.invalid_options(call.options, status.unsupported_value("fieldValidation", mode, modes))
    return mode
