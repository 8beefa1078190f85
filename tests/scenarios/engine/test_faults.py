"""The engine is killed at any of its calls: the end is that of an undisturbed run.

No hook that succeeded runs again for its commit, and nothing is pruned that should stay. What is done here to the whole
engine, `tests/faults/test_sync_resume.py` does to one sync, and with a busy and forgetful server.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.scenarios.engine.conftest import annotated, config_map, deployment, job

from seatrial.kube.client.client import parsed

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.scenarios.engine.conftest import Stage

    from seatrial.kube.client.transport import Request, Response

RETRY = {"limit": 20, "backoff": {"duration": "50ms", "maxDuration": "200ms", "factor": 2}}
KILLS = range(1, 40, 3)


def release(number: int) -> dict[str, Any]:
    """A hook before, two waves, and an object that every second release has not."""
    hook = annotated(job("migrate"), hook="PreSync", hook_delete_policy="BeforeHookCreation")
    hook["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "RELEASE", "value": str(number)}]
    return {
        "app/migrate.yaml": hook,
        "app/settings.yaml": config_map(release=str(number)),
        "app/later.yaml": annotated(config_map("later", release=str(number)), sync_wave="1"),
        "app/web.yaml": annotated(deployment(image=f"example.com/web:{number}"), sync_wave="1"),
        "app/some.yaml": config_map("some", release=str(number)) if number % 2 else "",
    }


class Hooks:
    """How often the hook of each release was made, as the server answered."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()

    def note(self, request: Request, response: Response) -> None:
        if ("dryRun", "All") in request.query:
            return
        if "/jobs" in request.path and request.method in ("POST", "PATCH") and response.status == 201:
            self._count(response)

    def _count(self, response: Response) -> None:
        container = parsed(response)["spec"]["template"]["spec"]["containers"][0]
        self.made[container["env"][0]["value"]] += 1


async def begin(stage: Stage) -> None:
    await stage.create(config_map("strangers", kept="yes"))
    await stage.deploy(release(1), retry=RETRY)


async def until_released(stage: Stage, number: int) -> None:
    await stage.until_data("later", {"release": str(number)})
    await stage.until_data("settings", {"release": str(number)})
    await stage.until_app(sync="Synced", phase="Succeeded", health="Healthy")
    if number % 2:
        await stage.until_data("some", {"release": str(number)})
    else:
        await stage.until_gone("configmaps", "some")
    web = await stage.until_there("deployments", "web")
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == f"example.com/web:{number}"
    assert await stage.data("strangers") == {"kept": "yes"}


@pytest.mark.timeout(300)
async def test_an_engine_killed_at_any_call_goes_on_where_it_was(stage: Stage) -> None:
    hooks = Hooks()
    await begin(stage)
    killed = 0
    for number, at in enumerate(KILLS, 2):
        for after in (False, True):
            number_of_this = 2 * number + after
            death = Death(stage, at, after, hooks)
            await stage.push(release(number_of_this))
            await until_released(stage, number_of_this)
            killed += death.end()
    assert killed > len(KILLS), "most of these calls were made"
    assert max(hooks.made.values()) == 1


class Death:
    """The engine ends at its call of this number, before or after the server has carried it out.

    Another begins, on another machine: with nothing of the first one's caches.
    """

    def __init__(self, stage: Stage, at: int, after: bool, hooks: Hooks) -> None:
        self._stage = stage
        self._left = at
        self._restarting: asyncio.Task[None] | None = None
        dies = self._dies

        def before(_request: Request) -> Awaitable[None] | None:
            return dies() if not after else None

        def behind(request: Request, response: Response) -> Awaitable[None] | None:
            hooks.note(request, response)
            return dies() if after else None

        stage.wire.before, stage.wire.after = before, behind

    def _dies(self) -> Awaitable[None] | None:
        self._left -= 1
        if self._left != 0:
            return None
        self._restarting = asyncio.create_task(self._stage.restart(cold=True))
        return self._never()

    async def _never(self) -> None:
        await asyncio.Event().wait()

    def end(self) -> bool:
        """Whether it came to that."""
        self._stage.wire.before, self._stage.wire.after = lambda _: None, lambda *_: None
        return self._restarting is not None
