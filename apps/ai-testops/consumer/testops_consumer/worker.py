"""From the queue to results: takes reminders from Kafka, has their cases executed, keeps the answers, commits.

Several cases are under way at a time. An offset is committed when everything up to it has its result in the database;
what a killed consumer had begun is therefore delivered again, and finds its result there or is executed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

import psycopg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from psycopg_pool import PoolClosed

from testops_consumer import messages, metrics, topics
from testops_consumer.progress import Progress
from testops_consumer.relay import pause
from testops_consumer.settings import GROUP, QUEUE
from testops_consumer.store import AWAY, Answer, persistently

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiokafka import ConsumerRecord

    from testops_consumer.deadletter import DeadLetters
    from testops_consumer.messages import Reminder
    from testops_consumer.settings import Settings
    from testops_consumer.store import Job, Store
    from testops_consumer.target import Target

log = logging.getLogger(__name__)

POLL = 0.2
COMMIT_EVERY = 0.5
COMMIT_WITHIN = 3.0
WATCH_RUNS_EVERY = 0.5
HANDOVER = 0.6  # of a session: how long cases under way may hold up the handing over of their partition
RETRY = 1.0


class Worker:
    def __init__(self, settings: Settings, store: Store, target: Target, dead_letters: DeadLetters) -> None:
        self._settings = settings
        self._store = store
        self._target = target
        self._dead_letters = dead_letters
        self._progress = Progress()
        self._tasks: dict[asyncio.Task, TopicPartition] = {}
        self._under_way: dict[Reminder, asyncio.Task] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._committed_at = 0.0

    async def check_broker(self) -> None:
        """Raises unless the broker answers."""
        if self._consumer is None:
            raise ConnectionError("not in the consumer group yet")
        await self._consumer.topics()

    async def run(self, stop: asyncio.Event) -> None:
        watching = asyncio.create_task(self._watch_runs())
        try:
            while not stop.is_set():
                try:
                    await self._consume(stop)
                except (KafkaError, OSError) as error:
                    log.warning("joining the group anew: %s: %s", type(error).__name__, error)
                    await pause(stop, RETRY)
        finally:
            await self._drain()
            watching.cancel()
            await asyncio.wait([watching])

    async def _consume(self, stop: asyncio.Event) -> None:
        await topics.ensure(self._settings)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            group_id=GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(self._settings.session_timeout * 1000),
            heartbeat_interval_ms=int(self._settings.session_timeout * 1000 / 6),
            request_timeout_ms=10_000,
            retry_backoff_ms=300,
            metadata_max_age_ms=30_000,
        )
        consumer.subscribe([QUEUE], listener=_Handover(self))
        try:
            await consumer.start()
            self._consumer = consumer
            log.info("in group %s", GROUP)
            while not stop.is_set():
                await self._take(consumer)
            await self._drain()
        finally:
            self._consumer = None
            self._forget(list(self._progress.partitions()))
            with contextlib.suppress(KafkaError):
                await consumer.stop()  # leaves the group: the others need not wait for the session to end

    async def _take(self, consumer: AIOKafkaConsumer) -> None:
        room = self._settings.concurrency - len(self._tasks)
        if room <= 0:
            await asyncio.wait(self._tasks, timeout=POLL, return_when=asyncio.FIRST_COMPLETED)
        else:
            batches = await consumer.getmany(timeout_ms=int(POLL * 1000), max_records=room)
            for partition, records in batches.items():
                for record in records:
                    self._begin(partition, record)
        if time.monotonic() - self._committed_at >= COMMIT_EVERY:
            if not await self.commit():
                raise ConnectionError("the broker takes no offsets")
            await self._measure(consumer)

    def _begin(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        self._progress.start(partition, record.offset)
        task = asyncio.create_task(self._serve(partition, record))
        self._tasks[task] = partition
        metrics.IN_FLIGHT.set(len(self._tasks))
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task) -> None:
        self._tasks.pop(task, None)
        metrics.IN_FLIGHT.set(len(self._tasks))
        if not task.cancelled() and (error := task.exception()):
            log.error("a message was left behind", exc_info=error)

    async def _serve(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        """Returns when the message needs no more attention, whatever became of it."""
        try:
            await self._read(record)
        except messages.Poisonous as error:
            await self._dead_letters.put(record, str(error))
        except Exception as error:  # nobody's fault but ours: the others go on, and the case is sent again later
            log.exception("partition %s offset %s cannot be served", partition.partition, record.offset)
            await self._dead_letters.put(record, f"the consumer failed: {type(error).__name__}")
        self._progress.done(partition, record.offset)

    async def _read(self, record: ConsumerRecord) -> None:
        reminder = messages.read(record.value)
        if reminder in self._under_way:  # sent twice: the first one is served, and sent again if that fails
            metrics.STALE.inc()
        else:
            await self._answer(reminder, record)

    async def _answer(self, reminder: Reminder, record: ConsumerRecord) -> None:
        case = asyncio.create_task(self._execute(reminder, record))
        self._under_way[reminder] = case
        try:
            await case
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # this consumer leaves; else the run was cancelled
                case.cancel()
                raise
            log.info("run %s was cancelled: case %s is left", reminder.run, reminder.case)
        finally:
            self._under_way.pop(reminder, None)

    async def _execute(self, reminder: Reminder, record: ConsumerRecord) -> None:
        started = time.perf_counter()
        job = await persistently("load a case", lambda: self._store.load(reminder))
        if job is None:
            metrics.STALE.inc()
            return
        answer = await self._judge(job, record)
        try:
            kept = await persistently("keep a result", lambda: self._store.answer(reminder, answer))
        except psycopg.DataError as error:
            answer = await self._unservable(record, error)
            kept = await persistently("keep a result", lambda: self._store.answer(reminder, answer))
        if kept:
            metrics.RESULTS.labels(answer.outcome).inc()
            metrics.SECONDS.observe(time.perf_counter() - started)

    async def _judge(self, job: Job, record: ConsumerRecord) -> Answer:
        try:
            return await self._target.judge(job)
        except Exception as error:  # a case nobody thought of: it must not stop the others
            log.exception("run %s, case %s cannot be executed", job.run, job.case)
            return await self._unservable(record, error)

    async def _unservable(self, record: ConsumerRecord, error: Exception) -> Answer:
        """The type only: the text of an unforeseen error may hold what should not be kept."""
        reason = f"this case cannot be executed ({type(error).__name__}); see the dead-letter topic"
        await self._dead_letters.put(record, reason)
        return Answer("error", reason, None, 0.0, 1, {}, {})

    async def commit(self) -> bool:
        """False when the broker does not take offsets, as one that was made anew and does not know our topic."""
        self._committed_at = time.monotonic()
        due = self._progress.due()
        if not due or self._consumer is None:
            return True
        try:
            async with asyncio.timeout(COMMIT_WITHIN):  # the client would repeat it without end
                await self._consumer.commit(due)
            self._progress.committed(due)
        except TimeoutError:
            return False
        except (KafkaError, IllegalStateError) as error:
            # Between two generations of the group: these messages come again, and find their results there.
            log.info("offsets not committed: %s", error)
        return True

    async def _measure(self, consumer: AIOKafkaConsumer) -> None:
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            if end is not None:  # something was fetched, so the position is known as well
                position = self._progress.position(partition)
                if position is None:
                    with contextlib.suppress(IllegalStateError):  # it has just gone to another consumer
                        position = await consumer.position(partition)
                metrics.LAG.labels(partition.partition).set(max(0, end - (end if position is None else position)))

    async def _watch_runs(self) -> None:
        """Lets go of cases of runs that were cancelled (or deleted) meanwhile."""
        while True:
            await asyncio.sleep(WATCH_RUNS_EVERY)
            if not (runs := {reminder.run for reminder in self._under_way}):
                continue
            try:
                gone = runs - await self._store.still_running(runs)
            except (*AWAY, PoolClosed):
                continue
            for reminder, case in list(self._under_way.items()):
                if reminder.run in gone:
                    case.cancel()

    async def hand_over(self, partitions: Collection[TopicPartition]) -> None:
        """Another consumer may get these: let what is under way end if it does so soon, and say how far we came."""
        mine = [task for task, partition in self._tasks.items() if partition in partitions]
        if mine:
            await asyncio.wait(mine, timeout=HANDOVER * self._settings.session_timeout)
        await self.commit()
        self._forget(partitions)

    def _forget(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self._progress.forget(partition)
            with contextlib.suppress(KeyError):
                metrics.LAG.remove(partition.partition)

    async def _drain(self) -> None:
        """Nothing new is taken; what is under way has until the limit, then its messages are left to the others."""
        if self._tasks:
            log.info("leaving: %s cases under way", len(self._tasks))
            _, late = await asyncio.wait(self._tasks, timeout=self._settings.shutdown)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self.commit()


class _Handover(ConsumerRebalanceListener):
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def on_partitions_revoked(self, revoked) -> None:
        await self._worker.hand_over(revoked)

    async def on_partitions_assigned(self, assigned) -> None:
        log.info("partitions %s", sorted(partition.partition for partition in assigned))
