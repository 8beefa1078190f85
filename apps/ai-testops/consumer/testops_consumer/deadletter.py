"""Where messages and cases go that cannot be served, with the reason, for a person to look at."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from testops_consumer import metrics
from testops_consumer.settings import DEAD_LETTERS

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

log = logging.getLogger(__name__)

LONGEST_REASON = 500


class DeadLetters:
    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def put(self, message: ConsumerRecord, reason: str) -> None:
        """Until the broker has it: only then may the message's offset be committed."""
        log.error("dead letter: partition %s offset %s: %s", message.partition, message.offset, reason)
        headers = [
            ("reason", reason[:LONGEST_REASON].encode()),
            ("origin", f"{message.topic}/{message.partition}/{message.offset}".encode()),
        ]
        wait = 0.2
        while True:
            try:
                producer = await self._connected()
                await producer.send_and_wait(DEAD_LETTERS, message.value, key=message.key, headers=headers)
                metrics.DEAD_LETTERS.inc()
                return
            except KafkaError as error:
                log.warning("the dead-letter topic cannot be reached: %s", error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5)

    async def _connected(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers, acks="all", request_timeout_ms=5000, retry_backoff_ms=300
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer

    async def close(self) -> None:
        if self._producer:
            await self._producer.stop()
