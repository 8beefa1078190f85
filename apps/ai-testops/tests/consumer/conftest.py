"""What the consumer's tests stand on: an API that behaves as its paths say, rows to execute, consumers to start."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from psycopg.types.json import Jsonb

from backing import ROOT, eventually, free_port
from groundwork.credentials import CredentialBox
from testops_consumer import service
from testops_consumer.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from backing import Broker, Database

CREDENTIALS_KEY = "the key of these tests"
OK = {"status": {"in": [200]}}
BOMB = gzip.compress(b"0" * 5_000_000)
SESSION = 3  # seconds; the broker lets those who join wait for half of it


class Api:
    """An HTTP server in a thread. The first part of a path says what it does; it counts what it was asked."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.release = asyncio.Event()
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Api:
        self._thread.start()
        assert self._started.wait(5)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def let_go(self) -> None:
        """Answer the requests to /wait."""
        self._loop.call_soon_threadsafe(self.release.set)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, backlog=500)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # closed sockets are let go in the next rounds of the loop

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        over = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*over), contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            target = first.split(" ")[1]
            self.seen[target] += 1
            self.requests.append((first, headers, body))
            await self._answer(target, headers, body, writer)
            await writer.drain()

    async def _answer(self, target: str, headers: dict, body: bytes, writer: asyncio.StreamWriter) -> None:
        def say(status: int, content: bytes = b"{}", *more: str) -> None:
            lines = [f"HTTP/1.1 {status} Said", "Content-Type: application/json", f"Content-Length: {len(content)}"]
            writer.write("\r\n".join([*lines, *more, "", ""]).encode() + content)

        kind, _, rest = target.lstrip("/").partition("?")[0].partition("/")
        match kind:
            case "status":
                say(int(rest.partition("/")[0]))
            case "wait":
                await self.release.wait()
                say(200)
            case "never":
                await asyncio.sleep(3600)
            case "drip":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while True:
                    writer.write(b".")
                    await asyncio.sleep(0.05)
            case "big":
                say(200, b"x" * int(rest))
            case "bomb":
                say(200, BOMB, "Content-Encoding: gzip")
            case "gzip":
                say(200, gzip.compress(b'{"packed": true}'), "Content-Encoding: gzip")
            case "brotli":
                say(200, b"whatever", "Content-Encoding: br")
            case "redirect":
                say(302, b"", "Location: /status/200/redirected")
            case "drop":
                pass
            case "drop-once":
                if self.seen[target] > 1:
                    say(200)
            case "echo":
                say(200, json.dumps({"headers": headers, "target": target, "body": body.decode()}).encode())
            case "nul":
                say(200, b"a\0b\xff", "X-Odd: \udcff".encode("utf-8", "surrogateescape").decode("latin-1"))
            case "cookie":
                say(200, b"{}", "Set-Cookie: session=secret")
            case "fail":
                say(500, json.dumps({"error": rest}).encode())
            case _:
                say(200)


class World:
    """Rows as the web service makes them."""

    def __init__(self, database: Database, api: Api) -> None:
        self.database = database
        self.api = api
        self._connection = database.connect()
        self._cases = 0

    def close(self) -> None:
        self._connection.close()

    def reconnect(self) -> None:
        self.close()
        self._connection = self.database.connect()

    def one(self, statement: str, *values: object):
        return self._connection.execute(statement, values).fetchone()

    def rows(self, statement: str, *values: object) -> list[tuple]:
        return self._connection.execute(statement, values).fetchall()

    def run_statement(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)

    def specification(self, credentials: dict[str, str] | None = None) -> int:
        sealed = CredentialBox(CREDENTIALS_KEY).seal(credentials or {})
        project = self.one(
            "INSERT INTO testops_project (name, base_url, sealed_credentials, created_at) "
            "VALUES (gen_random_uuid()::text, %s, %s, now()) RETURNING id",
            self.api.url,
            sealed,
        )[0]
        return self.one(
            "INSERT INTO testops_specification (project_id, title, version, format, origin, digest, document, "
            "created_at) VALUES (%s, 'Shop', '1', 'openapi', 'file', 'd', '{}', now()) RETURNING id",
            project,
        )[0]

    def case(self, specification: int, path: str = "/status/200", **changes: object) -> int:
        self._cases += 1
        values = {
            "specification": specification,
            "key": str(self._cases),
            "kind": "positive",
            "operation": "GET /x",
            "title": "a case",
            "oracle": "",
            "method": "GET",
            "path": path,
            "headers": {},
            "body": None,
            "authentication": {},
            "expectation": OK,
            **changes,
        }
        for name in ("headers", "authentication", "expectation"):
            values[name] = Jsonb(values[name])
        return self._connection.execute(CASE, values).fetchone()[0]

    def many_cases(self, specification: int, count: int) -> list[int]:
        """Case n asks for /status/200/n, but every tenth for /status/500/n."""
        rows = self.rows(MANY, specification, count)
        return [row[0] for row in rows]

    def run(self, specification: int, cases: list[int], base_url: str | None = None) -> int:
        with self._connection.transaction():
            run = self.one(
                "INSERT INTO testops_run (specification_id, status, base_url, note, total, analysed, created_at) "
                "VALUES (%s, 'running', %s, '', %s, false, now()) RETURNING id",
                specification,
                base_url or self.api.url,
                len(cases),
            )[0]
            self.run_statement(
                "INSERT INTO testops_queuedcase (run_id, case_id, times_sent) SELECT %s, unnest(%s::bigint[]), 0",
                run,
                cases,
            )
        return run

    def simple_run(self, *paths: str, **changes: object) -> int:
        specification = self.specification()
        return self.run(specification, [self.case(specification, path, **changes) for path in paths])

    def cancel(self, run: int) -> None:
        self.run_statement("UPDATE testops_run SET status = 'cancelled', finished_at = now() WHERE id = %s", run)

    def status(self, run: int) -> str:
        return self.one("SELECT status FROM testops_run WHERE id = %s", run)[0]

    def results(self, run: int) -> list[dict]:
        cursor = self._connection.execute(
            "SELECT r.*, c.path FROM testops_result r JOIN testops_testcase c ON c.id = r.case_id "
            "WHERE run_id = %s ORDER BY r.case_id",
            (run,),
        )
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    async def finished(self, run: int, within: float = 30) -> list[dict]:
        await until(f"run {run} finished", lambda: self.status(run) == "finished", within)
        return self.results(run)


