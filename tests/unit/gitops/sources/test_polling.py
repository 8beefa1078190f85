"""Who asks when, what is told, and what a death in the middle leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.gitops.api.source import Source
from seatrial.gitops.sources.repositories import Repositories

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .conftest import Upstream

Told = list[tuple[str, "Mapping[str, str]"]]


def _made(tmp_path: Path, clock: ManualClock, told: Told) -> Repositories:
    return Repositories(tmp_path / "data", clock, on_change=lambda url, moved: told.append((url, moved)))


async def _until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.005)


async def test_a_push_is_noticed_within_the_period(upstream: Upstream, tmp_path: Path) -> None:
    clock, told = ManualClock(), Told()
    repositories = _made(tmp_path, clock, told)
    source = Source(upstream.url, target_revision="main")
    repositories.use([source, Source(upstream.url, path="other")])
    running = asyncio.create_task(repositories.run())
    await repositories.resolve(source)
    pushed = upstream.commit({"README": "2"})
    await clock.advance(200)
    await _until(lambda: told)
    assert told == [(upstream.url, {"HEAD": pushed, "refs/heads/main": pushed})]
    assert await repositories.resolve(source) == pushed
    assert repositories.git.runs == 2
    await clock.advance(200)
    await _until(lambda: repositories.git.runs == 3)
    assert len(told) == 1
    running.cancel()
    await asyncio.wait([running])
    await repositories.close()


async def test_what_no_application_uses_is_not_asked(upstream: Upstream, tmp_path: Path) -> None:
    clock, told = ManualClock(), Told()
    repositories = _made(tmp_path, clock, told)
    source = Source(upstream.url)
    repositories.use([source])
    running = asyncio.create_task(repositories.run())
    await repositories.resolve(source)
    repositories.use([])
    runs = repositories.git.runs
    await clock.advance(1000)
    assert repositories.git.runs == runs
    repositories.use([source])
    await repositories.resolve(source)  # closed, and opened again
    running.cancel()
    await asyncio.wait([running])
    await repositories.close()


async def test_a_refresh_asks_at_once(upstream: Upstream, tmp_path: Path) -> None:
    clock, told = ManualClock(), Told()
    repositories = _made(tmp_path, clock, told)
    await repositories.resolve(Source(upstream.url))
    upstream.git("branch", "side")
    await repositories.refresh(upstream.url)
    assert told == [(upstream.url, {"refs/heads/side": upstream.sha()})]
    upstream.git("branch", "-D", "side")
    await repositories.refresh(upstream.url)
    assert told[1] == (upstream.url, {"refs/heads/side": ""})
    await repositories.refresh("https://example.com/nobody/uses/this")
    await repositories.close()


async def test_a_failing_repository_is_asked_again_with_growing_pauses(upstream: Upstream, tmp_path: Path) -> None:
    clock, told = ManualClock(), Told()
    repositories = _made(tmp_path, clock, told)
    source = Source(upstream.url)
    repositories.use([source])
    running = asyncio.create_task(repositories.run())
    await repositories.resolve(source)
    upstream.path.rename(tmp_path / "away")
    for run in range(2, 6):
        while repositories.git.runs < run:
            await clock.advance(20)
            await asyncio.sleep(0.01)
    (tmp_path / "away").rename(upstream.path)
    pushed = upstream.commit({"README": "2"})
    for _ in range(100):
        if told:
            break
        await clock.advance(20)
        await asyncio.sleep(0.01)
    assert told[0][1]["HEAD"] == pushed
    running.cancel()
    await asyncio.wait([running])
    await repositories.close()


_FETCHER = """
    import asyncio, sys
    from pathlib import Path
    from seatrial.base.clock import SystemClock
    from seatrial.gitops.api.source import Source
    from seatrial.gitops.sources.repositories import Repositories

    async def main():
        repositories = Repositories(Path(sys.argv[1]), SystemClock())
        source = Source(sys.argv[2])
        print("begun", flush=True)
        await repositories.open(source, await repositories.resolve(source))

    asyncio.run(main())
"""


async def test_a_death_in_the_middle_of_a_fetch_is_survived(upstream: Upstream, tmp_path: Path) -> None:
    upstream.commit({f"big-{number}": os.urandom(200_000) for number in range(20)})
    data = tmp_path / "data"
    for delay in (0.03, 0.09):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_FETCHER), str(data), upstream.url], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        await asyncio.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for copy in data.rglob("git-1"):
        (copy / "HEAD.lock").touch()
        (copy / "packed-refs.lock").touch()
        (copy / "refs" / "heads" / "main.lock").touch()
    repositories = Repositories(data, SystemClock())
    source = Source(upstream.url)
    files = await repositories.open(source, await repositories.resolve(source))
    assert len(files.read("big-19")) == 200_000
    assert not list(data.rglob("*.lock"))
    await repositories.close()
