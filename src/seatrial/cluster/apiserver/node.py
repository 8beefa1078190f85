"""The way to the node that runs a pod: its server on a Unix socket, which speaks what a kubelet's port 10250 speaks.

    /containerLogs/NAMESPACE/POD/CONTAINER?follow=...     a stream of bytes
    /exec/..., /attach/..., /portForward/NAMESPACE/POD    an upgrade; the bytes after it are the node's affair
    /stats/summary                                        usage of the node and its containers

The socket lies in a directory that is its user's alone.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from seatrial.kube.model import objects, status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    import aiohttp

    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object

_SIMULATED = "seatrial.dev/simulated"
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Node:
    """A node with real pods."""

    socket: Path

    @asynccontextmanager
    async def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> AsyncIterator[aiohttp.ClientResponse]:
        """The node's answer, whatever its status. Raises StatusError if there is none."""
        import aiohttp  # a fifth of the start, for clusters that simulate their pods

        url = f"http://node{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        async with aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self.socket)), timeout=timeout, auto_decompress=False
        ) as session:
            try:
                answer = await session.get(url)
            except (aiohttp.ClientError, OSError) as error:
                raise unreachable(error) from error
            async with answer:
                yield answer


def unreachable(error: Exception) -> status.StatusError:
    return status.internal_error(f"error dialing backend: the node does not answer: {error or type(error).__name__}")


def of(core: Core, call: Call, pod: Object) -> Node:
    """The node a pod runs on. Raises 400 for a pod that is nowhere yet, 501 for one whose node runs no processes."""
    name = pod["spec"].get("nodeName")
    if not name:
        raise status.bad_request(f"pod {objects.name(pod)} does not have a host assigned")
    node = core.object("nodes", "", name) or {}
    if core.node is None or objects.labels(node).get(_SIMULATED) == "true":
        raise status.not_implemented(
            f"{call.resource}/{call.target.subresource} needs a running container, and node {name} simulates its pods: "
            "start with --runtime oci for real ones"
        )
    return core.node


def container(call: Call, pod: Object, asked: str) -> str:
    """The container the request is about: the one it names, or the pod's only one. Raises 400."""
    spec = pod["spec"]
    main = [item["name"] for item in spec["containers"]]
    others = [item["name"] for kind in ("initContainers", "ephemeralContainers") for item in spec.get(kind) or ()]
    name = objects.name(pod)
    if asked:
        if asked not in main + others:
            raise status.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(main) == 1:
        return str(main[0])
    init = f" or one of the init containers: [{' '.join(others)}]" if others else ""
    raise status.bad_request(
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(main)}]{init}"
    )
