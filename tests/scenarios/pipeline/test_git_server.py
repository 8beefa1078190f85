"""The git server, spoken to by the real git."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from seatrial.pipeline.gitserver.repositories import NO_COMMIT, Push, Repositories
from seatrial.pipeline.gitserver.server import GitServer
from seatrial.pipeline.gitserver.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKEN = "the-token-of-ann"


class Served:
    def __init__(self, directory: Path, server: GitServer, pushes: list[Push]) -> None:
        self.directory = directory
        self.server = server
        self.pushes = pushes
        self.times: list[float] = []

    def url(self, name: str = "shop", token: str = TOKEN) -> str:
        return self.server.clone_url(name).replace("http://", f"http://ann:{token}@")

    async def git(self, *arguments: str, at: str = ".", refused: bool = False) -> str:
        process = await asyncio.create_subprocess_exec(
            "git", "-c", "user.name=A", "-c", "user.email=a@example.com", *arguments,
            cwd=self.directory / at, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.directory), "GIT_TERMINAL_PROMPT": "0"},
        )  # fmt: skip
        output = (await process.communicate())[0].decode().strip()
        assert (process.returncode != 0) == refused, output
        return output

    async def work(self, name: str = "work") -> str:
        """A working copy with one pushed commit on main."""
        await self.git("clone", "-q", self.url(), name)
        await self.git("checkout", "-q", "-B", "main", at=name)
        await self.git("commit", "-q", "--allow-empty", "-m", "first", at=name)
        await self.git("push", "-q", "origin", "main", at=name)
        return name

    async def head(self, at: str = "work") -> str:
        return await self.git("rev-parse", "HEAD", at=at)


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Served]:
    repositories = Repositories(directory / "git")
    repositories.ensure("shop")
    served: Served

    def on_push(push: Push) -> None:
        served.pushes.append(push)
        served.times.append(time.monotonic())

    async with GitServer(repositories, Tokens({"ann": TOKEN}), on_push) as server:
        served = Served(directory, server, [])
        yield served


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as made:
        yield made


async def test_a_push_is_told_and_can_be_cloned_and_fetched(served: Served) -> None:
    work = await served.work()
    head = await served.head()
    assert served.pushes == [Push("shop", "refs/heads/main", NO_COMMIT, head, "ann")]
    await served.git("clone", "-q", "--depth", "1", served.url(), "shallow")
    assert await served.head("shallow") == head
    (served.directory / work / "a").write_text("a" * 100_000)
    await served.git("add", "a", at=work)
    await served.git("commit", "-q", "-m", "second", at=work)
    await served.git("push", "-q", "origin", "main", at=work)
    await served.git("pull", "-q", at="shallow")
    assert await served.head("shallow") == await served.head()
    assert served.pushes[1] == Push("shop", "refs/heads/main", head, await served.head(), "ann")


async def test_a_push_is_told_within_a_tenth_of_a_second_of_its_end(served: Served) -> None:
    work = await served.work()
    await served.git("commit", "-q", "--allow-empty", "-m", "second", at=work)
    await served.git("push", "-q", "origin", "main", at=work)
    assert len(served.times) == 2
    assert abs(time.monotonic() - served.times[1]) < 0.1


async def test_a_big_push_streams(served: Served) -> None:
    work = await served.work()
    noise = (served.directory / work / "noise").open("wb")
    with noise, open("/dev/urandom", "rb") as source:
        for _ in range(24):
            noise.write(source.read(1 << 20))
    await served.git("add", "noise", at=work)
    await served.git("commit", "-q", "-m", "big", at=work)
    await served.git("push", "-q", "origin", "main", at=work)
    await served.git("clone", "-q", served.url(), "again")
    assert (served.directory / "again" / "noise").stat().st_size == 24 << 20


async def test_many_push_at_once(served: Served) -> None:
    await served.work()
    names = [f"copy{number}" for number in range(5)]

    async def push(name: str) -> None:
        await served.git("clone", "-q", served.url(), name)
        await served.git("checkout", "-q", "-b", name, at=name)
        await served.git("commit", "-q", "--allow-empty", "-m", name, at=name)
        await served.git("push", "-q", "origin", name, at=name)

    await asyncio.gather(*map(push, names))
    assert sorted(push.ref for push in served.pushes[1:]) == [f"refs/heads/{name}" for name in names]
    assert set(served.server.repositories.refs("shop")) == {"refs/heads/main", *(f"refs/heads/{n}" for n in names)}


async def test_main_is_not_deleted_nor_rewritten(served: Served) -> None:
    work = await served.work()
    await served.git("commit", "-q", "--amend", "--allow-empty", "-m", "rewritten", at=work)
    assert "protected" in await served.git("push", "--force", "origin", "main", at=work, refused=True)
    assert "protected" in await served.git("push", "origin", ":main", at=work, refused=True)
    await served.git("push", "-q", "origin", "main:topic", at=work)
    await served.git("commit", "-q", "--amend", "--allow-empty", "-m", "again", at=work)
    await served.git("push", "-q", "--force", "origin", "main:topic", at=work)
    await served.git("push", "-q", "origin", ":topic", at=work)
    assert [push.ref for push in served.pushes] == ["refs/heads/main", *(["refs/heads/topic"] * 3)]
    assert served.pushes[-1].after == NO_COMMIT


async def test_without_a_token_nobody_comes_in(served: Served) -> None:
    assert "could not read" in await served.git("clone", served.server.clone_url("shop"), "never", refused=True)
    assert "Authentication failed" in await served.git("clone", served.url(token="guess"), "never", refused=True)
    scoped = served.server.tokens.issue("run", "bank")
    assert "not found" in await served.git("clone", served.url(token=scoped), "never", refused=True)


async def test_hostile_requests_are_refused(served: Served) -> None:
    asked = [
        ("GET", "/git/..%2f..%2fetc.git/info/refs?service=git-upload-pack", 404),
        ("GET", "/git/--upload-pack=x.git/info/refs?service=git-upload-pack", 404),
        ("GET", "/git/shop.git/info/refs", 403),
        ("GET", "/git/shop.git/info/refs?service=git-shell", 403),
        ("GET", "/git/shop.git/config", 405),
        ("GET", "/git/shop.git/objects/info/packs", 404),
        ("POST", "/git/shop.git/git-receive-pack", 415),
        ("GET", "/git/none.git/info/refs?service=git-upload-pack", 404),
    ]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        from yarl import URL

        for method, path, status in asked:
            async with session.request(method, URL(served.server.url + path, encoded=True)) as answer:
                assert answer.status == status, path
    assert served.pushes == []


async def test_a_compressed_request_is_understood(served: Served) -> None:
    await served.work()
    headers = {
        "Authorization": f"Bearer {TOKEN}", "Git-Protocol": "version=2", "Content-Encoding": "gzip",
        "Content-Type": "application/x-git-upload-pack-request",
    }  # fmt: skip
    body = gzip.compress(b"0014command=ls-refs\n0000")
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{served.server.clone_url('shop')}/git-upload-pack", data=body, headers=headers) as answer,
    ):
        assert answer.status == 200
        assert f"{await served.head()} refs/heads/main" in await answer.text()


async def test_a_client_that_goes_away_leaves_no_process(served: Served) -> None:
    await served.work()
    reader, writer = await asyncio.open_connection(served.server.host, served.server.port)
    from base64 import b64encode

    credentials = b64encode(f"ann:{TOKEN}".encode()).decode()
    writer.write(
        b"POST /git/shop.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        b"Content-Type: application/x-git-receive-pack-request\r\n"
        + f"Authorization: Basic {credentials}\r\n\r\n".encode()
    )
    await writer.drain()
    async with asyncio.timeout(10):
        while not children():
            await asyncio.sleep(0.01)
    writer.close()
    await writer.wait_closed()
    del reader
    async with asyncio.timeout(10):
        while children():
            await asyncio.sleep(0.01)


def children() -> list[str]:
    """git processes of this process."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    lines = [Path(f"/proc/{pid}/cmdline") for pid in found]
    return [line.read_bytes().decode() for line in lines if line.exists() and b"http-backend" in line.read_bytes()]


async def test_a_persons_push_makes_the_repository_it_names(served: Served) -> None:
    await served.work()
    await served.git("push", "-q", served.url("new"), "main", at="work")
    assert served.server.repositories.refs("new") == {"refs/heads/main": await served.head()}


async def test_neither_a_clone_nor_a_runs_token_makes_a_repository(served: Served) -> None:
    await served.work()
    token = served.server.tokens.issue("run", "shop")
    await served.git("clone", "-q", served.url("new"), "other", refused=True)
    await served.git("push", "-q", served.url("new", token), "main", at="work", refused=True)
    assert served.server.repositories.names() == ["shop"]
