"""What an Application would be made of and would change, asked beside the controller or without one."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.scenarios.engine.conftest import annotated, config_map, deployment, git, job

from seatrial.base.errors import Terminal
from seatrial.gitops import preview
from seatrial.gitops.api.application import Application
from seatrial.gitops.preview import Local
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.scenarios.engine.conftest import Stage

    from seatrial.gitops.preview import Changes, Preview
    from seatrial.kube.model.objects import Object


@asynccontextmanager
async def looking(stage: Stage) -> AsyncIterator[Preview]:
    options = preview.Options(stage.directory / "mirrors", stage.control)
    async with preview.opened(stage.client, stage.clock, options) as found:
        yield found


async def changes(stage: Stage, revision: str = "", local: Local | None = None) -> Changes:
    app = Application(await stage.app())
    async with looking(stage) as found:
        if local is not None:
            rendered = await found.rendered_local(app, local)
        else:
            rendered = await found.rendered(app, await found.at(app, {0: revision} if revision else {}))
        return await found.compared(app, await found.targets(app, rendered))


def secret(**values: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": values}


def branch(stage: Stage, name: str, files: dict[str, object]) -> str:
    """A commit on a branch of its own; the working copy goes back to main."""
    work = stage.repository.work
    git(work, "checkout", "-q", "-b", name)
    sha = stage.repository.commit(files)
    git(work, "push", "-q", "origin", "+HEAD~1:refs/heads/main", f"HEAD:refs/heads/{name}")
    git(work, "checkout", "-q", "main")
    return sha


async def test_what_is_synced_has_no_differences(stage: Stage) -> None:
    files = {"app/all.yaml": [config_map(color="blue"), deployment(), secret(password="x")]}
    await stage.deploy({**files, "app/hook.yaml": annotated(job("before"), hook="PreSync")})
    found = await changes(stage)
    assert (found.resources, found.text) == ((), "")


async def test_a_first_sync_would_make_everything_without_a_controller(stage: Stage) -> None:
    stage.repository.commit({"app/all.yaml": [config_map(color="blue"), annotated(job("before"), hook="PreSync")]})
    await stage.start()
    await stage.stop()
    await stage.create(stage.application(auto=None))
    found = await changes(stage)
    assert [each.ref.name for each in found.resources] == ["settings"]
    assert "+  color: blue" in found.text.splitlines()


async def test_a_branch_shows_what_merging_it_would_change(stage: Stage) -> None:
    await stage.deploy({"app/a.yaml": config_map("a", color="blue"), "app/b.yaml": config_map("b", kept="no")})
    branch(
        stage,
        "feature",
        {"app/a.yaml": config_map("a", color="red"), "app/b.yaml": None, "app/c.yaml": config_map("c", new="yes")},
    )
    found = await changes(stage, "feature")
    assert [(each.ref.name, each.is_pruned) for each in found.resources] == [("a", False), ("c", False), ("b", True)]
    lines = found.text.splitlines()
    assert f"===== /ConfigMap {stage.namespace}/a ======" in lines
    assert {"-  color: blue", "+  color: red", "+  new: 'yes'", "-  kept: 'no'"} <= set(lines)
    assert (await changes(stage)).resources == ()


async def test_a_directory_stands_for_the_repository(stage: Stage) -> None:
    base = {"resources": ["map.yaml"]}
    overlay = {"resources": ["../../base"], "nameSuffix": "-x"}
    await stage.deploy(
        {
            "base/kustomization.yaml": base,
            "base/map.yaml": config_map(color="blue"),
            "over/x/kustomization.yaml": overlay,
        },
        path="over/x",
    )
    work = stage.repository.work
    (work / "base/map.yaml").write_text((work / "base/map.yaml").read_text().replace("blue", "green"))
    found = await changes(stage, local=Local(work / "over/x"))
    assert "+  color: green" in found.text.splitlines()
    copy = stage.directory / "copy"
    shutil.copytree(work, copy, ignore=shutil.ignore_patterns(".git"))
    assert "+  color: green" in (await changes(stage, local=Local(copy / "over/x", copy))).text
    with pytest.raises(Terminal, match="--local-repo-root"):
        await changes(stage, local=Local(copy / "over/x", stage.directory / "git"))


async def test_a_directory_may_not_lead_out_of_its_root(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(color="blue")})
    outside = stage.directory / "outside.yaml"
    outside.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stolen}\n")
    (stage.repository.work / "app/link.yaml").symlink_to(outside)
    with pytest.raises(Terminal, match="leads out of it"):
        await changes(stage, local=Local(stage.repository.work / "app"))


async def test_secrets_are_masked(stage: Stage) -> None:
    await stage.deploy({"app/secret.yaml": secret(password="canary-old", name="same")})
    branch(stage, "feature", {"app/secret.yaml": secret(password="canary-new", name="same")})
    found = await changes(stage, "feature")
    assert "-  password: ++++++++" in found.text and "+  password: ++++++++++++" in found.text
    app = Application(await stage.app())
    async with looking(stage) as asked:
        rendered = await asked.rendered(app, await asked.at(app))
        live = await asked.live(app)
        everything = [found.text, str(preview.shown(rendered.manifests)), str(preview.shown(live.values()))]
    for text in everything:
        for value in ("canary", "Y2FuYXJ5"):
            assert value not in text


async def test_what_could_not_be_compared_is_said(stage: Stage) -> None:
    await stage.deploy({"app/web.yaml": deployment()})
    broken = deployment()
    broken["spec"]["replicas"] = -1
    branch(stage, "feature", {"app/web.yaml": broken})
    found = await changes(stage, "feature")
    assert found.text == "" and len(found.resources) == 1
    assert "spec.replicas" in found.unknown[0]


async def test_what_is_ignored_makes_no_difference(stage: Stage) -> None:
    ignored = [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]
    await stage.deploy({"app/web.yaml": deployment(replicas=1)}, ignoreDifferences=ignored)
    branch(stage, "feature", {"app/web.yaml": deployment(replicas=3)})
    assert (await changes(stage, "feature")).resources == ()


async def test_the_current_revision_is_the_one_that_was_compared(stage: Stage) -> None:
    await stage.deploy({"app/map.yaml": config_map(color="blue")})
    compared = (await stage.status())["sync"]["revision"]
    stage.repository.commit({"app/map.yaml": config_map(color="red")})
    app = Application(await stage.app())
    async with looking(stage) as found:
        assert await found.current(app) == (compared,)
        assert await found.at(app) != (compared,)
        changed = objects.clone(app.object)
        changed["spec"]["source"]["path"] = "other"
        assert await found.current(Application(changed)) != (compared,)
