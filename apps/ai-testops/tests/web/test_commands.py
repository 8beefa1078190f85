"""What runs in a pod before the server does, as processes of their own."""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from backing import ROOT, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backing import Database


@pytest.fixture
def empty(postgres):
    """A database in which nothing was migrated."""
    name = f"empty_{secrets.token_hex(4)}"
    yield postgres.create(name)
    postgres.drop(name)


def start(database: Database, *arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "manage.py", "migrate_when_ready", *arguments], cwd=ROOT / "web", text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | database.environment | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def end(process: subprocess.Popen) -> tuple[int, str]:
    said = "".join(process.communicate(timeout=60))
    return process.returncode, said


def tables(database: Database) -> int:
    with database.connect() as connection:
        return connection.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'testops_%'").fetchone()[0]


@contextmanager
def forwarded(port: int, to: int) -> Iterator[None]:
    """One connection to `port` goes to `to`."""
    with socket.create_server(("127.0.0.1", port)) as server:

        def pump(source: socket.socket, sink: socket.socket) -> None:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

        def serve() -> None:
            client, _ = server.accept()
            with client, socket.create_connection(("127.0.0.1", to)) as upstream:
                back = threading.Thread(target=pump, args=(upstream, client))
                back.start()
                pump(client, upstream)
                back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(20)


def test_several_pods_that_start_at_once_migrate_one_after_the_other(empty):
    pods = [start(empty) for _ in range(3)]
    ends = [end(pod) for pod in pods]
    assert [code for code, _ in ends] == [0, 0, 0], ends
    assert sum("Applying testops.0001_initial" in said for _, said in ends) == 1
    assert tables(empty) > 0


def test_a_database_that_comes_later_is_waited_for(empty):
    port = free_port()
    pod = start(empty, "--wait", "30", DATABASE_URL=empty.url.replace(f":{empty.port}/", f":{port}/"))
    assert "waiting for the database" in pod.stdout.readline()
    with forwarded(port, empty.port):
        code, said = end(pod)
    assert code == 0, said
    assert tables(empty) > 0


@pytest.mark.parametrize("place", ["nowhere.invalid:5432", "127.0.0.1:{closed}"])
def test_a_first_installation_has_nothing_to_migrate(empty, place):
    place = place.format(closed=free_port())
    code, said = end(start(empty, "--skip-when-unreachable", DATABASE_URL=f"postgresql://app@{place}/app"))
    assert code == 0, said
    assert "no database yet, nothing is migrated" in said


def test_a_database_that_is_away_is_an_error_unless_it_may_be(empty):
    code, said = end(start(empty, DATABASE_URL=f"postgresql://app@127.0.0.1:{free_port()}/app"))
    assert code == 1
    assert re.search("CommandError: the database does not answer: .*refused", said)


def test_a_wrong_password_is_not_passed_over(empty):
    code, said = end(start(empty, "--skip-when-unreachable", PGPASSWORD="wrong"))
    assert code == 1
    assert "password authentication failed" in said


def ensure_admin() -> str:
    said = StringIO()
    call_command("ensure_admin", stdout=said)
    return said.getvalue()


def test_the_first_administrator_is_made_once_and_keeps_its_password(db, monkeypatch, django_user_model):
    monkeypatch.setenv("ADMIN_USERNAME", "chief")
    monkeypatch.setenv("ADMIN_PASSWORD", "the first one")
    assert "chief was made" in ensure_admin()
    monkeypatch.setenv("ADMIN_PASSWORD", "another one")
    assert "chief is there" in ensure_admin()
    chief = django_user_model.objects.get()
    assert chief.is_superuser
    assert chief.check_password("the first one")


def test_without_a_password_no_administrator_is_made(db):
    with pytest.raises(CommandError, match="ADMIN_PASSWORD"):
        ensure_admin()


def test_two_pods_may_make_the_administrator_at_the_same_moment(db, monkeypatch, django_user_model):
    def taken(*args, **options):
        raise IntegrityError("duplicate key")

    monkeypatch.setenv("ADMIN_PASSWORD", "the first one")
    monkeypatch.setattr(django_user_model.objects, "create_superuser", taken)
    assert "by another pod" in ensure_admin()
