"""The way to a destination cluster that may hang or be away: who asks it loses seconds, and the others none.

A call without an answer makes the cluster count as away: for a while calls fail at once with what was seen. Then one
call tries again, and the others go on failing until it has an answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from seatrial.kube.client.transport import TransportError
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.base.clock import Clock
    from seatrial.gitops.api.clusters import Cluster
    from seatrial.kube.client.transport import Request, Response, Transport, WatchEvent

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 15.0
"""Admission webhooks of a destination have 10 s by default."""
AWAY_SECONDS = 10.0


class Reach:
    def __init__(self, inner: Transport, clock: Clock, cluster: Cluster) -> None:
        self._inner = inner
        self._clock = clock
        self._cluster = cluster
        self._seen = ""
        """What made it count as away."""
        self._again_at = 0.0
        self._is_tried = False

    async def send(self, request: Request) -> Response:
        """Raises StatusError, and TransportError naming the cluster."""
        if not self._seen:
            return await self._ask(request)
        if self._is_tried or self._clock.monotonic() < self._again_at:
            raise away(self._cluster, self._seen)
        self._is_tried = True
        try:
            return await self._ask(request)
        finally:
            self._is_tried = False

    async def _ask(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._inner.send(request)
        except StatusError:
            self._seen = ""
            raise
        except (TransportError, TimeoutError) as error:
            told = error.message if isinstance(error, TransportError) else f"no answer in {ANSWER_SECONDS:.0f} s"
            self._seen, self._again_at = told, self._clock.monotonic() + AWAY_SECONDS
            raise away(self._cluster, told) from error
        self._seen = ""
        return answer

    def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        """Whoever watches tries again by itself, at its own pace."""
        return self._inner.watch(request)

    async def close(self) -> None:
        await self._inner.close()


def away(cluster: Cluster, seen: str) -> TransportError:
    return TransportError(
        f"cluster {cluster.name} ({cluster.server}, Secret {cluster.secret}) does not answer: {seen}. It is tried "
        f"again every {AWAY_SECONDS:.0f} s",
        reason="ClusterAway",
    )
