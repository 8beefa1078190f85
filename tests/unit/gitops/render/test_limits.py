"""Charts that do not end, and those that take all memory, are stopped; the next one renders."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import SystemClock
from seatrial.gitops.render.renderer import Renderer
from seatrial.gitops.render.request import RenderFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.gitops.render.conftest import Ask

HOSTILE = {
    "endless": ("{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}", "took longer than 0.5 s"),
    "vast": ('a: {{ repeat 500000000 "abcdefghij" }}', "more memory|unexpectedly"),
    "recursive": (
        '{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}',
        "maximum template depth|longer|unexpectedly",
    ),
    "deep": ('a: {{ repeat 300000 "[" }}', "nested deeper"),
}


@pytest.fixture
async def strict(tmp_path: Path, ask: Ask, chart: dict[str, str]) -> AsyncIterator[Renderer]:
    """Its worker is up: starting one is not to be measured against half a second."""
    async with Renderer(tmp_path, SystemClock(), workers=1, memory=512 << 20) as made:
        await made.render(ask(chart, application="first"))
        made._workers._seconds = 0.5
        yield made


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_chart_is_stopped(strict: Renderer, ask: Ask, chart: dict[str, str], name: str) -> None:
    template, says = HOSTILE[name]
    with pytest.raises(RenderFailed, match=says):
        await strict.render(ask(chart | {"templates/b.yaml": template}))


async def test_the_next_chart_renders(strict: Renderer, ask: Ask, chart: dict[str, str]) -> None:
    with pytest.raises(RenderFailed):
        await strict.render(ask(chart | {"templates/b.yaml": HOSTILE["vast"][0]}))
    strict._workers._seconds = 30
    assert (await strict.render(ask(chart))).objects


async def test_a_render_that_is_cancelled_takes_its_process_along(
    renderer: Renderer, ask: Ask, chart: dict[str, str]
) -> None:
    await renderer.render(ask(chart))
    (worker,) = renderer._workers._all
    running = asyncio.ensure_future(renderer.render(ask(chart | {"templates/b.yaml": HOSTILE["endless"][0]})))
    while renderer._workers._idle:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not Path(f"/proc/{worker._process.pid}").exists()
    assert not renderer._workers._all


async def test_nothing_is_left_behind(tmp_path: Path, ask: Ask, chart: dict[str, str]) -> None:
    async with Renderer(tmp_path, SystemClock()) as renderer:
        await renderer.render(ask(chart))
        scratch = renderer._workers._held().path
        assert scratch.is_dir()
    assert not scratch.exists()


async def test_templates_see_no_environment_and_no_names(renderer: Renderer, ask: Ask, chart: dict[str, str]) -> None:
    reading = chart | {"templates/a.yaml": '{{ env "HOME" }}'}
    with pytest.raises(RenderFailed, match='function "env" not defined'):
        await renderer.render(ask(reading))