CASE = """
INSERT INTO testops_testcase (specification_id, key, kind, operation, title, oracle, method, path, headers, body,
  authentication, expectation, generator, seed, active, flakiness, created_at)
VALUES (%(specification)s, %(key)s, %(kind)s, %(operation)s, %(title)s, %(oracle)s, %(method)s, %(path)s, %(headers)s,
  %(body)s, %(authentication)s, %(expectation)s, 'offline', 1, true, 0, now()) RETURNING id
"""


MANY = """
INSERT INTO testops_testcase (specification_id, key, kind, operation, title, oracle, method, path, headers,
  authentication, expectation, generator, seed, active, flakiness, created_at)
SELECT %s, 'many-' || n, 'positive', 'GET /x', '', '', 'GET',
  CASE n %% 10 WHEN 0 THEN '/status/500/' ELSE '/status/200/' END || n, '{}', '{}', '{"status": {"in": [200]}}',
  'offline', 1, true, 0, now()
FROM generate_series(1, %s) n RETURNING id
"""


async def until(what: str, check, within: float = 20):
    """`eventually`, while the consumer of this test goes on in the same event loop."""
    return await asyncio.to_thread(eventually, what, check, within)


@pytest.fixture
def api():
    with Api() as server:
        yield server


@pytest.fixture
def world(database, api):
    made = World(database, api)
    yield made
    made.close()


def settings_for(database: Database, broker: Broker) -> Settings:
    return Settings(
        database_url=database.url,
        bootstrap_servers=broker.address,
        credentials_key=CREDENTIALS_KEY,
        allowed_hosts=("127.0.0.0/8",),
        port=free_port(),
        partitions=6,
        session_timeout=SESSION,
        request_timeout=5,
        resend_after=2,
        poll=0.05,
        shutdown=5,
        log_level="DEBUG",
    )


@pytest.fixture
def settings(database, own_broker) -> Settings:
    return settings_for(database, own_broker)


@contextlib.asynccontextmanager
async def consuming(settings: Settings, **changes: object):
    """A consumer in this process; yields its settings when it is ready."""
    settings = replace(settings, **changes)
    stop = asyncio.Event()
    task = asyncio.create_task(service.serve(settings, stop))
    try:
        await until("the consumer is ready", lambda: task.done() or ask(settings.port, "/ready")[0] == 200)
        yield settings
    finally:
        stop.set()
        await task


async def asked(port: int, path: str) -> tuple[int, str]:
    """`ask`, of a consumer in this event loop."""
    return await asyncio.to_thread(ask, port, path)


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Process:
    """`python -m testops_consumer` as it runs in its container."""

    def __init__(self, database: Database, broker: Broker, log: Path, **environment: str) -> None:
        self.port = free_port()
        self.log = log
        with log.open("ab") as output:
            self._popen = self._start(database, broker, output, environment)

    def _start(self, database: Database, broker: Broker, output: object, environment: dict) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "testops_consumer"],
            stdout=output,
            stderr=output,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{ROOT}:{ROOT / 'consumer'}:{os.environ.get('PYTHONPATH', '')}",
                **database.environment,
                **broker.environment,
                "CREDENTIALS_KEY": CREDENTIALS_KEY,
                "TARGET_ALLOWED_HOSTS": "127.0.0.0/8",
                "PORT": str(self.port),
                "RESEND_AFTER_SECONDS": "2",
                "KAFKA_SESSION_TIMEOUT_SECONDS": str(SESSION),
                **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
                **environment,
            },
        )

    def ready(self) -> bool:
        return ask(self.port, "/ready")[0] == 200

    def running(self) -> bool:
        return self._popen.poll() is None

    def terminate(self) -> None:
        self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        if self.running():
            self._popen.kill()
        self._popen.wait(10)

    def wait(self, seconds: float) -> int:
        return self._popen.wait(seconds)


@pytest.fixture
def processes(database, own_broker, tmp_path):
    """Starts consumers: `processes(**environment)`."""
    started: list[Process] = []

    def start(**environment: str) -> Process:
        log = tmp_path / f"consumer-{len(started)}.log"
        started.append(Process(database, own_broker, log, **environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
