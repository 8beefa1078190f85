"""Quantities: exact values and the spelling the API prints."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.kube.model import quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", Fraction(0)),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("1.", Fraction(1)),
        ("+3", Fraction(3)),
        ("-1500m", Fraction(-3, 2)),
        ("250m", Fraction(1, 4)),
        ("7u", Fraction(7, 10**6)),
        ("9n", Fraction(9, 10**9)),
        ("1k", Fraction(1000)),
        ("2E", Fraction(2 * 10**18)),
        ("1e3", Fraction(1000)),
        ("1E3", Fraction(1000)),
        ("12e-2", Fraction(12, 100)),
        ("1.5Gi", Fraction(3 * 2**29)),
        ("1Ei", Fraction(2**60)),
        (2, Fraction(2)),
        (0.1, Fraction(1, 10)),
    ],
)
def test_parse_is_exact(text: str | float, expected: Fraction) -> None:
    assert quantity.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1KI", "1ki", "1K", "Mi", "1mi", "1e", "1e1.5", "1.2.3", ".", "-", "1Gi1", "0x1", "١"],
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantit"):
        quantity.parse(text)


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), None, [1]])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a quantity is a number or a string"):
        quantity.parse(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["1e999999999", "1e-9999", "9" * 100])
def test_absurd_sizes_are_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", "500m"),
        ("1024Ki", "1Mi"),
        ("1500m", "1500m"),
        ("1000m", "1"),
        ("1e3", "1e3"),
        ("10e2", "1e3"),
        ("1e0", "1"),
        ("1000", "1k"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("2048Mi", "2Gi"),
        ("1000Ki", "1000Ki"),
        ("0.5Ki", "512"),
        ("0.0005Ki", "512m"),
        ("1.1Ki", "1126400m"),
        ("0Gi", "0"),
        ("-0.25", "-250m"),
        ("-2048Ki", "-2Mi"),
        ("0.1n", "1n"),
        ("1000000000000000000000", "1000E"),
        ("9Ei", str(2**63 - 1)),
        (0.25, "250m"),
        (128, "128"),
        (1000, "1k"),
    ],
)
def test_canonical_form(text: str | float, expected: str) -> None:
    assert quantity.canonical(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("1", 1000), ("250m", 250), ("0.1u", 1), ("-0.1u", -1), (0.1, 100)])
def test_milli_rounds_away_from_zero(text: str | float, expected: int) -> None:
    assert quantity.milli(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("1Gi", 2**30), ("500m", 1), ("1001m", 2), ("-500m", -1)])
def test_value_rounds_away_from_zero(text: str, expected: int) -> None:
    assert quantity.value(text) == expected


texts = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "+", "-"]),
    st.one_of(
        st.integers(0, 10**12).map(str),
        st.decimals(min_value=0, max_value=10**6, places=6, allow_nan=False).map(lambda number: f"{number:f}"),
    ),
    st.sampled_from(
        ["", *"numkMGTPE", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E0", "e-3", "e+2"],
    ),
)


@given(texts)
def test_canonical_keeps_the_value(text: str) -> None:
    assert quantity.parse(quantity.canonical(text)) == quantity.parse(text)


@given(texts)
def test_canonical_is_stable(text: str) -> None:
    once = quantity.canonical(text)
    assert quantity.canonical(once) == once


@given(texts)
def test_milli_is_the_least_that_covers(text: str) -> None:
    exact = abs(quantity.parse(text) * 1000)
    assert exact <= abs(quantity.milli(text)) < exact + 1


@given(st.integers(-(10**15), 10**15))
def test_equal_numbers_of_one_family_print_alike(number: int) -> None:
    assert quantity.canonical(f"{number * 1000}m") == quantity.canonical(str(number))
