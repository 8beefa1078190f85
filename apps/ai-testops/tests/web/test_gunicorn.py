"""The real server process: its workers together, and how it ends."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from backing import eventually
from sample_api.server import DESCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    description = DESCRIPTIONS["openapi31.yaml"].read_bytes()
    with (
        server.signed_in() as client,
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
    for _ in range(8):  # whichever worker is asked
        assert wanted in server.get("/metrics").text
    server.process.send_signal(signal.SIGHUP)
    eventually("the counts survive new workers", lambda: wanted in server.get("/metrics").text)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert not list((tmp_path / "tmp").iterdir())


def test_a_database_that_goes_away_is_told_everywhere_and_ends_nothing(server, postgres, database):
    with server.signed_in() as client:
        assert client.get("/api/v1/projects").status_code == 200
        postgres.drop(database.name)
        for _ in range(4):  # whichever worker is asked, with whichever connection
            answer = client.get("/api/v1/projects")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            page = server.get("/", cookies={"sessionid": "a" * 32})
            assert page.status_code == 503
            assert "Back in a moment" in page.text
        assert server.get("/ready").status_code == 503
        assert server.get("/health").status_code == 200
