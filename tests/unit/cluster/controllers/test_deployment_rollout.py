"""The sizes of a Deployment's ReplicaSets: formulas one by one, and the law they keep together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.cluster.controllers.deployment import rollout
from seatrial.cluster.controllers.deployment.rollout import Limits

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def replica_set(
    name: str, replicas: int, available: int = 0, born: int = 0, *, desired: int | None = None, most: int | None = None
) -> Object:
    annotations = {}
    if desired is not None:
        annotations[rollout.DESIRED] = str(desired)
    if most is not None:
        annotations[rollout.MAX] = str(most)
    meta = {
        "name": name,
        "uid": name,
        "creationTimestamp": f"2026-01-01T00:00:{born:02}Z",
        "annotations": annotations,
    }
    return {"metadata": meta, "spec": {"replicas": replicas}, "status": {"availableReplicas": available}}


def deployment(replicas: int, surge: Any = "25%", unavailable: Any = "25%", kind: str = "RollingUpdate") -> Object:
    strategy: Object = {"type": kind}
    if kind == "RollingUpdate":
        strategy["rollingUpdate"] = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"spec": {"replicas": replicas, "strategy": strategy}}


def sizes(changes: list[rollout.Resize]) -> dict[str, int]:
    return {change.replica_set["metadata"]["name"]: change.replicas for change in changes}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),  # ceil(2.5), floor(2.5)
        (4, "25%", "25%", (1, 1)),
        (1, "25%", "25%", (1, 0)),
        (3, 0, "10%", (0, 1)),  # both nothing: one may be missing
        (3, 0, 0, (0, 1)),
        (0, 0, "10%", (0, 0)),  # never more than there are
        (3, 1, 5, (1, 3)),
        (5, "100%", 0, (5, 0)),
    ],
)
def test_surge_rounds_up_and_unavailable_down(
    replicas: int, surge: Any, unavailable: Any, expected: tuple[int, int]
) -> None:
    found = rollout.limits(deployment(replicas, surge, unavailable))
    assert (found.surge, found.unavailable) == expected
    assert (found.ceiling, found.floor) == (replicas + expected[0], replicas - expected[1])


def test_recreate_has_neither_surge_nor_unavailable() -> None:
    assert rollout.limits(deployment(3, kind="Recreate")) == Limits(3, 0, 0)


@pytest.mark.parametrize(
    ("new", "total", "expected"),
    [
        (0, 10, 3),  # room up to 13
        (3, 13, 3),  # no room
        (9, 9, 10),  # room for four, but only one is wanted
        (12, 12, 10),  # too large: down at once
        (0, 20, 0),
    ],
)
def test_the_new_set_grows_as_far_as_the_ceiling_allows(new: int, total: int, expected: int) -> None:
    assert rollout.grown(Limits(10, 3, 2), new, total) == expected


def test_old_sets_shrink_to_the_floor_oldest_first() -> None:
    bounds = Limits(10, 3, 2)
    oldest, older = replica_set("a", 1, 1, born=1), replica_set("b", 9, 9, born=2)
    new = replica_set("new", 3, 0, born=3)
    # 13 pods - 8 needed - 3 new ones not available yet: two may go.
    assert sizes(rollout.shrink_old(bounds, new, [older, oldest])) == {"a": 0, "b": 8}


def test_nothing_shrinks_while_new_pods_use_up_the_budget() -> None:
    bounds = Limits(10, 3, 2)
    assert rollout.shrink_old(bounds, replica_set("new", 5, 0), [replica_set("old", 8, 8)]) == []


def test_unhealthy_old_pods_go_first_even_from_younger_sets() -> None:
    bounds = Limits(10, 3, 2)
    oldest, younger = replica_set("a", 5, 5, born=1), replica_set("b", 5, 3, born=2)
    new = replica_set("new", 3, 0, born=3)
    # Budget two: both go to b's two broken pods; the eight available ones are the floor.
    assert sizes(rollout.shrink_old(bounds, new, [oldest, younger])) == {"b": 3}


def test_an_old_set_told_to_shrink_counts_as_shrunk_before_it_says_so() -> None:
    bounds = Limits(10, 3, 2)
    old = replica_set("old", 8, 10)  # it still reports ten
    assert sizes(rollout.shrink_old(bounds, replica_set("new", 5, 2), [old])) == {"old": 6}


def test_unhealthy_old_pods_stay_too_while_new_ones_use_up_the_budget() -> None:
    # 13 pods, 8 needed, 5 new ones not available yet: two broken old pods might still recover.
    assert rollout.shrink_old(Limits(10, 3, 2), replica_set("new", 5, 0), [replica_set("old", 8, 6)]) == []


def test_no_more_pods_count_as_available_than_are_wanted() -> None:
    assert rollout.available(replica_set("old", 2, 5)) == 2
    assert rollout.available(None) == 0


def test_growing_comes_before_shrinking() -> None:
    changes = rollout.roll(Limits(10, 3, 2), replica_set("new", 0), [replica_set("old", 10, 10)])
    assert sizes(changes) == {"new": 3}


def test_scaling_is_noticed_by_the_annotation_of_sets_with_pods() -> None:
    wanted = deployment(5)
    assert rollout.is_scaling(wanted, [replica_set("a", 3, desired=3)])
    assert not rollout.is_scaling(wanted, [replica_set("a", 5, desired=5)])
    assert not rollout.is_scaling(wanted, [replica_set("a", 0, desired=3)])
    assert not rollout.is_scaling(wanted, [replica_set("a", 3)])


def test_a_lone_set_takes_all_of_a_new_size() -> None:
    old = [replica_set("old", 3, 3)]
    assert sizes(rollout.scale(Limits(5, 2, 1), replica_set("new", 0), old, 3, rolling=True)) == {"old": 5}
    assert sizes(rollout.scale(Limits(5, 2, 1), replica_set("new", 0), [], 0, rolling=True)) == {"new": 5}


def test_a_saturated_new_set_empties_the_old_ones() -> None:
    new = replica_set("new", 5, 5, desired=5)
    changes = rollout.scale(Limits(5, 2, 1), new, [replica_set("old", 2, 2)], 7, rolling=True)
    assert sizes(changes) == {"old": 0}


def test_scaling_up_in_flight_is_shared_in_proportion() -> None:
    # Upstream's documented example: 10 replicas, surge 3, unavailable 2; new 5, old 8; then 15 replicas.
    new = replica_set("new", 5, 0, born=2, desired=10, most=13)
    old = replica_set("old", 8, 8, born=1, desired=10, most=13)
    changes = rollout.scale(Limits(15, 3, 2), new, [old], 13, rolling=True)
    assert sizes(changes) == {"old": 11, "new": 7}
    assert sum(sizes(changes).values()) == 18


def test_scaling_down_in_flight_is_shared_in_proportion() -> None:
    new = replica_set("new", 5, 5, born=2, desired=10, most=13)
    old = replica_set("old", 8, 8, born=1, desired=10, most=13)
    assert sizes(rollout.scale(Limits(5, 3, 2), new, [old], 13, rolling=True)) == {"old": 5, "new": 3}


def test_scaling_to_zero_in_flight_empties_every_set() -> None:
    new, old = replica_set("new", 5, 5, most=13), replica_set("old", 8, 8, most=13)
    assert sizes(rollout.scale(Limits(0, 0, 0), new, [old], 13, rolling=True)) == {"old": 0, "new": 0}


def test_rounding_leftovers_go_to_the_largest_set() -> None:
    sets = [replica_set(name, 1, 1, born=born, most=3) for born, name in enumerate("abc")]
    changes = rollout.scale(Limits(4, 0, 1), sets[2], sets[:2], 3, rolling=True)
    # 4/3 rounds to 1 for each; the one that is left goes to the newest of equals.
    assert sizes(changes) == {"a": 1, "b": 1, "c": 2}


class Simulated:
    """Sets whose controllers do at once what they are told, and whose pods become available when chance says so."""

    def __init__(self, bounds: Limits) -> None:
        self.bounds = bounds
        self.new = replica_set("new", 0, 0, born=2)
        self.old = [replica_set("a", bounds.replicas, bounds.replicas, born=1)]

    def step(self) -> bool:
        changes = rollout.roll(self.bounds, self.new, self.old)
        for found, replicas in changes:
            found["spec"]["replicas"] = replicas
            found["status"]["availableReplicas"] = min(found["status"]["availableReplicas"], replicas)
        return bool(changes)

    def become_available(self, count: int) -> None:
        available = self.new["status"]["availableReplicas"] + count
        self.new["status"]["availableReplicas"] = min(available, rollout.size(self.new))

    def check(self) -> None:
        everything = [*self.old, self.new]
        assert rollout.total(everything) <= self.bounds.ceiling
        assert sum(map(rollout.available, everything)) >= self.bounds.floor


@settings(max_examples=200, deadline=None)
@given(
    replicas=st.integers(0, 20),
    surge=st.integers(0, 8),
    unavailable=st.integers(0, 8),
    luck=st.lists(st.integers(0, 4), max_size=40),
)
def test_a_rollout_keeps_within_ceiling_and_floor_and_ends(
    replicas: int, surge: int, unavailable: int, luck: list[int]
) -> None:
    bounds = rollout.limits(deployment(replicas, surge, unavailable))
    world = Simulated(bounds)
    for ready in [*luck, *([1] * (replicas * 4 + 4))]:
        world.step()
        world.check()
        world.become_available(ready)
    assert rollout.size(world.new) == replicas
    assert rollout.total(world.old) == 0


@settings(max_examples=200, deadline=None)
@given(
    after=st.integers(0, 30),
    surge=st.integers(1, 5),
    split=st.lists(st.integers(1, 10), min_size=2, max_size=4),
)
def test_scaling_in_flight_reaches_exactly_the_ceiling(after: int, surge: int, split: list[int]) -> None:
    sets = [replica_set(str(n), size, size, born=n, most=sum(split)) for n, size in enumerate(split)]
    bounds = Limits(after, surge, 1 if after else 0)
    found = sizes(rollout.scale(bounds, sets[-1], sets[:-1], 0, rolling=True))
    assert all(replicas >= 0 for replicas in found.values())
    assert sum(found.values()) == (bounds.ceiling if after else 0)
