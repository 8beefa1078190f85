"""Ranges as the library of Helm and Argo CD reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.gitops.sources import semver
from seatrial.gitops.sources.semver import Range, Version

_CASES = {
    "^1.2.3": ("1.2.3 1.9.0", "1.2.2 2.0.0 1.3.0-rc.1"),
    "^0.2.3": ("0.2.3 0.2.9", "0.3.0 1.2.3"),
    "^0.0.3": ("0.0.3", "0.0.4 0.1.3"),
    "^0": ("0.0.1 0.9.0", "1.0.0"),
    "~1.2.3": ("1.2.3 1.2.9", "1.3.0 1.2.2"),
    "~1": ("1.0.0 1.9.9", "2.0.0"),
    "~>1.2": ("1.2.0 v1.2.7", "1.3.0"),
    "1.x": ("1.0.0 1.99.0", "2.0.0 0.9.0 1.1.0-alpha"),
    "1.2.*": ("1.2.0 1.2.9", "1.3.0"),
    "*": ("0.0.0 9.9.9", "1.0.0-alpha"),
    ">=1.0, <2": ("1.0.0 1.9.9", "2.0.0 0.9.0"),
    ">1.2": ("1.3.0 2.0.0", "1.2.0 1.2.9"),
    "<=1.2": ("1.2.0 1.2.9 0.1.0", "1.3.0"),
    "!=1.2.x": ("1.3.0 2.2.0", "1.2.0 1.2.9"),
    "=1.2.3": ("1.2.3 v1.2.3+build", "1.2.4"),
    "1.2 - 2.3.4": ("1.2.0 2.3.4", "1.1.9 2.3.5"),
    "1.x || >=3": ("1.5.0 3.0.0", "2.0.0"),
    ">=1.0.0-0": ("1.0.0 1.1.0-alpha 2.0.0-rc.1", "0.9.0"),
    "~1.2.0-beta": ("1.2.0-beta 1.2.0-rc.1 1.2.4", "1.2.0-alpha 1.3.0"),
}


@pytest.mark.parametrize("text", _CASES)
def test_what_is_within_and_what_is_not(text: str) -> None:
    inside, outside = _CASES[text]
    found = Range(text)
    assert [one for one in inside.split() if not found.matches(Version.parse(one))] == []
    assert [one for one in outside.split() if found.matches(Version.parse(one))] == []


@pytest.mark.parametrize("text", ["", "main", ">=", "1.2.3.4", "^^1", "1.2 -", ">=1<2", "1.x |", "x" * 600, "1||" * 40])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="version"):
        Range(text)


@pytest.mark.parametrize("text", ["1", "1.2", "v1.2.3", "1.2.3-rc.1+b"])
def test_an_exact_version_is_no_range(text: str) -> None:
    assert semver.range_of(text) is None


@pytest.mark.parametrize("text", ["1.2.3-01", "99999999999999999999.0.0", "1.2.3.4", "", "a", "1.2.3-"])
def test_what_is_no_version(text: str) -> None:
    assert semver.parsed(text) is None


def test_precedence_is_that_of_the_specification() -> None:
    below = ["alpha", "alpha.1", "alpha.beta", "beta", "beta.2", "beta.11", "rc.1"]
    order = [*(f"1.0.0-{pre}" for pre in below), "1.0.0"]
    assert sorted(order, key=Version.parse) == order


def test_the_highest_keeps_its_spelling() -> None:
    assert Range("1.x").highest(["v1.2.0", "v1.10.0", "latest", "2.0.0", "1.11.0-rc.1"]) == "v1.10.0"
    assert Range("3.x").highest(["v1.2.0"]) is None


_NUMBER = st.integers(0, 4)
_VERSIONS = st.builds(
    lambda a, b, c, pre: Version.parse(f"{a}.{b}.{c}" + (f"-{pre}" if pre else "")),
    _NUMBER, _NUMBER, _NUMBER, st.sampled_from(["", "", "alpha", "rc.1", "1"]),
)  # fmt: skip


@given(_VERSIONS, _VERSIONS)
def test_comparisons_are_about_the_order(one: Version, other: Version) -> None:
    for operator, holds in ((">=", one >= other), (">", one > other), ("<", one < other), ("<=", one <= other)):
        expected = holds and (not one.pre or bool(other.pre))
        assert Range(f"{operator}{other.text}").matches(one) is expected


@given(_VERSIONS, _VERSIONS)
def test_a_caret_and_a_tilde_are_between_bounds(one: Version, base: Version) -> None:
    a, b, c = base.numbers
    after = f"{a + 1}.0.0" if a else (f"0.{b + 1}.0" if b else f"0.0.{c + 1}")
    plain = Version(".".join(map(str, base.numbers)), base.numbers, "")
    if not one.pre:
        assert Range(f"^{plain.text}").matches(one) is Range(f">={plain.text}, <{after}").matches(one)
        if any(base.numbers):
            assert Range(f"~{plain.text}").matches(one) is Range(f">={plain.text} <{a}.{b + 1}.0").matches(one)


@given(st.text("0123.xX*~^<>=!| ,-v+a", max_size=20), _VERSIONS)
def test_any_text_is_a_range_or_refused(text: str, version: Version) -> None:
    found = semver.range_of(text)
    assert found is None or isinstance(found.matches(version), bool)
