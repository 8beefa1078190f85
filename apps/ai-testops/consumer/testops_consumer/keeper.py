"""After the last case of a run: its failures are grouped by cause, and its cases scored by how steady they are."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from testops_consumer import metrics
from testops_consumer.relay import pause

if TYPE_CHECKING:
    from testops_consumer.analysis import Analysis
    from testops_consumer.store import Failure, Past, Store

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0


class Keeper:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                run = await self._store.analyse_one(_beside)
            except (psycopg.Error, PoolTimeout, PoolClosed) as error:
                log.warning("no run can be analysed now: %s", str(error).partition("\n")[0])
                run = None
            if run is None:
                await pause(stop, LOOK_EVERY)
            else:
                metrics.ANALYSED.inc()
                log.info("run %s analysed", run)


async def _beside(failures: list[Failure], history: list[Past]) -> Analysis:
    """In a thread: it computes for a moment, and the heartbeats must go on."""
    return await asyncio.to_thread(_analyse, failures, history)


def _analyse(failures: list[Failure], history: list[Past]) -> Analysis:
    # scikit-learn takes more than a second to load: a consumer that has just started has better things to do.
    from testops_consumer.analysis import analyse

    return analyse(failures, history)
