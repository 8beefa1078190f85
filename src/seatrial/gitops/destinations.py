"""The clusters that Applications deploy to: one client and one live copy for each, opened when first used."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.gitops.diff.compare import Comparer
from seatrial.gitops.live import LiveState
from seatrial.kube.client.client import Client, parsed
from seatrial.kube.client.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.base.clock import Clock
    from seatrial.base.tasks import TaskGroup
    from seatrial.gitops.api.clusters import Cluster
    from seatrial.gitops.diff.sandbox import Sandbox
    from seatrial.kube.model.objects import Object


@dataclass(frozen=True, slots=True)
class Destination:
    cluster: Cluster
    client: Client
    live: LiveState
    comparer: Comparer
    kube_version: str
    """As charts see it: `1.37.2`."""
    api_versions: tuple[str, ...]
    """`apps/v1` and `apps/v1/Deployment`, sorted."""


class Destinations:
    def __init__(
        self,
        own: Client,
        clock: Clock,
        tasks: TaskGroup,
        *,
        manager: str,
        sandbox: Sandbox,
        on_change: Callable[[str, Object], None],
    ) -> None:
        """`own`: of the cluster the controller works in. `on_change`: see LiveState."""
        self._own = own
        self._clock = clock
        self._tasks = tasks
        self._manager = manager
        self._sandbox = sandbox
        self._on_change = on_change
        self._open: dict[str, tuple[Cluster, asyncio.Task[Destination]]] = {}
        """By server."""

    async def of(self, cluster: Cluster) -> Destination:
        """Raises TransportError, StatusError if the cluster cannot be asked who it is.

        Other credentials for the same server open it anew.
        """
        known, opening = self._open.get(cluster.server, (None, None))
        if known != cluster or opening is None or _has_failed(opening):
            opening = self._tasks.start(f"open {cluster.name}", self._begin(cluster))
            self._open[cluster.server] = (cluster, opening)
        return await asyncio.shield(opening)

    async def _begin(self, cluster: Cluster) -> Destination:
        client = self._own
        if cluster.connection is not None:
            transport = HttpTransport(cluster.connection, self._clock, user_agent=self._manager)
            client = Client(transport, field_manager=self._manager)
        live = LiveState(client, self._clock, self._tasks, self._on_change)
        version = parsed(await client.raw("GET", "/version"))
        served = await live.mapper.resources()
        api_versions = {item.api_version for item in served} | {f"{item.api_version}/{item.kind}" for item in served}
        comparer = Comparer(client, live.mapper, self._clock, self._sandbox, presumes=True)
        kube_version = str(version["gitVersion"]).removeprefix("v")
        return Destination(cluster, client, live, comparer, kube_version, tuple(sorted(api_versions)))


def _has_failed(task: asyncio.Task[Destination]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
