"""The clusters that Applications deploy to: one client and one live copy for each, opened when first used."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.base.errors import SeatrialError
from seatrial.gitops import reach
from seatrial.gitops.diff.compare import Comparer
from seatrial.gitops.live import LiveState
from seatrial.gitops.reach import Reach
from seatrial.kube.client.client import Client, parsed
from seatrial.kube.client.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

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
        patience: float | None = None,
    ) -> None:
        """`own`: of the cluster the controller works in. `on_change`: see LiveState. `patience`: how long anybody
        waits for another cluster to be opened; None: until it answers or does not.
        """
        self._own = own
        self._clock = clock
        self._tasks = tasks
        self._manager = manager
        self._sandbox = sandbox
        self._on_change = on_change
        self._patience = patience
        self._open: dict[str, _Opening] = {}
        """By server."""
        self._transports: list[HttpTransport] = []

    async def close(self) -> None:
        """After the tasks have ended: live copies use the connections."""
        for transport in self._transports:
            await transport.close()

    async def of(self, cluster: Cluster) -> Destination:
        """Raises TransportError, StatusError if the cluster cannot be asked who it is.

        Other credentials for the same server open it anew.
        """
        known = self._open.get(cluster.server)
        if known is None or known.cluster != cluster:
            known = self._open[cluster.server] = self._opening(cluster)
        return await known.destination()

    def _opening(self, cluster: Cluster) -> _Opening:
        if cluster.connection is None:
            return _Opening(cluster, lambda: self._begin(cluster, self._own), self._clock, self._tasks, None)
        transport = HttpTransport(
            cluster.connection, self._clock, user_agent=self._manager, connect_seconds=reach.CONNECT_SECONDS
        )
        self._transports.append(transport)
        client = Client(Reach(transport, self._clock, cluster), field_manager=self._manager)
        return _Opening(cluster, lambda: self._begin(cluster, client), self._clock, self._tasks, self._patience)

    async def _begin(self, cluster: Cluster, client: Client) -> Destination:
        live = LiveState(client, self._clock, self._tasks, self._on_change)
        version = parsed(await client.raw("GET", "/version"))
        served = await live.mapper.resources()
        api_versions = {item.api_version for item in served} | {f"{item.api_version}/{item.kind}" for item in served}
        comparer = Comparer(client, live.mapper, self._clock, self._sandbox, presumes=True)
        kube_version = str(version["gitVersion"]).removeprefix("v")
        return Destination(cluster, client, live, comparer, kube_version, tuple(sorted(api_versions)))


class _Opening:
    """A cluster being opened, however often that takes. Once it has failed nobody waits for the next try."""

    def __init__(
        self,
        cluster: Cluster,
        begin: Callable[[], Coroutine[None, None, Destination]],
        clock: Clock,
        tasks: TaskGroup,
        patience: float | None,
    ) -> None:
        self.cluster = cluster
        self._begin = begin
        self._clock = clock
        self._tasks = tasks
        self._patience = patience
        self._failed: SeatrialError | None = None
        self._again_at = 0.0
        self._trying: asyncio.Task[Destination | None] | None = None

    async def destination(self) -> Destination:
        if self._trying is None or (self._is_over and self._clock.monotonic() >= self._again_at):
            self._trying = self._tasks.start(f"open {self.cluster.name}", self._try())
        if self._failed is None or self._patience is None:
            await asyncio.wait({self._trying}, timeout=self._patience)
        found = self._trying.result() if self._trying.done() else None
        if found is not None:
            return found
        raise self._failed or reach.away(self.cluster, "it is being asked who it is")

    @property
    def _is_over(self) -> bool:
        """The last try, without a result."""
        return self._trying is not None and self._trying.done() and self._trying.result() is None

    async def _try(self) -> Destination | None:
        try:
            return await self._begin()
        except SeatrialError as error:
            self._failed = error
            self._again_at = self._clock.monotonic() + (0.0 if self._patience is None else reach.AWAY_SECONDS)
            return None
