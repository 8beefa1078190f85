"""Creating with a slow start, and expectations that come out even whatever fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from seatrial.base.clock import ManualClock
from seatrial.cluster.controllers.podwriter import PODS, PodWriter
from seatrial.kube.control.context import ControlContext
from seatrial.kube.model import status
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

OWNER = {"kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "ns"}}
KEY = ("ns", "web")


class Api:
    """Answers creates and deletes from a list of failures; None is a success."""

    def __init__(self, *answers: StatusError | None) -> None:
        self.answers = list(answers)
        self.calls = 0
        self.events: list[str] = []

    async def create(self, _resource: Any, obj: Object) -> Object:
        self._answer()
        return obj

    async def delete(self, *_args: Any, **_more: Any) -> Object:
        self._answer()
        return {}

    def event(self, _obj: Object, _type: str, reason: str, message: str, **_more: Any) -> None:
        self.events.append(f"{reason}: {message}")

    def _answer(self) -> None:
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer


def writer(api: Api) -> PodWriter:
    fake = cast("Any", api)
    return PodWriter(ControlContext(fake, fake, ManualClock(), fake), "test")


def pods(count: int) -> list[Object]:
    return [{"metadata": {"name": f"p{n}", "namespace": "ns", "uid": f"u{n}"}} for n in range(count)]


REFUSED = status.forbidden("exceeded quota")


@pytest.mark.parametrize(
    ("answers", "calls"),
    [
        ((REFUSED,), 1),
        ((None, REFUSED), 3),  # one, then two
        ((None, None, None, REFUSED), 7),  # one, two, then four
    ],
)
async def test_creating_stops_after_the_batch_that_failed(answers: Any, calls: int) -> None:
    api = Api(*answers)
    made = writer(api)
    with pytest.raises(StatusError, match="exceeded quota"):
        await made.create(OWNER, pods(20))
    assert api.calls == calls


async def test_what_was_not_created_is_not_waited_for() -> None:
    api = Api(None, REFUSED)
    made = writer(api)
    with pytest.raises(StatusError):
        await made.create(OWNER, pods(20))
    assert not made.expectations.satisfied(KEY)
    for _ in range(2):  # the two that were made
        made.expectations.observed_creation(KEY)
    assert made.expectations.satisfied(KEY)


async def test_a_namespace_on_its_way_out_is_no_failure() -> None:
    cause = status.Cause("NamespaceTerminating", "namespace ns is being terminated")
    api = Api(status.forbidden("being terminated", causes=[cause]))
    made = writer(api)
    await made.create(OWNER, pods(1))
    assert made.expectations.satisfied(KEY)
    assert api.events == []


@pytest.mark.parametrize("gone", [status.not_found(PODS, "p0"), status.conflict(PODS, "p0")])
async def test_a_pod_that_is_gone_already_is_deleted(gone: StatusError) -> None:
    made = writer(Api(gone))
    await made.delete(OWNER, pods(1))
    assert made.expectations.satisfied(KEY)


async def test_every_pod_is_tried_before_a_failed_deletion_is_told() -> None:
    api = Api(REFUSED, None, None)
    made = writer(api)
    with pytest.raises(StatusError):
        await made.delete(OWNER, pods(3))
    assert api.calls == 3
    assert sorted(api.events) == [
        "FailedDelete: Error deleting: exceeded quota",
        "SuccessfulDelete: Deleted pod: p1",
        "SuccessfulDelete: Deleted pod: p2",
    ]


async def test_a_pod_on_its_way_out_is_not_deleted_again() -> None:
    api = Api()
    leaving = pods(1)
    leaving[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await writer(api).delete(OWNER, leaving)
    assert api.calls == 0
