"""The objects of an Application and what they own: for `-o tree`, `resources` and `logs`.

Read from the destination cluster: owner references say who belongs to whom.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seatrial.base.clock import SystemClock, parse_time
from seatrial.cli.access import connect
from seatrial.cli.app import show
from seatrial.cli.printing import table
from seatrial.gitops.api import names
from seatrial.gitops.api.clusters import Clusters
from seatrial.kube.model import conditions, objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from seatrial.cli.app.show import ResourceState
    from seatrial.gitops.api.application import Application
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

_SECRETS = resources.for_kind("v1", "Secret")
_OWNED = tuple(
    resources.for_kind(*kind)
    for kind in (
        ("v1", "Pod"), ("apps/v1", "ReplicaSet"), ("batch/v1", "Job"), ("apps/v1", "ControllerRevision"),
        ("discovery.k8s.io/v1", "EndpointSlice"), ("v1", "PersistentVolumeClaim"),
    )
)  # fmt: skip
"""What controllers make out of what people write."""


@dataclass(slots=True)
class Node:
    group: str
    kind: str
    namespace: str
    name: str
    state: ResourceState | None = None
    """None: not of the Application itself, but owned by something of it."""
    object: Object | None = None
    children: list[Node] = field(default_factory=list)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        yield depth, self
        for child in sorted(self.children, key=lambda node: (node.kind, node.name)):
            yield from child.walk(depth + 1)


@asynccontextmanager
async def destination(client: Client, application: Application) -> AsyncIterator[Client]:
    """A client of the cluster the Application goes to. Raises UnknownDestination."""
    if application.destination.is_in_cluster:
        yield client
        return
    secrets = await client.list(_SECRETS, names.CONTROL_NAMESPACE, label_selector=f"{names.SECRET_TYPE}=cluster")
    found = Clusters.of(secrets.items).resolve(application.destination)
    if found.connection is None:
        yield client
        return
    remote = connect(found.connection)
    try:
        yield remote
    finally:
        await remote.close()


async def nodes(client: Client, application: Application) -> list[Node]:
    """The Application's own objects, each with what it owns."""
    roots = {state.key: Node(*state.key, state) for state in show.resource_states(application) if not state.hook}
    spaces = sorted({node.namespace for node in roots.values() if node.namespace})
    async with destination(client, application) as remote:
        lists = await asyncio.gather(*(_listed(remote, kind, space) for kind in _OWNED for space in spaces))
    found = {
        objects.uid(obj): Node(kind.group, kind.kind, objects.namespace(obj), objects.name(obj), None, obj)
        for kind, items in lists
        for obj in items
    }
    for node in found.values():
        key = (node.group, node.kind, node.namespace, node.name)
        if key in roots:
            roots[key].object = node.object
    for node in found.values():
        _adopt(node, roots, found)
    return list(roots.values())


def _adopt(node: Node, roots: dict[tuple[str, str, str, str], Node], found: dict[str, Node]) -> None:
    if (node.group, node.kind, node.namespace, node.name) in roots:
        return
    for owner in objects.owner_references(node.object or {}):
        group, _ = objects.split_api_version(owner.get("apiVersion", ""))
        parent = roots.get((group, owner.get("kind", ""), node.namespace, owner.get("name", "")))
        parent = parent or found.get(owner.get("uid", ""))
        if parent is not None and parent is not node:
            parent.children.append(node)
            return


async def _listed(client: Client, kind: Resource, namespace: str) -> tuple[Resource, list[Object]]:
    try:
        return kind, (await client.list(kind, namespace)).items
    except StatusError as error:
        if error.code not in (403, 404):
            raise
        return kind, []


async def pods(client: Client, application: Application) -> list[Object]:
    """Those of the Application and of what it owns, in order of their names."""
    found = {
        objects.uid(node.object): node.object
        for root in await nodes(client, application)
        for _, node in root.walk()
        if node.kind == "Pod" and node.object
    }
    return sorted(found.values(), key=lambda pod: (objects.namespace(pod), objects.name(pod)))


async def lines(client: Client, application: Application, *, detailed: bool) -> list[str]:
    """As `app get -o tree`."""
    now = SystemClock().time()
    rows = []
    for root in await nodes(client, application):
        for depth, node in root.walk():
            state = node.state
            row = [f"{_prefix(depth)}{node.kind}/{node.name}", state.status if state else "", _health(node)]
            if detailed:
                row += [_age(node, now), state.message if state else "", _reason(node)]
            else:
                row.append(state.message if state else "")
            rows.append(row)
    heads = ("KIND/NAME", "STATUS", "HEALTH", *(("AGE", "MESSAGE", "REASON") if detailed else ("MESSAGE",)))
    return table(rows, heads)


async def resource_lines(client: Client, application: Application, output: str) -> list[str]:
    """As `app resources`: the Application's own, or all of them as a tree."""
    now = SystemClock().time()
    detailed, rows = output == "tree=detailed", []
    for root in await nodes(client, application):
        for depth, node in root.walk():
            if depth and not output:
                continue
            row = [f"{_prefix(depth)}{node.group}", node.kind, node.namespace, node.name, "No"]
            rows.append([*row, *((_age(node, now), _health(node), _reason(node)) if detailed else ())])
    heads = ("GROUP", "KIND", "NAMESPACE", "NAME", "ORPHANED")
    return table(rows, (*heads, *(("AGE", "HEALTH", "REASON") if detailed else ())))


def _prefix(depth: int) -> str:
    return "  " * (depth - 1) + "└─" if depth else ""


def _health(node: Node) -> str:
    if node.state is not None:
        return node.state.health
    if node.kind != "Pod" or node.object is None:
        return ""
    phase = (node.object.get("status") or {}).get("phase")
    if phase == "Running":
        return "Healthy" if conditions.is_true(node.object, "Ready") else "Progressing"
    return {"Pending": "Progressing", "Succeeded": "Healthy", "Failed": "Degraded"}.get(str(phase), "")


def _reason(node: Node) -> str:
    for status in ((node.object or {}).get("status") or {}).get("containerStatuses") or ():
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return str(waiting["reason"])
    return ""


def _age(node: Node, now: float) -> str:
    made = objects.metadata(node.object or {}).get("creationTimestamp")
    if not made:
        return ""
    age = int(now - parse_time(made))
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if age >= unit:
            return f"{age // unit}{name}"
    return f"{max(0, age)}s"
