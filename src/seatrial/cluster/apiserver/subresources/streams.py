"""pods/log, exec, attach and portforward: who may is decided here, what then flows is between client and node."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from seatrial.cluster.apiserver import node as nodes
from seatrial.cluster.apiserver.answer import StreamAnswer, Tunnel
from seatrial.kube.model import objects, status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.cluster.apiserver.node import Node
    from seatrial.kube.model.objects import Object

_LOG_NUMBERS = ("sinceSeconds", "tailLines", "limitBytes")
_LOG_OPTIONS = frozenset({"follow", "previous", "timestamps", "sinceTime", "stream", *_LOG_NUMBERS})
_NOT_FORWARDED = frozenset({"authorization", "host", "content-length", "cookie"})
_PATHS = {"exec": "exec", "attach": "attach", "portforward": "portForward"}
_PIECE = 64 * 1024


async def log(core: Core, call: Call) -> StreamAnswer:
    pod = _pod(core, call)
    _check_log_options(call)
    name = nodes.container(call, pod, call.request.param("container"))
    node = nodes.of(core, call, pod)
    query = [(key, value) for key, value in call.request.query if key in _LOG_OPTIONS]
    chunks = _log(node, f"/containerLogs/{call.namespace}/{objects.name(pod)}/{name}", query)
    return StreamAnswer("text/plain", await anext(chunks), chunks)


async def _log(node: Node, path: str, query: list[tuple[str, str]]) -> AsyncIterator[bytes]:
    """First an empty piece, once the node has agreed. Raises StatusError with the node's reason."""
    async with node.get(path, query) as answer:
        if answer.status != 200:
            text = (await answer.content.read(_PIECE)).decode(errors="replace").strip()
            raise status.StatusError(answer.status, "BadRequest" if answer.status < 500 else "InternalError", text)
        yield b""
        async for chunk in answer.content.iter_any():
            yield chunk


def _check_log_options(call: Call) -> None:
    causes = []
    for option in _LOG_NUMBERS:
        found = call.request.param(option)
        lowest = 0 if option == "tailLines" else 1
        if found and (not found.lstrip("-").isdigit() or int(found) < lowest):
            causes.append(status.invalid_value(option, found, f"must be greater than or equal to {lowest}"))
    if call.request.param("sinceSeconds") and call.request.param("sinceTime"):
        detail = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        causes.append(status.forbidden_value("sinceSeconds", detail))
    if causes:
        raise status.invalid("", "PodLogOptions", call.target.name, causes)


async def connect(core: Core, call: Call) -> Tunnel:
    """exec, attach, portforward. Reading by upgrade asks for the right to create as well (KEP-4006's lesson)."""
    core.authorize_verb(call, "create")
    pod = _pod(core, call)
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise status.bad_request(
            f"cannot {call.target.subresource} into a container in a completed pod; current phase is {phase}"
        )
    if "upgrade" not in call.request.headers:
        raise status.bad_request("Upgrade request required")
    path = f"/{_PATHS[call.target.subresource]}/{quote(call.namespace)}/{quote(objects.name(pod))}"
    query = list(call.request.query)
    if call.target.subresource != "portforward":
        path += "/" + quote(nodes.container(call, pod, call.request.param("container")))
        query = [(key, value) for key, value in query if key != "container"]
        _check_streams(call)
    node = nodes.of(core, call, pod)
    return Tunnel(node.socket, _head(call, path, query))


def _check_streams(call: Call) -> None:
    if not any(call.request.flag(name) for name in ("stdin", "stdout", "stderr")):
        raise status.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    if call.target.subresource == "exec" and not call.request.param("command"):
        raise status.bad_request("you must specify at least one command for the container")
    if call.request.flag("tty") and call.request.flag("stderr"):
        raise status.bad_request("tty and stderr cannot both be true: a terminal has one output")


def _head(call: Call, path: str, query: list[tuple[str, str]]) -> bytes:
    """The client's request as the node is to see it: without its credentials."""
    lines = [f"{call.request.method} {path}{'?' + urlencode(query) if query else ''} HTTP/1.1", "host: node"]
    lines += [f"{name}: {value}" for name, value in call.request.headers.items() if name not in _NOT_FORWARDED]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _pod(core: Core, call: Call) -> Object:
    pod = core.object("pods", call.namespace, call.target.name)
    if pod is None:
        raise status.not_found(call.resource, call.target.name)
    return pod
