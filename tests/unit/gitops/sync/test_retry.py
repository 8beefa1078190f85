"""Retries and which errors are worth one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.gitops.api.application import Retry
from seatrial.gitops.sync import results, retry
from seatrial.gitops.sync.calls import TRIES, call, is_retryable
from seatrial.kube.client.discovery import UnknownResource
from seatrial.kube.client.transport import TransportError
from seatrial.kube.model.status import StatusError, bad_request, internal_error, too_many_requests

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NOW = 1_800_000_000.0


@pytest.mark.parametrize(("failures", "seconds"), [(0, 5), (1, 10), (5, 160), (6, 180), (5000, 180)])
def test_delays_grow_to_their_longest(failures: int, seconds: float) -> None:
    assert retry.delay(Retry(), failures) == seconds


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("1m30s", 90), ("500ms", 0.5), (3, 3), ("x", 7), ("", 7)])
def test_durations(text: object, seconds: float) -> None:
    assert retry.duration(text, 7.0) == seconds


def test_the_policy_as_written() -> None:
    written = {"limit": -1, "backoff": {"duration": "1m", "factor": 3, "maxDuration": "1h"}, "refresh": True}
    assert retry.of(written) == Retry(-1, 60.0, 3.0, 3600.0, True)
    assert retry.of(None) == Retry()


def failed(limit: int, retried: int = 0) -> Object:
    return {
        "operation": {"retry": {"limit": limit}, "info": [{"name": results.INFO_FAILURE, "value": "retryable"}]},
        "phase": "Failed",
        "message": "no",
        "retryCount": retried,
        "startedAt": "2027-01-15T08:00:00Z",
        "syncResult": {"revision": "r1", "resources": [{"name": "a"}]},
    }


def test_a_failure_waits_for_its_retry() -> None:
    state = retry.after_failure(failed(3, 1), NOW)
    assert (state["phase"], state["retryCount"]) == ("Running", 2)
    assert retry.is_waiting(state)
    assert retry.due_in(state, NOW) == 10.0
    assert retry.due_in(state, NOW + 60) == 0.0


@pytest.mark.parametrize(("limit", "retried", "again"), [(0, 0, False), (2, 2, False), (2, 1, True), (-1, 999, True)])
def test_the_limit(limit: int, retried: int, again: bool) -> None:
    assert retry.is_waiting(retry.after_failure(failed(limit, retried), NOW)) is again


def test_a_retry_begins_with_nothing_done_and_may_have_a_newer_revision() -> None:
    state = retry.restarted(retry.after_failure(failed(3), NOW), revision="r2")
    assert "finishedAt" not in state
    assert state["syncResult"] == {"revision": "r2", "resources": []}
    assert results.info(state, results.INFO_FAILURE) == ""


@pytest.mark.parametrize(
    ("operation", "follows"),
    [({"sync": {}}, True), ({"sync": {"revision": "r1"}}, False),
     ({"sync": {"revision": "r1"}, "initiatedBy": {"automated": True}}, True)],
)  # fmt: skip
def test_only_an_exact_wish_keeps_a_retry_from_newer_commits(operation: Object, follows: bool) -> None:
    assert retry.follows_branch({"operation": operation}) is follows


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (too_many_requests("busy", 1), True),
        (internal_error("failed calling webhook"), True),
        (StatusError(409, "Conflict", "changed"), True),
        (StatusError(404, "NotFound", 'namespaces "x" not found'), True),
        (StatusError(403, "Forbidden", "x is forbidden: exceeded quota: q"), True),
        (StatusError(403, "Forbidden", "no rights"), False),
        (StatusError(422, "Invalid", "immutable"), False),
        (bad_request("odd"), False),
        (TransportError("gone"), True),
        (TimeoutError(), True),
        (UnknownResource("no kind"), True),
        (ValueError(), False),
    ],
)
def test_which_failures_may_pass_by_themselves(error: BaseException, again: bool) -> None:
    assert is_retryable(error) is again


async def test_a_call_is_tried_again_after_the_time_the_server_names() -> None:
    clock, tries = ManualClock(), []

    async def attempt() -> int:
        tries.append(clock.time())
        if len(tries) == 1:
            raise too_many_requests("busy", 7)
        return 1

    import asyncio

    task = asyncio.ensure_future(call(clock, attempt))
    await clock.advance(6.9)
    assert len(tries) == 1
    await clock.advance(0.2)
    assert await task == 1


async def test_a_call_ends_after_some_tries_and_at_once_for_a_refusal() -> None:
    class Hasty(SystemClock):
        async def sleep(self, seconds: float) -> None:
            return

    tries: list[int] = []

    async def broken() -> None:
        tries.append(1)
        raise TransportError("gone")

    with pytest.raises(TransportError):
        await call(Hasty(), broken)
    assert len(tries) == TRIES
    tries.clear()

    async def refused() -> None:
        tries.append(1)
        raise bad_request("odd")

    with pytest.raises(StatusError):
        await call(Hasty(), refused)
    assert len(tries) == 1
