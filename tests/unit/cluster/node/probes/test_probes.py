"""Tries of probes against real listeners, and what their results come to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.base.errors import Terminal
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.node.hooks import HookFailed, run_hook
from seatrial.cluster.node.probes.attempt import attempt
from seatrial.cluster.node.probes.probes import Kind, Probes, Subject
from seatrial.cluster.node.runtime.types import ExecResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONTAINER: dict[str, Any] = {"name": "c", "ports": [{"name": "http", "containerPort": 1}]}


class FakeRuntime:
    """Answers commands with what `codes` says next; the last again and again."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.tries = 0

    async def run(self, container: str, arguments: list[str], *, timeout: float, limit: int = 0) -> ExecResult:
        self.tries += 1
        if not self.codes:
            raise Terminal("the container is gone")
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        return ExecResult(code, b"said", timed_out=code < 0)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/moved":
            raise web.HTTPFound("/200")
        if request.path == "/away":
            raise web.HTTPFound("http://elsewhere.invalid/")
        if request.path == "/headers":
            agent, host = request.headers.get("User-Agent", ""), request.headers["Host"]
            return web.Response(status=200 if (agent, host) == ("mine", "shop") else 500)
        if request.path == "/slow":
            await asyncio.sleep(3)
        return web.Response(status=int(request.path.strip("/").split("/")[0]))

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def tried(probe: dict[str, Any], *codes: int) -> Any:
    return await attempt(probe, CONTAINER, "id", "127.0.0.1", FakeRuntime(*codes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "passed", "message"),
    [
        ("/200", True, ""),
        ("/399", True, ""),
        ("/404", False, "HTTP probe failed with statuscode: 404"),
        ("/moved", True, ""),
        ("//200", True, ""),  # no other host, whatever it looks like
    ],
)
async def test_http(port: int, path: str, passed: bool, message: str) -> None:
    result = await tried({"httpGet": {"path": path, "port": port}})
    assert (result.passed, result.message) == (passed, message)


async def test_a_redirect_to_another_host_passes_with_a_warning(port: int) -> None:
    result = await tried({"httpGet": {"path": "/away", "port": port}})
    assert result.passed and "elsewhere.invalid" in result.warning


async def test_headers_of_the_probe_replace_ours(port: int) -> None:
    given = [{"name": "User-Agent", "value": "mine"}, {"name": "Host", "value": "shop"}]
    assert (await tried({"httpGet": {"path": "/headers", "port": port, "httpHeaders": given}})).passed


async def test_nobody_there_and_too_slow_say_what_was_tried(port: int) -> None:
    refused = await tried({"httpGet": {"path": "/x", "port": 1}})
    assert not refused.passed and 'Get "http://127.0.0.1:1/x"' in refused.message
    slow = await tried({"httpGet": {"path": "/slow", "port": port}, "timeoutSeconds": 1})
    assert not slow.passed and "context deadline exceeded" in slow.message
    closed = await tried({"tcpSocket": {"port": "http"}})
    assert not closed.passed and "dial tcp 127.0.0.1:" in closed.message


async def test_tcp_and_exec(port: int) -> None:
    assert (await tried({"tcpSocket": {"port": port}})).passed
    assert (await tried({"exec": {"command": ["x"]}}, 0)).passed
    failed = await tried({"exec": {"command": ["x"]}}, 1)
    assert (failed.passed, failed.message) == (False, "said")
    assert "timed out after 1s" in (await tried({"exec": {"command": ["x"]}}, -1)).message
    assert not (await tried({"exec": {"command": ["x"]}})).passed


async def test_an_unknown_port_name_is_a_failure_that_says_so() -> None:
    result = await tried({"httpGet": {"port": "nosuch"}})
    assert not result.passed and 'no port named "nosuch"' in result.message


async def test_grpc_to_something_else_fails(port: int) -> None:
    result = await tried({"grpc": {"port": port}})
    assert not result.passed


class Heard:
    def __init__(self) -> None:
        self.changes = 0
        self.failed: list[tuple[Kind, int | None]] = []
        self.notes: list[str] = []

    def probes_changed(self, subject: Subject) -> None:
        self.changes += 1

    def probe_failed(self, subject: Subject, kind: Kind, message: str, grace: int | None) -> None:
        self.failed.append((kind, grace))

    def probe_noted(self, subject: Subject, kind: Kind, reason: str, message: str) -> None:
        self.notes.append(f"{reason}: {message}")


class Watch:
    def __init__(self, runtime: FakeRuntime, **probes: dict[str, Any]) -> None:
        self.clock, self.heard, self.tasks = ManualClock(), Heard(), TaskGroup()
        self.probes = Probes(runtime, self.clock, self.tasks, self.heard)  # type: ignore[arg-type]
        checks = {name: {"exec": {"command": ["x"]}, **fields} for name, fields in probes.items()}
        self.probes.start(Subject({"metadata": {"uid": "u"}}, {"name": "c", **checks}, "id", "127.0.0.1"))


