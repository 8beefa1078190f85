"""Which failures have one cause, and which cases are flaky."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from testops_consumer.analysis import MOST_COMPARED, group, scores, signature
from testops_consumer.store import Failure, Past


def failure(result: int, reason: str, status: int | None = 500, body: str = "", operation: str = "GET /items",
            outcome: str = "failed") -> Failure:  # fmt: skip
    return Failure(result, operation, outcome, status, reason, body)


def members(failures: list[Failure]) -> list[list[int]]:
    return [made.results for made in group(failures)]


def test_no_failures_make_no_groups():
    assert group([]) == []


def test_failures_that_differ_in_numbers_and_ids_only_are_one_group():
    failures = [
        failure(1, "status 500, expected 200", body='{"error": "no row 17 in orders", "id": "5f0c9f6a1b2c3d4e"}'),
        failure(2, "status 500, expected 200", body='{"error": "no row 93211 in orders", "id": "aa0c9f6a1b2c3d4e"}'),
        failure(3, "status 500, expected 200",
                body='{"error": "no row 5 in orders", "id": "d9428888-122b-11e1-b85c-61cd3cbb3210"}'),
    ]  # fmt: skip
    assert members(failures) == [[1, 2, 3]]


def test_different_messages_under_one_status_are_different_groups():
    failures = [
        failure(1, "status 500, expected 200", body="connection to the database refused by server"),
        failure(2, "status 500, expected 200", body="connection to the database refused by the server"),
        failure(3, "status 500, expected 200", body="TypeError unsupported operand for price"),
    ]
    assert members(failures) == [[1, 2], [3]]


def test_the_same_words_under_different_statuses_or_outcomes_are_different_groups():
    failures = [
        failure(1, "the body is not what was described"),
        failure(2, "the body is not what was described", status=200),
        failure(3, "the body is not what was described", status=200, outcome="error"),
    ]
    assert sorted(members(failures)) == [[1], [2], [3]]


def test_the_largest_group_is_first_and_every_failure_is_in_one():
    failures = [failure(n, "connection refused", None, outcome="error") for n in range(3)]
    failures += [failure(10 + n, f"required property {word} is missing", 200) for n, word in enumerate(["name"] * 7)]
    assert members(failures) == [list(range(10, 17)), [0, 1, 2]]


def test_a_label_tells_the_reason_the_status_and_where():
    failures = [failure(1, "status 500, expected 200"), failure(2, "status 500, expected 200", operation="POST /items")]
    assert group(failures)[0].label == "GET /items and 1 more [500]: status 500, expected 200"
    assert group([failure(1, "", None)])[0].label == "GET /items: no reason given"


@pytest.mark.parametrize("reasons", [["", ""], ["!!!", "???"], ["!!!", "connection refused"]])
def test_reasons_without_words_are_grouped_as_well(reasons):
    failures = [failure(n, reason) for n, reason in enumerate(reasons)]
    assert sorted(result for results in members(failures) for result in results) == [0, 1]


def test_thousands_of_different_failures_are_grouped_in_bounded_time():
    words = ["".join(chr(97 + (n // 26**k) % 26) for k in range(4)) for n in range(MOST_COMPARED + 200)]
    failures = [failure(n, f"{word} {word[::-1]}") for n, word in enumerate(words)]
    assert sum(len(made.results) for made in group(failures)) == len(failures)


def test_what_varies_is_named_not_kept():
    text = "at 2026-11-23T10:00:00Z id d9428888-122b-11e1-b85c-61cd3cbb3210 0xdeadbeef took 12.5 ms"
    assert signature(failure(1, text)) == "at <time> id <uuid> <hex> took <n> ms"


def history(*outcomes: str) -> list[Past]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    words = {"p": "passed", "f": "failed"}
    return [Past(1, words[o], start + timedelta(hours=n)) for n, o in enumerate(outcomes)]


@pytest.mark.parametrize("outcomes", ["", "p", "pf", "pppppp", "ffff", "pppfff", "fffppp"])
def test_steady_broken_once_and_repaired_once_are_not_flaky(outcomes):
    assert scores(history(*outcomes)) in ({}, {1: 0.0})


def test_the_more_often_an_outcome_changes_the_flakier_the_case():
    rare = scores(history(*"ppppfppppp"))[1]
    often = scores(history(*"ppfpppfppp"))[1]
    always = scores(history(*"pfpfpfpfpf"))[1]
    assert 0 < rare < often < always == 1


def test_cases_are_scored_apart():
    flaky, steady = history(*"pfpf"), [Past(2, "passed", past.finished_at) for past in history(*"pppp")]
    assert scores(flaky + steady) == {1: 1.0, 2: 0.0}
