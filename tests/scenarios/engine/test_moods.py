"""A server in bad moods: busy, conflicting, forgetful of its answers, breaking its watches, at random.

The end is that of an undisturbed run, no hook that succeeded runs again for its commit, and nothing is pruned that
should stay. `test_faults.py` kills the engine instead.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from tests.scenarios.engine.test_faults import Hooks, begin, release, until_released

from seatrial.kube.client.transport import TransportError
from seatrial.kube.model.status import StatusError
from seatrial.unseal import keys

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.scenarios.engine.conftest import Stage

    from seatrial.kube.client.transport import Request, Response

RELEASES = range(2, 10)
REFUSED, LOST, BROKEN = 0.15, 0.05, 0.3
"""How likely a call is refused, or is carried out without an answer, and a watch breaks at an event."""
MOODS = (
    TransportError("connection reset"),
    StatusError(409, "Conflict", "the object has been modified"),
    StatusError(429, "TooManyRequests", "later"),
    StatusError(503, "ServiceUnavailable", "not now"),
    StatusError(504, "Timeout", "it took too long"),
)


class Moods:
    def __init__(self, stage: Stage, seed: int, hooks: Hooks) -> None:
        self._dice = random.Random(seed)
        self._hooks = hooks
        self.faults = 0
        stage.wire.before, stage.wire.after = self._before, self._after
        stage.wire.breaks = lambda _: self._dice.random() < BROKEN

    def _before(self, request: Request) -> Awaitable[None] | None:
        if self._happens(REFUSED):
            raise self._dice.choice(MOODS)
        return None

    def _after(self, request: Request, response: Response) -> Awaitable[None] | None:
        self._hooks.note(request, response)
        if self._happens(LOST):
            raise TransportError("connection reset before the answer was complete")
        return None

    def _happens(self, chance: float) -> bool:
        happens = self._dice.random() < chance
        self.faults += happens
        return happens


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_servers_mood_the_end_is_the_same(stage: Stage, seed: int) -> None:
    hooks = Hooks()
    await begin(stage)
    moods = Moods(stage, seed, hooks)
    for number in RELEASES:
        await stage.push(release(number))
        await asyncio.wait_for(until_released(stage, number), 60)
    assert moods.faults > 3 * len(RELEASES), "it was in bad moods"
    assert max(hooks.made.values()) == 1
    assert set(hooks.made) == {str(number) for number in RELEASES}


async def test_a_sealing_key_that_cannot_be_stored_at_once_is_tried_again(stage: Stage) -> None:
    if stage.is_live:
        pytest.skip("somebody else's cluster may have its keys already")
    refusals = iter([StatusError(503, "ServiceUnavailable", "not now")] * 3)

    def before(request: Request) -> None:
        if request.method == "POST" and request.path.endswith("/secrets") and (error := next(refusals, None)):
            raise error

    stage.wire.before = before
    await stage.start()

    async def check() -> bool:
        return bool(await stage.listed("secrets", keys.NAMESPACE, keys.LABEL))

    await stage.until(check, "there is a key")
    assert stage.is_running and next(refusals, None) is None
