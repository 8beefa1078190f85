"""One event, one line, no secrets, and nothing that strangers can write."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest

from seatrial.base import log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_fields_come_after_the_message(written: io.StringIO) -> None:
    logging.getLogger("seatrial.test").warning("disk is full", extra={"path": "/data", "free": 0})
    assert written.getvalue().endswith("WARNING seatrial.test disk is full path=/data free=0\n")


@pytest.mark.parametrize("field", ["token", "admin_token", "password", "Authorization", "private_key"])
def test_secrets_are_masked_by_the_name_of_their_field(written: io.StringIO, field: str) -> None:
    logging.getLogger("seatrial.test").warning("seen", extra={field: "abc"})
    assert f"{field}=***" in written.getvalue()
    assert "abc" not in written.getvalue()


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x1b[31mb", "a\u2028b", "a b"])
def test_a_value_cannot_end_its_line_or_colour_the_terminal(written: io.StringIO, text: str) -> None:
    logging.getLogger("seatrial.test").warning("seen", extra={"path": text})
    assert repr(text) in written.getvalue()
    assert len(written.getvalue().splitlines()) == 1


def test_nonsense_from_strangers_fills_no_log(written: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert written.getvalue() == ""
