"""Facts about pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.controllers import pods
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NOW = parse_time("2026-01-01T01:00:00Z")


def pod(
    name: str = "p",
    *,
    node: str = "n1",
    phase: str = "Running",
    ready: bool = True,
    ready_at: float = NOW - 100,
    born: float = NOW - 200,
    restarts: int = 0,
    **meta: Any,
) -> Object:
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": rfc3339(ready_at)}
    status = {"phase": phase, "conditions": [condition], "containerStatuses": [{"restartCount": restarts}]}
    return {
        "metadata": {"name": name, "creationTimestamp": rfc3339(born), **meta},
        "spec": {"nodeName": node},
        "status": status,
    }


def cost(value: str) -> Object:
    return {"annotations": {"controller.kubernetes.io/pod-deletion-cost": value}}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # Each pair differs where the line says, and in the next rule the other way round.
        (pod("x", node="", phase="Running"), pod("y", phase="Pending")),
        (pod("x", phase="Pending", ready=True), pod("y", phase="Running", ready=False)),
        (pod("x", ready=False, **cost("9")), pod("y", ready=True, **cost("1"))),
        (pod("x", **cost("-5"), ready_at=NOW - 900), pod("y", ready_at=NOW - 1)),
        (pod("x", **cost("nonsense"), ready_at=NOW - 1), pod("y", ready_at=NOW - 2)),
        (pod("x", ready_at=NOW - 10, restarts=0), pod("y", ready_at=NOW - 20, restarts=9)),
        (pod("x", restarts=3, born=NOW - 900), pod("y", restarts=1, born=NOW - 100)),
        (pod("y", born=NOW - 100), pod("x", born=NOW - 200)),
    ],
)
def test_the_pod_whose_loss_hurts_least_goes_first(first: Object, second: Object) -> None:
    for given in ([first, second], [second, first]):
        ordered = pods.deletion_order(given)
        assert objects.name(ordered[0]) == objects.name(first)


def test_a_crowded_node_loses_a_pod_before_readiness_times_count() -> None:
    crowded, alone = pod("x", node="n1", ready_at=NOW - 900), pod("y", node="n2", ready_at=NOW - 1)
    neighbours = [crowded, alone, pod("z", node="n1")]
    assert objects.name(pods.deletion_order([alone, crowded], neighbours)[0]) == "x"


def test_finished_neighbours_do_not_crowd_a_node() -> None:
    old, young = pod("x", node="n1", ready_at=NOW - 900), pod("y", node="n2", ready_at=NOW - 1)
    done = [pod(str(n), node="n1", phase="Succeeded") for n in range(3)]
    assert objects.name(pods.deletion_order([old, young], [old, young, *done])[0]) == "y"


def test_available_means_ready_for_long_enough() -> None:
    assert pods.is_available(pod(ready_at=NOW - 10), 10, NOW)
    assert not pods.is_available(pod(ready_at=NOW - 9), 10, NOW)
    assert pods.is_available(pod(ready_at=NOW), 0, NOW)
    assert not pods.is_available(pod(ready=False), 0, NOW)


def test_the_next_availability_is_that_of_the_first_pod_to_get_there() -> None:
    waiting = [pod(ready_at=NOW - 3), pod(ready_at=NOW - 7), pod(ready_at=NOW - 100), pod(ready=False)]
    assert pods.next_availability(waiting, 10, NOW) == 3
    assert pods.next_availability(waiting, 0, NOW) is None


def test_active_is_neither_finished_nor_leaving() -> None:
    assert pods.is_active(pod())
    assert not pods.is_active(pod(phase="Succeeded"))
    assert not pods.is_active(pod(phase="Failed"))
    leaving = pod(deletionTimestamp=rfc3339(NOW))
    assert not pods.is_active(leaving)
    assert pods.is_terminating(leaving)
    assert not pods.is_terminating(pod(phase="Failed", deletionTimestamp=rfc3339(NOW)))
