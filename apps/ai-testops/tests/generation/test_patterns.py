"""Texts for regular expressions: of the length that is wanted, proven by the validator, without searching."""

from __future__ import annotations

import time

import pytest

from generation.patterns import is_tame, proposals
from generation.schemas import Unbuildable, fits


def matching(pattern: str, length: int) -> list[str]:
    return [text for text in proposals(pattern, length) if fits({"type": "string", "pattern": pattern}, text)]


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("^[A-Z]{3}-[0-9]{4}$", 8),
        ("^[a-z]{2,8}$", 2),
        ("^[a-z]{2,8}$", 8),
        (r"^\d{3}(-\d{2})?$", 3),
        (r"^\d{3}(-\d{2})?$", 6),
        ("^(cat|horse)$", 3),
        ("^(cat|horse)$", 5),
        ("^[a-z]+(-[a-z]+)*$", 20),
        (r"^[^\s@]+@[^\s@]+\.[^\s@]+$", 30),
        (r"^\w+$", 12),
        (r"^\S+ \S+$", 10),
        (r"^\D\W\s$", 3),
        ("^.{5}$", 5),
        ("^x", 7),
        ("y$", 4),
        ("b", 3),
        ("^[^a]b$", 2),
        ("^(?:ab)+$", 8),
        ("^(?P<one>a|b)c$", 2),
        (r"^(ab)\1$", 4),
        ("^a*?b$", 5),
        ("^[0-9a-f]{8}-[0-9a-f]{4}$", 13),
        ("^[ä-ü]{2}$", 2),
        ("^[äö]$", 1),
        ("^#[0-9A-Fa-f]{6}$", 7),
        ("^(?!b)a$", 1),
        ("^$", 0),
        ("", 4),
    ],
)
def test_a_text_of_that_length_is_written(pattern: str, length: int) -> None:
    assert length in {len(text) for text in matching(pattern, length)}


def test_where_the_expression_allows_no_such_length_the_text_is_what_it_allows() -> None:
    assert {len(text) for text in matching("^[A-Z]{3}$", 6)} == {3}


@pytest.mark.parametrize("pattern", ["(", "[a-", "a{5000}{5000}x" * 100, "x" * 301, r"\p{L}+"])
def test_an_expression_that_cannot_be_read_is_said_to_be(pattern: str) -> None:
    with pytest.raises(Unbuildable, match="its pattern is"):
        list(proposals(pattern, 5))


@pytest.mark.parametrize(
    "pattern",
    [
        "^" + "(" * 50 + "a" + "+)" * 50 + "$",
        "a{9999}",
        "(a{4999}){4999}",
        "((){4999}){4999}",
        r"[^\s\S]",
        r"[^\x00-\U0010ffff]",
    ],
)
def test_an_expression_out_of_all_proportion_takes_no_time(pattern: str) -> None:
    started = time.monotonic()

    list(proposals(pattern, 100))

    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("pattern", "tame"),
    [
        ("^[A-Z]{3}-[0-9]{4}$", True),
        ("^[a-z]+(-[a-z]{1,9})?$", True),
        ("^(a|b)+$", True),
        ("^(a+)+$", False),
        ("^(a|a+)*$", False),
        ("^(?:(?=a+)b)*$", False),
        ("^(?>a+)*$", False),
        (r"^(a+)\1$", False),
        ("a*a*a*a*a*b", False),
        ("(", False),
    ],
)
def test_which_expressions_a_backtracking_matcher_may_have(pattern: str, tame: bool) -> None:
    assert is_tame(pattern) is tame
