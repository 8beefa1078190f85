"""The queue and the dead-letter topic, made when they are missing (a new broker, or one that lost its memory)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from testops_consumer.settings import DEAD_LETTERS, QUEUE

if TYPE_CHECKING:
    from testops_consumer.settings import Settings

log = logging.getLogger(__name__)


async def ensure(settings: Settings) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers, request_timeout_ms=10_000)
    try:
        await client.start()
        missing = {QUEUE: settings.partitions, DEAD_LETTERS: 1}
        for name in await client.list_topics():
            missing.pop(name, None)
        if missing:
            await _create(client, [NewTopic(name, count, settings.replication) for name, count in missing.items()])
    finally:
        await client.close()


async def _create(client: AIOKafkaAdminClient, topics: list[NewTopic]) -> None:
    answer = await client.create_topics(topics)
    for name, code, *_ in answer.topic_errors:
        error = for_code(code)
        if error is TopicAlreadyExistsError:  # another consumer was faster
            continue
        if code:
            raise KafkaError(f"topic {name} cannot be created: {error.__name__}")
        log.info("topic %s created", name)
