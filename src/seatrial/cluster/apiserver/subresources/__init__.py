"""What hangs off an object's path: scale, status, binding, eviction, token, finalize, log, exec and their like.

`find` gives the function for (resource, sub-resource, verb); what it does not give is absent (404 or 501).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.subresources import binding, eviction, finalize, scale, streams, token
from seatrial.cluster.apiserver.verbs import patch, read, update

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seatrial.cluster.apiserver.answer import Answer, StreamAnswer, Tunnel
    from seatrial.cluster.apiserver.core import Call, Core

    Handler = Callable[[Core, Call], Awaitable[Answer | StreamAnswer | Tunnel]]

_WHOLE: dict[str, Handler] = {"get": read.get, "update": update.update, "patch": patch.patch}
_SCALE: dict[str, Handler] = {"get": scale.get, "update": scale.update, "patch": scale.patch}

NOT_BUILT = {
    **dict.fromkeys(("proxy", "ephemeralcontainers", "resize"), "is not supported"),
    "approval": "is not supported: this server signs no certificate requests",
}
"""Sub-resources that discovery names and this server answers with 501, and why."""


def find(resource: str, subresource: str, verb: str) -> Handler | None:
    match subresource:
        case "status":
            return _WHOLE.get(verb)
        case "scale":
            return _SCALE.get(verb)
        case "binding" if resource == "pods" and verb == "create":
            return binding.create
        case "eviction" if resource == "pods" and verb == "create":
            return eviction.create
        case "log" if verb == "get":
            return streams.log
        case "exec" | "attach" | "portforward" if verb in ("get", "create"):
            return streams.connect
        case "token" if resource == "serviceaccounts" and verb == "create":
            return token.create
        case "finalize" if resource == "namespaces" and verb == "update":
            return finalize.update
    return None