async def test_without_probes_a_container_is_ready_at_once() -> None:
    watch = Watch(FakeRuntime())
    assert watch.probes.has_started("id") and watch.probes.is_ready("id")
    assert not watch.probes.is_ready("another")


async def test_readiness_counts_thresholds_both_ways() -> None:
    runtime = FakeRuntime(0, 0, 0, 1, 1, 1, 0, 0)
    watch = Watch(runtime, readinessProbe={"periodSeconds": 1, "failureThreshold": 2, "successThreshold": 2})
    async with watch.tasks:
        assert not watch.probes.is_ready("id")
        await watch.clock.advance(1.5)
        assert watch.probes.is_ready("id")
        await watch.clock.advance(1)
        assert watch.probes.is_ready("id"), "one failure is not enough"
        await watch.clock.advance(2)
        assert not watch.probes.is_ready("id")
        assert not watch.heard.failed, "a readiness probe restarts nobody"


async def test_liveness_restarts_once_and_is_not_tried_again() -> None:
    runtime = FakeRuntime(0, 1)
    watch = Watch(
        runtime, livenessProbe={"periodSeconds": 5, "failureThreshold": 3, "terminationGracePeriodSeconds": 7}
    )
    async with watch.tasks:
        await watch.clock.advance(100)
        assert watch.heard.failed == [(Kind.LIVENESS, 7)]
        assert runtime.tries == 4
        assert watch.heard.notes == ["Unhealthy: Liveness probe failed: said"] * 3


async def test_a_startup_probe_holds_the_others_back() -> None:
    runtime = FakeRuntime(1)
    watch = Watch(runtime, startupProbe={"periodSeconds": 1}, livenessProbe={"periodSeconds": 1, "failureThreshold": 1})
    async with watch.tasks:
        await watch.clock.advance(2.5)
        assert not watch.probes.has_started("id") and not watch.heard.failed
        runtime.codes = [0]
        await watch.clock.advance(1)
        assert watch.probes.has_started("id") and watch.probes.is_ready("id")


async def test_a_delay_counts_from_the_start_of_the_container() -> None:
    runtime = FakeRuntime(1)
    delayed = {"periodSeconds": 1, "initialDelaySeconds": 5}
    watch = Watch(runtime, startupProbe={"periodSeconds": 1, "failureThreshold": 90}, readinessProbe=delayed)
    async with watch.tasks:
        await watch.clock.advance(8)
        runtime.codes = [0]
        await watch.clock.advance(1.1)
        assert watch.probes.is_ready("id")


async def test_in_its_first_period_a_probe_is_tried_soon_again() -> None:
    runtime = FakeRuntime(1, 1, 1, 0)
    watch = Watch(runtime, readinessProbe={"periodSeconds": 10})
    async with watch.tasks:
        await watch.clock.advance(1)
        assert watch.probes.is_ready("id") and not watch.heard.notes


async def test_a_pod_that_ends_keeps_its_readiness_probe_only() -> None:
    runtime = FakeRuntime(0)
    watch = Watch(runtime, livenessProbe={"periodSeconds": 1}, readinessProbe={"periodSeconds": 1})
    async with watch.tasks:
        await watch.clock.advance(1)
        watch.probes.stop("id", readiness=False)
        runtime.codes = [1]
        await watch.clock.advance(5)
        assert not watch.heard.failed and not watch.probes.is_ready("id")


# hooks


async def hook(handler: dict[str, Any], *codes: int) -> None:
    await run_hook(
        handler,
        runtime=FakeRuntime(*codes),  # type: ignore[arg-type]
        container_id="id",
        address="127.0.0.1",
        container=CONTAINER,
        timeout=2,
        clock=SystemClock(),
    )


async def test_hooks_do_their_work(port: int) -> None:
    await hook({"exec": {"command": ["x"]}}, 0)
    await hook({"httpGet": {"path": "/200", "port": port}})
    await hook({"sleep": {"seconds": 0}})


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ({"exec": {"command": ["x"]}}, "exited with 3"),
        ({"httpGet": {"path": "/500", "port": "nosuch"}}, "no port named"),
        ({"httpGet": {"port": 1}}, "httpGet hook failed"),
        ({"sleep": {"seconds": 60}}, "did not end within 2 s"),
        ({"tcpSocket": {"port": 1}}, "not supported"),
        ({}, "not supported"),
    ],
)
async def test_hooks_that_fail_say_why(handler: dict[str, Any], said: str) -> None:
    with pytest.raises(HookFailed, match=said):
        await hook(handler, 3)
