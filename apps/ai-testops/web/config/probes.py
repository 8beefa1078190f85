"""`/health` (the process answers), `/ready` (its database and its broker answer too), `/metrics`."""

from __future__ import annotations

import socket
import struct

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse, JsonResponse

from config.metrics import exposition

KAFKA_API_VERSIONS = 18


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
    checks = {"database": _explain(check_database), "kafka": _explain(check_kafka)}
    good = all(value == "ok" for value in checks.values())
    return JsonResponse({"status": "ready" if good else "not ready", **checks}, status=200 if good else 503)


def _explain(check) -> str:
    try:
        return check() or "ok"
    except Exception as error:  # whatever is wrong, the answer is "not ready"
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]


class _Schema:
    complete = False  # a schema that is complete for this code stays so: looked up until then


def check_database() -> str | None:
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
        connection.close_if_unusable_or_obsolete()


def check_kafka() -> str | None:
    """Ask a broker for its API versions, the one request every broker answers to anyone."""
    last: Exception | None = None
    for server in settings.KAFKA_BOOTSTRAP_SERVERS.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            return _api_versions(host, int(port))
        except (OSError, ValueError) as error:
            last = error
    raise ConnectionError(f"no broker of {settings.KAFKA_BOOTSTRAP_SERVERS} answers: {last}")


def _api_versions(host: str, port: int) -> None:
    client = b"ai-testops-ready"
    body = struct.pack(">hhih", KAFKA_API_VERSIONS, 0, 1, len(client)) + client
    with socket.create_connection((host, port), timeout=2) as stream:
        stream.sendall(struct.pack(">i", len(body)) + body)
        answer = b""
        while len(answer) < 8:
            part = stream.recv(8 - len(answer))
            if not part:
                raise ConnectionError("the broker hung up")
            answer += part
    if struct.unpack(">ii", answer)[1] != 1:
        raise ConnectionError("what answers is not a Kafka broker")
