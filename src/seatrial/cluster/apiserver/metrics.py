"""metrics.k8s.io: what nodes and pods use, asked of the node when somebody asks; nothing of it is stored.

Served where real pods run. A simulated pod uses nothing and has no metrics, as a pod has none that only just started.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.apiserver import selection
from seatrial.cluster.apiserver.verbs import result
from seatrial.kube.model import objects, status
from seatrial.kube.model.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seatrial.cluster.apiserver.answer import Answer
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
RESOURCES = (
    Resource(GROUP, VERSION, "NodeMetrics", "nodes", namespaced=False, verbs=("get", "list")),
    Resource(GROUP, VERSION, "PodMetrics", "pods", namespaced=True, verbs=("get", "list")),
)


async def get(core: Core, call: Call) -> Answer:
    found = [obj for obj in await _all(core, call) if objects.name(obj) == call.target.name]
    if not found:
        raise status.not_found(call.resource, call.target.name)
    return result.unstored(core, call, found[0])


async def list_(core: Core, call: Call) -> Answer:
    matches = selection.matcher(call)
    found = [obj for obj in await _all(core, call) if matches is None or matches(obj)]
    meta = {"resourceVersion": ""}
    return result.listed(core, call, found, meta)


async def _all(core: Core, call: Call) -> list[Object]:
    import aiohttp

    if core.node is None:
        return []
    async with core.node.get("/stats/summary") as answer:
        try:
            summary = orjson.loads(await answer.read())
        except (orjson.JSONDecodeError, aiohttp.ClientError) as error:
            text = f"the node's statistics are not readable: {error}"
            raise status.StatusError(503, "ServiceUnavailable", text) from error
    if call.resource.kind == "NodeMetrics":
        return list(_nodes(core, summary))
    return [obj for obj in _pods(core, summary) if call.namespace in ("", objects.namespace(obj))]


def _nodes(core: Core, summary: Object) -> Iterator[Object]:
    node = summary["node"]
    live = core.object("nodes", "", node["nodeName"])
    if live is not None and "usageNanoCores" in node["cpu"]:
        yield {**_head("NodeMetrics", live, node), "usage": _usage(node)}


def _pods(core: Core, summary: Object) -> Iterator[Object]:
    """A pod is shown once each of its containers has been measured for a while."""
    for pod in summary["pods"]:
        named = pod["podRef"]
        live = core.object("pods", named["namespace"], named["name"])
        measured = [item for item in pod["containers"] if "usageNanoCores" in item["cpu"]]
        if live is None or objects.uid(live) != named["uid"] or not measured or len(measured) < len(pod["containers"]):
            continue
        containers = [{"name": item["name"], "usage": _usage(item)} for item in measured]
        yield {**_head("PodMetrics", live, measured[0]), "containers": containers}


def _head(kind: str, live: Object, measured: Object) -> Object:
    metadata: dict[str, Any] = {"name": objects.name(live), "creationTimestamp": measured["cpu"]["time"]}
    if objects.namespace(live):
        metadata["namespace"] = objects.namespace(live)
    if objects.labels(live):
        metadata["labels"] = objects.labels(live)
    window = f"{measured['cpu'].get('windowSeconds', 0):.3f}s"
    head = {"kind": kind, "apiVersion": f"{GROUP}/{VERSION}", "metadata": metadata}
    return {**head, "timestamp": measured["cpu"]["time"], "window": window}


def _usage(measured: Object) -> dict[str, str]:
    return {
        "cpu": f"{measured['cpu']['usageNanoCores']}n",
        "memory": f"{math.ceil(measured['memory']['workingSetBytes'] / 1024)}Ki",
    }
