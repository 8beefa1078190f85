"""People, and what they work with: a project, its description, cases, runs with results.

Django is imported inside the fixtures: this file is read before the settings are decided (tests/conftest.py).
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest

from backing import ROOT, eventually, free_port
from sample_api.server import DESCRIPTIONS
from specifications.document import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import User
    from rest_framework.test import APIClient

    from testops.models import Run

PASSWORD = "correct horse battery staple"
ADMIN = {"username": "root", "password": PASSWORD}
WORKERS = 2
DESCRIPTION = DESCRIPTIONS["openapi31.yaml"]


@pytest.fixture(scope="session", autouse=True)
def settings_of_tests(tmp_path_factory) -> None:
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
    settings.STATIC_ROOT = tmp_path_factory.mktemp("static")  # WhiteNoise warns when there is none


@pytest.fixture
def user(db, django_user_model) -> User:
    return django_user_model.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def api(user) -> APIClient:
    from rest_framework.test import APIClient

    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def page(user, client):
    """Django's test client, signed in."""
    client.force_login(user)
    return client


@pytest.fixture
def project(db):
    from testops.models import Project

    project = Project(name="Depot", base_url="http://depot.example:8000/v1")
    project.credentials = {"key": "s3cret-of-the-depot"}
    project.save()
    return project


@pytest.fixture(scope="session")
def parsed():
    return parse(DESCRIPTION.read_bytes())


@pytest.fixture
def specification(project, parsed):
    from testops.models import Specification

    return Specification.objects.create(project=project, origin="depot.yaml", **vars(parsed))


@pytest.fixture
def make_case(specification):
    from testops.models import TestCase

    numbers = itertools.count(1)

    def make(**content):
        number = next(numbers)
        values = {
            "specification": specification,
            "key": f"{number:064}",
            "kind": "positive",
            "operation": "GET /items",
            "title": f"case {number}",
            "oracle": "the description says so",
            "method": "GET",
            "path": f"/items?limit={number}",
            "expectation": {"status": {"in": [200]}},
            "generator": "offline",
            "seed": 0,
        }
        return TestCase.objects.create(**values | content)

    return make


@pytest.fixture
def make_result():
    from django.utils import timezone

    from testops.models import Result

    def make(run: Run, case, outcome: str = "passed", **content):
        values = {
            "status_code": 200,
            "duration_ms": 12.5,
            "attempts": 1,
            "request": {
                "method": "GET",
                "url": "http://depot.example/items",
                "headers": {"X-Key": "***"},
                "body": None,
            },
            "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": "[]", "size": 2},
            "finished_at": timezone.now(),
        }
        run.queue.filter(case=case).delete()
        return Result.objects.create(run=run, case=case, outcome=outcome, **values | content)

    return make


@pytest.fixture
def run(specification, make_case, user) -> Run:
    """Of three cases, none done."""
    from testops import runs

    for _ in range(3):
        make_case()
    return runs.start(specification, user)


@pytest.fixture
def serve():
    """Serve these bytes over HTTP; gives the address."""

    @contextmanager
    def serve(content: bytes, status: int = 200) -> Iterator[str]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}/openapi.yaml"
            server.shutdown()
            thread.join()

    return serve


class Server:
    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.url = f"http://127.0.0.1:{environment['PORT']}"
        command = [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py", "config.wsgi"]
        self.process = subprocess.Popen(command, cwd=ROOT / "web", env=environment)
        eventually("gunicorn answers", lambda: self.get("/health").status_code == 200)

    def signed_in(self) -> httpx.Client:
        """A client of the API."""
        token = httpx.post(f"{self.url}/api/v1/sign-in", json=ADMIN).json()["token"]
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Token {token}"}, timeout=20)

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
        server.process.terminate()
        server.process.wait(30)
