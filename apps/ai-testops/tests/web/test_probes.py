from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.test import RequestFactory
from prometheus_client import REGISTRY

from backing import free_port
from config import metrics, probes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """As in a process that was just started."""
    monkeypatch.setattr(probes._Schema, "complete", False)
    checks = {name: probes.Check(getattr(probes, f"check_{name}")) for name in ("database", "kafka")}
    monkeypatch.setattr(probes, "CHECKS", checks)


@pytest.fixture
def everything(db, broker, settings):
    settings.KAFKA_BOOTSTRAP_SERVERS = broker.address


@pytest.fixture
def database_at(monkeypatch):
    """Connections that are opened from now on go there."""

    def at(**place) -> None:
        for name, value in place.items():
            monkeypatch.setitem(connections["default"].settings_dict, name.upper(), str(value))

    return at


@contextlib.contextmanager
def listener(answer: bytes | None = None) -> Iterator[int]:
    """Accepts and says nothing, or this."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    held.append(client)
                    if answer is not None:
                        client.recv(100)
                        client.sendall(answer)
                        client.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for client in held:
            client.close()


def refused(client, what: str) -> str:
    started = time.monotonic()
    answer = client.get("/ready")
    assert time.monotonic() - started < probes.LIMIT + 1
    assert answer.status_code == 503
    body = answer.json()
    assert body.pop("status") == "not ready"
    assert [name for name, value in body.items() if value != "ok"] == [what]
    return body[what]


def test_ready_when_database_and_broker_answer(everything, client):
    for _ in range(2):
        assert client.get("/ready").json() == {"status": "ready", "database": "ok", "kafka": "ok"}


def test_alive_whatever_is_away_and_whoever_asks(client, settings):
    settings.ALLOWED_HOSTS = []
    assert client.get("/health", headers={"host": "10.0.0.7:8000"}).json() == {"status": "alive"}


def test_not_ready_without_a_database(everything, client, database_at):
    database_at(port=free_port())
    assert "refused" in refused(client, "database")


def test_not_ready_with_a_database_that_says_nothing(everything, client, database_at):
    with listener() as port:
        database_at(port=port)
        assert refused(client, "database") == "no answer within 1 s"
        threads = threading.active_count()
        refused(client, "database")
        assert threading.active_count() <= threads


def test_not_ready_before_the_migrations(everything, client, database_at, postgres):
    name = f"empty_{secrets.token_hex(4)}"
    postgres.create(name)
    try:
        database_at(name=name)
        assert "migrations are not applied" in refused(client, "database")
    finally:
        postgres.drop(name)


@pytest.mark.parametrize(
    ("answer", "told"),
    [(None, "timed out"), (b"", "hung up"), (b"HTTP/1.1 400 Bad Request", "not a Kafka broker")],
)
def test_not_ready_with_something_that_is_no_broker(everything, client, settings, answer, told):
    with listener(answer) as port:
        settings.KAFKA_BOOTSTRAP_SERVERS = f"127.0.0.1:{port}"
        assert told in refused(client, "kafka")


@pytest.mark.parametrize("servers", ["127.0.0.1:{closed}", "nonsense"])
def test_not_ready_without_a_broker(everything, client, settings, servers):
    settings.KAFKA_BOOTSTRAP_SERVERS = servers.format(closed=free_port())
    assert settings.KAFKA_BOOTSTRAP_SERVERS in refused(client, "kafka")


def test_one_broker_that_answers_is_enough(everything, client, settings, broker):
    settings.KAFKA_BOOTSTRAP_SERVERS = f"127.0.0.1:{free_port()}, {broker.address}"
    assert client.get("/ready").status_code == 200


def test_a_check_that_hangs_is_given_up_and_begun_anew(monkeypatch):
    monkeypatch.setattr(probes, "ABANDONED", 0.0)
    release = threading.Event()
    check = probes.Check(lambda: release.wait(5) and None)
    first = check.start()
    time.sleep(0.001)
    assert check.start() is not first
    release.set()
    assert first.result(5) == "ok"


def test_metrics_count_requests_by_route(db, client):
    labels = {"method": "GET", "view": "accounts/login/", "status": "200"}
    before = REGISTRY.get_sample_value("ai_testops_http_requests_total", labels) or 0
    client.get("/accounts/login/")
    assert REGISTRY.get_sample_value("ai_testops_http_requests_total", labels) == before + 1
    assert "ai_testops_http_request_seconds_bucket" in client.get("/metrics").content.decode()


def test_invented_methods_and_paths_make_no_series_of_their_own(db, client):
    client.generic("INVENTED", "/made/up")
    text = client.get("/metrics").content.decode()
    assert 'method="other",status="302",view="none"' in text or 'method="other",status="404",view="none"' in text
    assert "INVENTED" not in text
    assert "made/up" not in text


def test_metrics_of_several_processes_are_read_from_their_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert metrics.exposition() == b""


def test_only_the_three_paths_are_probes():
    middleware = probes.ProbeMiddleware(lambda request: "the page")
    assert middleware(RequestFactory().get("/healthy")) == "the page"


@pytest.mark.parametrize("url", ["mysql://app@db/app", ""])
def test_another_kind_of_database_is_refused(url):
    from config.settings import database
    from groundwork.environment import MissingSetting

    with pytest.raises(MissingSetting, match="DATABASE_URL"):
        database(url)


def test_the_password_may_be_in_the_url_or_not():
    from config.settings import database

    assert database("postgresql://app:p%40ss@db:5433/app")["PASSWORD"] == "p@ss"
    assert database("postgresql://app@db/app")["PASSWORD"] == ""
    assert django_settings.DATABASES["default"]["PASSWORD"] == ""
    assert os.environ["PGPASSWORD"]
