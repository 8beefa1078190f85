"""Protobuf request bodies, as Go clients send them, become the JSON-shaped objects everything else works on.

`writing` hands a body in; what comes out is what the same client would have sent as JSON, with nulls left out.
Nothing is ever encoded: answers are always JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.apiserver.protobuf import messages
from seatrial.cluster.apiserver.protobuf.wire import Malformed
from seatrial.kube.model import status

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

__all__ = ["MAGIC", "decode"]

MAGIC = b"k8s\x00"
"""What every protobuf body of Kubernetes starts with; a `runtime.Unknown` message follows."""


def decode(body: bytes) -> Object:
    """The object in a protobuf body, with apiVersion and kind. Raises StatusError 400."""
    try:
        return _decode(body)
    except Malformed as error:
        problem = error.message
    except IndexError:
        problem = "it ends too early"
    except UnicodeDecodeError as error:
        problem = f"a string in it is not UTF-8 ({error.reason})"
    raise status.bad_request(f"the body cannot be read as a protobuf object: {problem}")


def _decode(body: bytes) -> Object:
    if not body.startswith(MAGIC):
        raise Malformed("it does not start with the bytes `k8s` and zero")
    envelope: dict[str, Any] = {}
    messages.ENVELOPE.read(body, len(MAGIC), len(body), envelope, 0)
    named = envelope.get("typeMeta", {})
    head: Object = {"apiVersion": named.get("apiVersion", ""), "kind": named.get("kind", "")}
    if envelope.get("contentEncoding"):
        raise Malformed(f"its content is encoded as {envelope['contentEncoding']}: send it as it is")
    start, stop = envelope.get("raw", (0, 0))
    if envelope.get("contentType") == "application/json":
        return head | _json(body[start:stop])
    message = messages.for_kind(head["apiVersion"], head["kind"])
    if message is None:
        raise Malformed(f'no kind "{head["kind"]}" is known in version "{head["apiVersion"]}"; send it as JSON')
    message.read(body, start, stop, head, 0)
    return head


def _json(raw: bytes) -> Object:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"its content is not the JSON it says it is ({error})") from None
    if not isinstance(found, dict):
        raise Malformed("its content is JSON but not an object")
    return found
