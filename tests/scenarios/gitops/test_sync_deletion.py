"""Deletion of an application (2.9): hooks around it, waves backwards, what stays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.scenarios.gitops.driving import annotated, config_map, hook

from seatrial.gitops.api import names
from seatrial.gitops.api.application import Application
from seatrial.gitops.sync.deletion import POST_DELETE_FINALIZER, PRE_DELETE_FINALIZER, Deletion, finalizers_for
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.gitops.driving import Driver

    from seatrial.gitops.sync.deletion import Deleting
    from seatrial.kube.model.objects import Object


def application(*finalizers: str, **annotations: str) -> Object:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Application",
        "metadata": {
            "name": "app",
            "namespace": names.CONTROL_NAMESPACE,
            "uid": "3a4b",
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": list(finalizers),
            "annotations": annotations,
        },
        "spec": {},
    }


async def delete(driver: Driver, app: Object, *targets: Object, seconds: float = 10) -> list[Deleting]:
    """To the end, or to what blocks it."""
    deletion, seen = Deletion(driver.context(), driver.tracked(*targets)), []
    async with asyncio.timeout(seconds):
        while objects.finalizers(app):
            driver._changed.clear()
            progress = await deletion.advance(Application(app))
            seen.append(progress)
            if progress.blocked:
                break
            app["metadata"]["finalizers"] = [name for name in objects.finalizers(app) if name not in progress.drop]
            if not progress.drop and progress.requeue_after is not None:
                await driver.pause(progress.requeue_after)
    return seen


async def test_everything_tracked_goes(driver: Driver) -> None:
    await driver.sync(config_map("a"), config_map("b"))
    await delete(driver, application(names.RESOURCES_FINALIZER))
    assert await driver.get("configmaps", "a") is None
    assert await driver.get("configmaps", "b") is None


async def test_the_highest_wave_goes_first_and_is_waited_for(driver: Driver) -> None:
    held = config_map("top", 2)
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await driver.sync(held, config_map("base", 0))
    app, deletion = application(names.RESOURCES_FINALIZER), Deletion(driver.context())
    progress = await deletion.advance(Application(app))
    assert progress.message == "waiting for deletion of ConfigMap default/top, held by its finalizers example.com/hold"
    assert await driver.get("configmaps", "base") is not None
    await driver.merge_only("configmaps", "top", {"metadata": {"finalizers": None}})
    await driver.gone(objects.Ref("", "ConfigMap", "default", "top"))
    await delete(driver, app)
    assert await driver.get("configmaps", "base") is None


async def test_what_says_delete_false_or_keep_stays(driver: Driver) -> None:
    await driver.sync(
        annotated(config_map("false"), names.SYNC_OPTIONS, "Delete=false"),
        annotated(config_map("keep"), names.HELM_RESOURCE_POLICY, "keep"),
        config_map("a"),
    )
    await delete(driver, application(names.RESOURCES_FINALIZER))
    assert await driver.get("configmaps", "false") is not None
    assert await driver.get("configmaps", "keep") is not None
    assert await driver.get("configmaps", "a") is None


async def test_delete_confirm_blocks_until_it_is_approved(driver: Driver) -> None:
    await driver.sync(annotated(config_map("precious"), names.SYNC_OPTIONS, "Delete=confirm"))
    app = application(names.RESOURCES_FINALIZER)
    blocked = (await delete(driver, app))[-1]
    assert blocked.blocked
    assert "precious" in blocked.message
    app["metadata"]["annotations"][names.DELETION_APPROVED] = "2026-01-01T00:00:01Z"
    await delete(driver, app)
    assert await driver.get("configmaps", "precious") is None


async def test_hooks_run_before_and_after(driver: Driver) -> None:
    made = (
        hook("before", "PreDelete"),
        config_map("main"),
        hook("after", "PostDelete"),
        hook("cleanup", "PostDelete", "HookSucceeded", wave=1),
    )
    await driver.sync(*made)
    assert await driver.get("configmaps", "before") is None
    extra = finalizers_for(made)
    assert {PRE_DELETE_FINALIZER, POST_DELETE_FINALIZER} <= extra
    seen = await delete(driver, application(names.RESOURCES_FINALIZER, *sorted(extra)), *made)
    dropped = [progress.drop[0] for progress in seen if progress.drop]
    assert dropped == [PRE_DELETE_FINALIZER, names.RESOURCES_FINALIZER, POST_DELETE_FINALIZER]
    before, after = await driver.get("configmaps", "before"), await driver.get("configmaps", "after")
    assert before is not None
    assert after is not None
    assert objects.finalizers(before) == objects.finalizers(after) == []
    assert await driver.get("configmaps", "cleanup") is None


async def test_a_failed_pre_delete_hook_keeps_everything(driver: Driver) -> None:
    failing = annotated(hook("before", "PreDelete"), "test/health", "Degraded:no backup")
    await driver.sync(config_map("main"))
    app = application(PRE_DELETE_FINALIZER, names.RESOURCES_FINALIZER)
    blocked = (await delete(driver, app, failing))[-1]
    assert blocked.blocked
    assert "no backup" in blocked.message
    assert await driver.get("configmaps", "main") is not None
