"""One consumer: relay, worker, keeper and probes together, from start to SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from testops_consumer.deadletter import DeadLetters
from testops_consumer.keeper import Keeper
from testops_consumer.probes import Probes
from testops_consumer.relay import Relay, pause
from testops_consumer.store import Store
from testops_consumer.target import Target
from testops_consumer.worker import Worker

if TYPE_CHECKING:
    from testops_consumer.settings import Settings

log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    store, target = Store(settings.database_url), Target(settings)
    dead_letters = DeadLetters(settings.bootstrap_servers)
    worker = Worker(settings, store, target, dead_letters)
    probes = Probes(settings.port, {"database": store.ready, "kafka": worker.check_broker})
    await probes.start()
    await store.open()
    try:
        await _wait_for_schema(store, stop)
        await _until_one_ends(worker.run(stop), Relay(settings).run(stop), Keeper(store).run(stop))
    finally:
        await dead_letters.close()
        await target.close()
        await store.close()
        await probes.close()


async def _wait_for_schema(store: Store, stop: asyncio.Event) -> None:
    told = None
    while not stop.is_set():
        try:
            missing = await store.ready()
        except Exception as error:  # not there yet, not resolvable yet, still starting ...
            missing = str(error).partition("\n")[0]
        if missing is None:
            return
        if missing != told:
            log.info("waiting for the database: %s", missing)
            told = missing
        await pause(stop, 0.5)


async def _until_one_ends(*parts) -> None:
    """They all end by `stop`; one that fails before ends the process, which is then started anew as a whole."""
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(part)


def listen_for_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
