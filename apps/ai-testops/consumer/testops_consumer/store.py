"""The consumer's SQL. The tables are those of web/testops/models.py; a case without a result is a row of
`testops_queuedcase`, and the one statement that deletes it inserts the result: no case has two, none is lost.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from testops_consumer.analysis import Analysis
    from testops_consumer.messages import Reminder

log = logging.getLogger(__name__)
T = TypeVar("T")

AWAY = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
HISTORY = 20  # results per case that count for its flakiness


@dataclass(frozen=True)
class Job:
    """A case to execute, with what is needed of its run and project."""

    run: int
    case: int
    base_url: str
    method: str
    path: str
    headers: dict[str, str]
    body: str | None
    authentication: dict[str, dict[str, str]]
    expectation: dict[str, Any]
    sealed_credentials: str


@dataclass(frozen=True)
class Answer:
    """How the case went."""

    outcome: str
    reason: str
    status_code: int | None
    duration_ms: float
    attempts: int
    request: dict[str, Any]
    response: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    result: int
    operation: str
    outcome: str
    status_code: int | None
    reason: str
    body: str


@dataclass(frozen=True)
class Past:
    case: int
    outcome: str
    finished_at: datetime


class Store:
    def __init__(self, url: str, connections: int = 6) -> None:
        self.url = url
        self._pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=connections,
            timeout=5,
            kwargs={"autocommit": True, "connect_timeout": 3},
            check=AsyncConnectionPool.check_connection,
            open=False,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close(timeout=3)

    async def ready(self) -> str | None:
        """What is missing, or None."""
        async with self._pool.connection(timeout=1) as connection:
            cursor = await connection.execute("SELECT to_regclass('testops_queuedcase') IS NOT NULL")
            found = await cursor.fetchone()
        return None if found and found[0] else "the migrations are not applied yet"

    async def load(self, reminder: Reminder) -> Job | None:
        """The case, if it still waits for a result of a running run."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Job)) as cursor:
            await cursor.execute(LOAD, (reminder.run, reminder.case))
            return await cursor.fetchone()

    async def answer(self, reminder: Reminder, answer: Answer) -> bool:
        """Keep the result, unless the case has one or its run was cancelled."""
        async with self._pool.connection() as connection:
            values = {
                **vars(answer),
                "request": Jsonb(answer.request),
                "response": Jsonb(answer.response),
                **vars(reminder),
            }
            return (await connection.execute(ANSWER, values)).rowcount == 1

    async def still_running(self, runs: set[int]) -> set[int]:
        async with self._pool.connection() as connection:
            rows = await connection.execute(
                "SELECT id FROM testops_run WHERE id = ANY(%s) AND status = 'running'", (list(runs),)
            )
            return {row[0] for row in await rows.fetchall()}

    async def analyse_one(self, analyse: Callable[[list[Failure], list[Past]], Awaitable[Analysis]]) -> int | None:
        """Take a finished run nobody else analyses right now, and keep what `analyse` makes of it."""
        async with self._pool.connection() as connection, connection.transaction():
            run = await (await connection.execute(UNANALYSED)).fetchone()
            if run is None:
                return None
            async with connection.cursor(row_factory=class_row(Failure)) as cursor:
                failures = await (await cursor.execute(FAILURES, (run[0],))).fetchall()
            async with connection.cursor(row_factory=class_row(Past)) as cursor:
                history = await (await cursor.execute(PAST, {"run": run[0], "results": HISTORY})).fetchall()
            analysis = await analyse(failures, history)
            await self._keep(connection, run[0], analysis)
            return run[0]

    async def _keep(self, connection: psycopg.AsyncConnection, run: int, analysis: Analysis) -> None:
        await connection.execute("UPDATE testops_result SET group_id = NULL WHERE run_id = %s", (run,))
        await connection.execute("DELETE FROM testops_failuregroup WHERE run_id = %s", (run,))
        for group in analysis.groups:
            row = await connection.execute(
                "INSERT INTO testops_failuregroup (run_id, label, size) VALUES (%s, %s, %s) RETURNING id",
                (run, group.label, len(group.results)),
            )
            await connection.execute(
                "UPDATE testops_result SET group_id = %s WHERE id = ANY(%s)", (*await row.fetchone(), group.results)
            )
        await connection.execute(SCORES, (list(analysis.flakiness), list(analysis.flakiness.values())))
        await connection.execute("UPDATE testops_run SET analysed = true WHERE id = %s", (run,))


async def persistently(what: str, action: Callable[[], Awaitable[T]], longest: float = 5.0) -> T:
    """Until the database answers: what was done must not be done again because it was away."""
    wait = 0.1
    while True:
        try:
            return await action()
        except PoolClosed:
            raise
        except AWAY as error:
            log.warning("database away while trying to %s: %s", what, str(error).partition("\n")[0])
            await asyncio.sleep(wait)
            wait = min(wait * 2, longest)


LOAD = """
SELECT q.run_id AS run, q.case_id AS "case", r.base_url, c.method, c.path, c.headers, c.body, c.authentication,
       c.expectation, p.sealed_credentials
FROM testops_queuedcase q
JOIN testops_run r ON r.id = q.run_id
JOIN testops_testcase c ON c.id = q.case_id
JOIN testops_specification s ON s.id = r.specification_id
JOIN testops_project p ON p.id = s.project_id
WHERE q.run_id = %s AND q.case_id = %s AND r.status = 'running'
"""

ANSWER = """
WITH queued AS (
    DELETE FROM testops_queuedcase q USING testops_run r
    WHERE q.run_id = %(run)s AND q.case_id = %(case)s AND r.id = q.run_id AND r.status = 'running'
    RETURNING q.run_id, q.case_id
)
INSERT INTO testops_result (run_id, case_id, outcome, reason, status_code, duration_ms, attempts, request, response,
                            finished_at)
SELECT run_id, case_id, %(outcome)s, %(reason)s, %(status_code)s, %(duration_ms)s, %(attempts)s, %(request)s,
       %(response)s, clock_timestamp()
FROM queued
ON CONFLICT DO NOTHING
"""

UNANALYSED = """
SELECT id FROM testops_run WHERE status <> 'running' AND NOT analysed
ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""

FAILURES = """
SELECT r.id AS result, c.operation, r.outcome, r.status_code, r.reason,
       left(coalesce(r.response ->> 'body', ''), 500) AS body
FROM testops_result r JOIN testops_testcase c ON c.id = r.case_id
WHERE r.run_id = %s AND r.outcome <> 'passed' ORDER BY r.id
"""

# Against the same address only: that staging fails where production passes is no flakiness.
PAST = """
SELECT h.case_id AS "case", h.outcome, h.finished_at
FROM testops_run run
JOIN testops_result here ON here.run_id = run.id
CROSS JOIN LATERAL (
    SELECT r.case_id, r.outcome, r.finished_at
    FROM testops_result r JOIN testops_run other ON other.id = r.run_id
    WHERE r.case_id = here.case_id AND other.base_url = run.base_url AND r.outcome <> 'error'
    ORDER BY r.finished_at DESC LIMIT %(results)s
) h
WHERE run.id = %(run)s
ORDER BY h.case_id, h.finished_at
"""

SCORES = """
UPDATE testops_testcase c SET flakiness = new.score
FROM unnest(%s::bigint[], %s::float8[]) AS new (id, score)
WHERE c.id = new.id AND c.flakiness <> new.score
"""
