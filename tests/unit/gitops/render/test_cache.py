"""The cache: what was read is the key, whatever the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import SystemClock
from seatrial.gitops.render.renderer import Renderer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.gitops.render.conftest import Ask

Chart = dict[str, str]
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


async def test_a_commit_that_changes_nothing_it_reads_is_a_hit(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    files = {f"app/{path}": text for path, text in chart.items()} | {"env/a.yaml": "a: a\n", "env/b.yaml": "a: b\n"}
    settings: dict[str, Any] = {"path": "app", "helm": {"valueFiles": ["../env/a.yaml"]}}
    await renderer.render(ask(files, **settings))
    assert renderer.would_hit(ask(files | {"env/b.yaml": "new", "x/y": "new"}, revision="2", **settings))
    for change in ("env/a.yaml", "app/values.yaml", "app/.argocd-source.yaml", "app/new/file"):
        assert not renderer.would_hit(ask(files | {change: "a: new\n"}, revision="2", **settings)), change


async def test_a_directory_that_is_not_recursed_ignores_what_is_below(renderer: Renderer, ask: Ask) -> None:
    files = {"a.yaml": MANIFEST, "README.md": "x", "in/b.yaml": MANIFEST}
    await renderer.render(ask(files))
    assert renderer.would_hit(ask(files | {"in/b.yaml": "new", "README.md": "y"}, revision="2"))
    assert not renderer.would_hit(ask(files | {"b.yaml": MANIFEST}, revision="2"))
    assert not renderer.would_hit(ask(files | {"a.yaml": MANIFEST + "# new"}, revision="2"))


async def test_settings_are_part_of_the_key(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    await renderer.render(ask(chart))
    assert renderer.would_hit(ask(chart))
    assert not renderer.would_hit(ask(chart, helm={"releaseName": "x"}))
    assert not renderer.would_hit(ask(chart, application="other"))


async def test_the_revision_is_an_input_only_where_it_is_used(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    with_revision = {"parameters": [{"name": "a", "value": "$ARGOCD_APP_REVISION"}]}
    with_name = {"parameters": [{"name": "a", "value": "$ARGOCD_APP_NAME"}]}
    for helm in (with_revision, with_name):
        await renderer.render(ask(chart, helm=helm))
    assert not renderer.would_hit(ask(chart, helm=with_revision, revision="2"))
    assert renderer.would_hit(ask(chart, helm=with_name, revision="2"))


async def test_the_cluster_is_an_input_only_where_it_is_asked_for(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    asking = chart | {"templates/b.yaml": "# {{ .Capabilities.KubeVersion }}\n"}
    for files in (chart, asking):
        await renderer.render(ask(files))
    assert renderer.would_hit(ask(chart, kube_version="1.40.0", api_versions=("new/v1",)))
    assert not renderer.would_hit(ask(asking, kube_version="1.40.0"))


async def test_two_branches_in_turn_both_hit(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    other = chart | {"values.yaml": "a: other\n"}
    for files in (chart, other):
        await renderer.render(ask(files))
    assert renderer.would_hit(ask(chart))
    assert renderer.would_hit(ask(other))


async def test_another_source_is_an_input(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    helm = {"valueFiles": ["$values/a.yaml"]}
    await renderer.render(ask(chart, helm=helm, references={"values": {"a.yaml": "a: 1\n", "b.yaml": ""}}))
    assert renderer.would_hit(ask(chart, helm=helm, references={"values": {"a.yaml": "a: 1\n", "b.yaml": "x"}}))
    assert not renderer.would_hit(ask(chart, helm=helm, references={"values": {"a.yaml": "a: 2\n", "b.yaml": ""}}))


async def test_it_survives_a_restart(tmp_path: Path, ask: Ask, chart: Chart) -> None:
    async with Renderer(tmp_path, SystemClock()) as first:
        before = await first.render(ask(chart))
    async with Renderer(tmp_path, SystemClock()) as second:
        assert await second.render(ask(chart)) == before
        assert not second._workers._all, "nothing was rendered"


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"version": 0}\n[]', b"\x00" * 100])
async def test_a_damaged_file_is_a_miss(tmp_path: Path, ask: Ask, chart: Chart, damage: bytes) -> None:
    async with Renderer(tmp_path, SystemClock()) as first:
        before = await first.render(ask(chart))
    (file,) = (tmp_path / "cache").iterdir()
    content = file.read_bytes()
    file.write_bytes(damage or content[:-1])
    async with Renderer(tmp_path, SystemClock()) as second:
        assert await second.render(ask(chart)) == before
        assert second._workers._all
    assert file.read_bytes() == content


async def test_a_hard_refresh_forgets(tmp_path: Path, renderer: Renderer, ask: Ask, chart: Chart) -> None:
    await renderer.render(ask(chart))
    await renderer.forget(ask(chart))
    assert not renderer.would_hit(ask(chart))
    assert not list((tmp_path / "render" / "cache").iterdir())
