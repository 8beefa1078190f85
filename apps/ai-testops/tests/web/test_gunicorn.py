"""The real server process: its workers together, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from backing import ROOT, eventually, free_port
from sample_api.server import DESCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

ADMIN = {"username": "root", "password": "correct horse battery staple"}
WORKERS = 2


class Server:
    def __init__(self, environment: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{environment['PORT']}"
        command = [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py", "config.wsgi"]
        self.process = subprocess.Popen(command, cwd=ROOT / "web", env=environment)
        eventually("gunicorn answers", lambda: self.get("/health").status_code == 200)

    def get(self, path: str, **options) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10, **options)  # a connection each, so that any worker may get it


@pytest.fixture
def server(database, broker, tmp_path):
    (tmp_path / "tmp").mkdir()
    environment = os.environ | database.environment | broker.environment | {
        "PORT": str(free_port()), "WEB_CONCURRENCY": str(WORKERS), "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path / "tmp"), "ADMIN_USERNAME": ADMIN["username"], "ADMIN_PASSWORD": ADMIN["password"],
    }  # fmt: skip
    command = [sys.executable, "manage.py", "ensure_admin"]
    subprocess.run(command, cwd=ROOT / "web", env=environment, check=True, timeout=60)
    server = Server(environment)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait(10)


@contextmanager
def slow_server(content: bytes) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """Its address; set when it was asked; answers when this is set."""
    asked, release = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            release.wait(20)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", asked, release
        release.set()
        server.shutdown()
        thread.join()


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_request_in_flight_is_finished_before_the_server_leaves(server):
    assert server.get("/ready").json() == {"status": "ready", "database": "ok", "kafka": "ok"}
    token = httpx.post(f"{server.url}/api/v1/sign-in", json=ADMIN).json()["token"]
    description = DESCRIPTIONS["openapi31.yaml"].read_bytes()
    with (
        httpx.Client(base_url=server.url, headers={"Authorization": f"Token {token}"}, timeout=20) as client,
        slow_server(description) as (url, asked, release),
        ThreadPoolExecutor(1) as pool,
    ):
        project = client.post("/api/v1/projects", json={"name": "Depot", "base_url": "http://depot"}).json()["id"]
        answer = pool.submit(client.post, "/api/v1/specifications", json={"project": project, "url": url})
        assert asked.wait(10)
        server.process.send_signal(signal.SIGTERM)
        eventually("the worker with nothing to do has left", lambda: len(children(server.process.pid)) == 1)
        assert server.process.poll() is None
        release.set()
        assert answer.result(20).status_code == 201
    assert server.process.wait(20) == 0


def test_the_metrics_are_those_of_all_workers_together(server, tmp_path):
    requests = 12
    for _ in range(requests):
        assert server.get("/accounts/login/").status_code == 200
    wanted = f'ai_testops_http_requests_total{{method="GET",status="200",view="accounts/login/"}} {requests}.0'
    for _ in range(4 * WORKERS):  # whichever worker is asked
        assert wanted in server.get("/metrics").text
    server.process.send_signal(signal.SIGHUP)
    eventually("the counts survive new workers", lambda: wanted in server.get("/metrics").text)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert not list((tmp_path / "tmp").iterdir())
