"""Index sets and how a status spells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.cluster.controllers.job import indexes
from seatrial.cluster.controllers.job.indexes import IndexSet

numbers = st.sets(st.integers(0, 60))


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (set(), ""),
        ({0}, "0"),
        ({0, 1}, "0,1"),
        ({0, 1, 2}, "0-2"),
        ({0, 1, 2, 5}, "0-2,5"),
        ({3, 4, 5, 7, 10, 11}, "3-5,7,10,11"),
    ],
)
def test_the_spelling(members: set[int], text: str) -> None:
    assert str(indexes.of(members)) == text


@pytest.mark.parametrize(
    ("text", "below", "spans"),
    [
        ("", 10, ()),
        ("1,3-5", 10, ((1, 1), (3, 5))),
        ("1,3-5,7", 5, ((1, 1), (3, 4))),
        ("7-9", 5, ()),
        ("0,1,2", 10, ((0, 2),)),
        ("1,x,3-,4-y,-2,6", 10, ((1, 1), (6, 6))),
        ("5-3", 10, ()),
    ],
)
def test_reading_cuts_off_what_is_too_high_and_passes_over_nonsense(
    text: str, below: int, spans: tuple[tuple[int, int], ...]
) -> None:
    assert indexes.parse(text, below).spans == spans


@given(numbers)
def test_it_holds_what_it_was_made_of(members: set[int]) -> None:
    made = indexes.of(members)
    assert list(made) == sorted(members)
    assert len(made) == len(members)
    assert {index for index in range(-1, 62) if index in made} == members
    assert all(later[0] > earlier[1] + 1 for earlier, later in zip(made.spans, made.spans[1:], strict=False))


@given(numbers)
def test_the_spelling_can_be_read(members: set[int]) -> None:
    assert indexes.parse(str(indexes.of(members)), 61) == indexes.of(members)


@given(numbers, numbers)
def test_union_and_intersection(one: set[int], other: set[int]) -> None:
    assert set(indexes.of(one) | indexes.of(other)) == one | other
    assert set(indexes.of(one) & indexes.of(other)) == one & other


@given(numbers, st.integers(0, 70), st.integers(0, 70))
def test_absent_are_the_lowest_missing(members: set[int], count: int, below: int) -> None:
    missing = [index for index in range(below) if index not in members]
    assert indexes.of(members).absent(count, below) == missing[:count]


def test_a_hundred_thousand_indexes_are_one_span() -> None:
    full = IndexSet(((0, 99_999),))
    assert indexes.parse("0-99999", 100_000) == full
    assert full.absent(5, 100_000) == []
    assert len(full) == 100_000
