from __future__ import annotations

import base64
import random
import string

import pytest

from seatrial.pipeline.workflow.mask import Masker, Stream

SECRET = "s3cr3t/va+lue-of-some=length"


def lines(masker: Masker, *given: str) -> list[str]:
    stream = Stream(masker)
    return [shown for line in given for shown in stream.push(line)] + stream.end()


def test_a_secret_is_masked_wherever_it_stands() -> None:
    masker = Masker([SECRET, "pin"])
    assert masker.mask(f"a {SECRET} b {SECRET}{SECRET}") == "a *** b ***"
    assert masker.mask("the pin is") == "the *** is"


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 11, 20])
def test_a_secret_spread_over_lines_shows_less_than_three_characters(width: int) -> None:
    pieces = [f"  {SECRET[place : place + width]} " for place in range(0, len(SECRET), width)]
    shown = lines(Masker([SECRET]), "before", *pieces, "after")
    assert (shown[0], shown[-1]) == ("before", "after")
    left = "".join(line.replace("*", "").strip() for line in shown[1:-1])
    assert len(left) < 3, shown


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "some text "])
@pytest.mark.parametrize("width", [8, 19, 76, 1000])
def test_a_secret_in_base64_is_masked(before: str, width: int) -> None:
    encoded = base64.b64encode(f"{before}{SECRET} tail".encode()).decode()
    pieces = [encoded[place : place + width] for place in range(0, len(encoded), width)]
    shown = "".join(lines(Masker([SECRET]), *pieces))
    clear = base64.b64decode("".join(c for c in shown.replace("***", "") if c in string.printable) + "===")
    assert b"cr3t" not in clear
    assert all(encoded[at : at + 7] not in shown for at in range(len(before) * 8 // 6 + 2, len(encoded) - 16))


def test_other_ways_to_write_it_are_masked() -> None:
    masker = Masker([SECRET, 'with "quotes"\nand lines'])
    assert "va" not in masker.mask("s3cr3t%2Fva%2Blue-of-some%3Dlength")
    assert "73337" not in masker.mask(SECRET.encode().hex())
    assert masker.mask("x and lines y") == "x *** y"
    assert masker.mask('"with \\"quotes\\"\\nand lines"') == '"***"'


def test_a_line_that_may_be_the_beginning_waits_for_the_next() -> None:
    stream = Stream(Masker(["password"]))
    assert stream.push("it is pass") == []
    assert stream.push("ing by") == ["it is pass", "ing by"]
    assert stream.push("it is pass") == []
    assert stream.push("word.") == ["it is ***", "***."]
    assert stream.push("pass") == []
    assert stream.end() == ["pass"]


def test_lines_come_out_as_they_went_in_without_a_secret() -> None:
    source = random.Random(7)
    given = ["".join(source.choice("abcde \t") for _ in range(source.randrange(30))) for _ in range(500)]
    assert lines(Masker(["edcbaedcba"]), *given) == given
    assert lines(Masker([]), *given) == given


def test_a_value_learnt_later_is_masked_from_then_on() -> None:
    masker = Masker([])
    stream = Stream(masker)
    assert stream.push("tokentoken") == ["tokentoken"]
    masker.add("tokentoken")
    assert stream.push("tokentoken") + stream.end() == ["***"]
