"""From a push to the files of every Application it concerns: webhook, refresh, one question, one fetch."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import subprocess
from typing import TYPE_CHECKING

import aiohttp
import orjson

from seatrial.base.clock import SystemClock
from seatrial.gitops.api.settings import WebhookSecrets
from seatrial.gitops.api.source import Source
from seatrial.gitops.sources.repositories import Repositories
from seatrial.gitops.webhook import match
from seatrial.gitops.webhook.server import WebhookServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seatrial.gitops.webhook.push import Push

_SECRET = "a shared secret"


def _git(at: Path, *arguments: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    done = subprocess.run(
        ["git", *arguments], cwd=at, env={**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null"},
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def _commit(at: Path, files: Mapping[str, str]) -> str:
    for name, text in files.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(text)
    _git(at, "add", "-A")
    _git(at, "commit", "-q", "-m", "a change")
    return _git(at, "rev-parse", "HEAD")


async def _post(port: int, url: str, before: str, after: str) -> int:
    body = orjson.dumps(
        {"ref": "refs/heads/main", "before": before, "after": after,
         "repository": {"clone_url": url, "default_branch": "main"}}
    )  # fmt: skip
    signature = hmac.new(_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/api/webhook", data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_a_pushed_commit_changes_exactly_the_directories_it_touches(tmp_path: Path) -> None:
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    _git(upstream, "init", "-q", "-b", "main")
    first = _commit(upstream, {f"apps/{number}/a.yaml": f"n: {number}" for number in range(200)})
    sources = [Source(f"file://{upstream}", path=f"apps/{number}", target_revision="main") for number in range(200)]

    moved: asyncio.Queue[Mapping[str, str]] = asyncio.Queue()
    repositories = Repositories(tmp_path / "data", SystemClock(), on_change=lambda _url, refs: moved.put_nowait(refs))
    repositories.use(sources)
    running = asyncio.create_task(repositories.run())

    async def identities() -> dict[str, str]:
        found = {}
        for source in sources:
            files = await repositories.open(source, await repositories.resolve(source))
            entry = files.entry(source.path)
            assert entry is not None
            found[source.path] = entry.id
        return found

    refreshing: set[asyncio.Task[None]] = set()

    def received(push: Push) -> None:
        if any(match.concerns(push, source) for source in sources):
            refreshing.add(asyncio.create_task(repositories.refresh(push.urls[0])))

    before = await identities()
    assert repositories.git.runs == 2  # one list of refs, one fetch
    async with WebhookServer(received, lambda: WebhookSecrets(github=_SECRET)) as server:
        second = _commit(upstream, {"apps/7/a.yaml": "n: 700"})
        assert await _post(server.port, f"file://{upstream}", first, second) == 200
        async with asyncio.timeout(5):
            assert (await moved.get())["refs/heads/main"] == second
    after = await identities()
    assert [path for path in before if before[path] != after[path]] == ["apps/7"]
    assert repositories.git.runs == 4

    running.cancel()
    await asyncio.wait([running])
    await asyncio.gather(*refreshing)
    await repositories.close()
