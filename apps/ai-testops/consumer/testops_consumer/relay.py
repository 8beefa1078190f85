"""From the outbox to the queue: cases without a result are sent to Kafka, and sent again when nobody answers.

One consumer does it at a time, whoever holds an advisory lock of the database. The claims are made on the connection
that holds the lock: who loses it can claim nothing any more. A run nothing is left of is finished here as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING

import psycopg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from psycopg.types.json import Jsonb

from testops_consumer import metrics, topics
from testops_consumer.messages import Reminder
from testops_consumer.settings import DEAD_LETTERS, QUEUE

if TYPE_CHECKING:
    from testops_consumer.settings import Settings

log = logging.getLogger(__name__)

LOCK = 0x7E57_0951  # any number, the same in every consumer
BATCH = 500
RETRY = 1.0


class Relay:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; whatever is away, try again."""
        while not stop.is_set():
            try:
                await self._lead_when_free(stop)
            except (KafkaError, psycopg.Error, OSError) as error:
                log.warning("relay starts anew: %s: %s", type(error).__name__, str(error).partition("\n")[0])
            except Exception:  # as when a topic changes under the client's feet
                log.exception("relay starts anew")
            finally:
                metrics.LEADER.set(0)
                await self._disconnect()
            await pause(stop, RETRY)

    async def _lead_when_free(self, stop: asyncio.Event) -> None:
        url = self._settings.database_url
        async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=3) as connection:
            while not await _first(connection, "SELECT pg_try_advisory_lock(%s)", (LOCK,)):
                await pause(stop, RETRY)
                if stop.is_set():
                    return
            await self._lead(connection, stop)

    async def _lead(self, connection: psycopg.AsyncConnection, stop: asyncio.Event) -> None:
        log.info("this consumer relays now")
        metrics.LEADER.set(1)
        await topics.ensure(self._settings)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers,
            acks="all",
            linger_ms=5,
            request_timeout_ms=5000,
            retry_backoff_ms=300,
        )
        await self._producer.start()
        while not stop.is_set():
            if not await self.pass_once(connection):
                await pause(stop, self._settings.poll)

    async def pass_once(self, connection: psycopg.AsyncConnection) -> bool:
        """One look at the outbox; true when there was more than one look can send."""
        await connection.execute(DROP_CANCELLED)
        await self._give_up(connection)
        await self._send(connection, OVERDUE, {"resend_after": self._settings.resend_after, "limit": BATCH})
        outstanding = await _first(connection, "SELECT count(*) FROM testops_queuedcase WHERE sent_at IS NOT NULL")
        room = min(BATCH, self._settings.outstanding - outstanding)
        sent = await self._send(connection, UNSENT, {"limit": room}) if room > 0 else 0
        await connection.execute(FINISH)
        metrics.WAITING.set(await _first(connection, "SELECT count(*) FROM testops_queuedcase"))
        return sent == BATCH

    async def _send(self, connection: psycopg.AsyncConnection, claim: str, values: dict) -> int:
        """Sent first, noted as sent afterwards: a crash between the two sends twice, never not at all."""
        async with connection.transaction():
            rows = await (await connection.execute(claim, values)).fetchall()
            reminders = [Reminder(run, case) for run, case in rows]
            await self._deliver(reminders)
        metrics.SENT.inc(len(reminders))
        return len(reminders)

    async def _deliver(self, reminders: list[Reminder]) -> None:
        """The key is the run; the partition is chosen by the case, so that one long run keeps every consumer busy."""
        if not reminders:
            return
        partitions = sorted(await self._producer.partitions_for(QUEUE))
        waiting = [
            await self._producer.send(
                QUEUE, reminder.value, key=reminder.key, partition=partitions[reminder.case % len(partitions)]
            )
            for reminder in reminders
        ]
        await asyncio.gather(*waiting)

    async def _give_up(self, connection: psycopg.AsyncConnection) -> None:
        """A case that was delivered again and again and never answered, as it may kill whoever takes it."""
        values = {
            "deliveries": self._settings.deliveries,
            "resend_after": self._settings.resend_after,
            "reason": f"no consumer could finish this case in {self._settings.deliveries} deliveries",
            "nothing": Jsonb({}),
        }
        async with connection.transaction():
            for run, case in await (await connection.execute(GIVE_UP, values)).fetchall():
                metrics.DEAD_LETTERS.inc()
                log.error("run %s, case %s: %s", run, case, values["reason"])
                await self._producer.send_and_wait(
                    DEAD_LETTERS,
                    json.dumps({"run": run, "case": case}).encode(),
                    key=str(run).encode(),
                    headers=[("reason", values["reason"].encode())],
                )

    async def _disconnect(self) -> None:
        if self._producer:
            with contextlib.suppress(KafkaError):
                await self._producer.stop()
            self._producer = None


async def _first(connection: psycopg.AsyncConnection, statement: str, values: tuple = ()):
    row = await (await connection.execute(statement, values)).fetchone()
    return row[0]


async def pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


DROP_CANCELLED = """
DELETE FROM testops_queuedcase q USING testops_run r WHERE r.id = q.run_id AND r.status <> 'running'
"""

_CLAIM = """
UPDATE testops_queuedcase q SET sent_at = clock_timestamp(), times_sent = times_sent + 1
FROM (
    SELECT id FROM testops_queuedcase WHERE {condition}
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) due
WHERE q.id = due.id
RETURNING q.run_id, q.case_id
"""
UNSENT = _CLAIM.format(condition="sent_at IS NULL")

_LATE = "sent_at < now() - make_interval(secs => %(resend_after)s * power(2, least(times_sent, 6) - 1))"
OVERDUE = _CLAIM.format(condition=_LATE)

GIVE_UP = f"""
WITH lost AS (
    DELETE FROM testops_queuedcase WHERE times_sent >= %(deliveries)s AND {_LATE} RETURNING run_id, case_id
)
INSERT INTO testops_result (run_id, case_id, outcome, reason, duration_ms, attempts, request, response, finished_at)
SELECT run_id, case_id, 'error', %(reason)s, 0, 0, %(nothing)s, %(nothing)s, clock_timestamp() FROM lost
ON CONFLICT DO NOTHING
RETURNING run_id, case_id
"""

FINISH = """
UPDATE testops_run r SET status = 'finished', finished_at = clock_timestamp()
WHERE status = 'running' AND NOT EXISTS (SELECT FROM testops_queuedcase q WHERE q.run_id = r.id)
"""
