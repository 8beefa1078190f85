"""Expectations: no pass on a cache that has not seen the controller's own writes."""

from __future__ import annotations

import pytest

from seatrial.base.clock import ManualClock
from seatrial.kube.control.expectations import TIMEOUT, Expectations

KEY = ("default", "web")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def expectations(clock: ManualClock) -> Expectations:
    return Expectations(clock)


def test_nothing_expected_is_satisfied(expectations: Expectations) -> None:
    assert expectations.satisfied(KEY)


def test_satisfied_when_all_creations_were_seen(expectations: Expectations) -> None:
    expectations.expect(KEY, creations=2)
    expectations.observed_creation(KEY)
    assert not expectations.satisfied(KEY)
    expectations.observed_creation(KEY)
    assert expectations.satisfied(KEY)


def test_satisfied_when_each_deletion_was_seen(expectations: Expectations) -> None:
    expectations.expect(KEY, deletions=["u1", "u2"])
    expectations.observed_deletion(KEY, "u1")
    expectations.observed_deletion(KEY, "u1")
    expectations.observed_deletion(KEY, "stranger")
    assert not expectations.satisfied(KEY)
    expectations.observed_deletion(KEY, "u2")
    assert expectations.satisfied(KEY)


def test_expecting_twice_adds_up(expectations: Expectations) -> None:
    expectations.expect(KEY, creations=1)
    expectations.expect(KEY, deletions=["u1"])
    expectations.observed_creation(KEY)
    assert not expectations.satisfied(KEY)


def test_expecting_nothing_is_satisfied(expectations: Expectations) -> None:
    expectations.expect(KEY)
    assert expectations.satisfied(KEY)


async def test_an_event_that_never_comes_is_not_waited_for_longer_than_the_timeout(
    expectations: Expectations, clock: ManualClock
) -> None:
    expectations.expect(KEY, creations=1)
    await clock.advance(TIMEOUT)
    assert expectations.satisfied(KEY)


def test_forgotten_is_satisfied(expectations: Expectations) -> None:
    expectations.expect(KEY, creations=1)
    expectations.forget(KEY)
    assert expectations.satisfied(KEY)


def test_what_is_seen_unasked_changes_nothing(expectations: Expectations) -> None:
    expectations.observed_creation(KEY)
    expectations.expect(KEY, creations=1)
    assert not expectations.satisfied(KEY)
