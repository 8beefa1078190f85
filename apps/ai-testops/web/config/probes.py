"""`/health` (the process answers), `/ready` (its database and its broker answer too), `/metrics`."""

from __future__ import annotations

import socket
import struct
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse, JsonResponse

from config.metrics import exposition

if TYPE_CHECKING:
    from collections.abc import Callable

KAFKA_API_VERSIONS = 18
LIMIT = 1.0  # seconds a probe takes at most
ABANDONED = 10.0  # seconds after which a check that hangs is no longer waited for, and the next one begins


class ProbeMiddleware:
    def __init__(self, get_response):
        self._get_response = get_response
        self._answers = {"/health": health, "/ready": ready, "/metrics": metrics}

    def __call__(self, request):
        answer = self._answers.get(request.path)
        return answer() if answer else self._get_response(request)


def health() -> HttpResponse:
    return JsonResponse({"status": "alive"})


def metrics() -> HttpResponse:
    return HttpResponse(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def ready() -> HttpResponse:
    deadline = time.monotonic() + LIMIT
    started = {name: check.start() for name, check in CHECKS.items()}
    checks = {name: _answer(future, deadline) for name, future in started.items()}
    good = all(value == "ok" for value in checks.values())
    return JsonResponse({"status": "ready" if good else "not ready", **checks}, status=200 if good else 503)


def _answer(future: Future, deadline: float) -> str:
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return f"no answer within {LIMIT:g} s"


class Check:
    """Runs in a thread, as neither the resolver nor the database can be told to hurry.

    Probes that come while it runs share it: a check that hangs costs one thread, not one per probe.
    """

    def __init__(self, check: Callable[[], str | None]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._running: Future | None = None
        self._since = 0.0

    def start(self) -> Future:
        with self._lock:
            now = time.monotonic()
            if self._running is None or self._running.done() or now - self._since > ABANDONED:
                self._running, self._since = Future(), now
                threading.Thread(target=self._run, args=(self._running,), daemon=True).start()
            return self._running

    def _run(self, future: Future) -> None:
        try:
            future.set_result(self._check() or "ok")
        except Exception as error:  # whatever is wrong, the answer is "not ready"
            future.set_result(f"{type(error).__name__}: {error}".splitlines()[0][:200])


class _Schema:
    complete = False  # a schema that is complete for this code stays so: looked up until then


def check_database() -> str | None:
    """With a connection of its own, which says more than one that was opened an hour ago."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _Schema.complete:
            executor = MigrationExecutor(connection)
            if waiting := executor.migration_plan(executor.loader.graph.leaf_nodes()):
                return f"{len(waiting)} migrations are not applied yet"
            _Schema.complete = True
        return None
    finally:
        connection.close()


def check_kafka() -> str | None:
    """Ask a broker for its API versions, the one request every broker answers to anyone."""
    servers = [server.strip() for server in settings.KAFKA_BOOTSTRAP_SERVERS.split(",")]
    last: Exception | None = None
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            return _api_versions(host.strip("[]"), int(port), 0.8 * LIMIT / len(servers))
        except (OSError, ValueError) as error:
            last = error
    raise ConnectionError(f"no broker of {settings.KAFKA_BOOTSTRAP_SERVERS} answers: {last}")


def _api_versions(host: str, port: int, timeout: float) -> None:
    client = b"ai-testops-ready"
    body = struct.pack(">hhih", KAFKA_API_VERSIONS, 0, 1, len(client)) + client
    with socket.create_connection((host, port), timeout=timeout) as stream:
        stream.sendall(struct.pack(">i", len(body)) + body)
        answer = b""
        while len(answer) < 8:
            part = stream.recv(8 - len(answer))
            if not part:
                raise ConnectionError("the broker hung up")
            answer += part
    if struct.unpack(">ii", answer)[1] != 1:
        raise ConnectionError("what answers is not a Kafka broker")


CHECKS = {"database": Check(check_database), "kafka": Check(check_kafka)}
