"""What a message of the queue may say."""

from __future__ import annotations

import pytest

from testops_consumer.messages import Poisonous, Reminder, read


def test_a_reminder_is_read_as_it_was_written():
    reminder = Reminder(7, 2**63 - 1)
    assert read(reminder.value) == reminder
    assert reminder.key == b"7"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"", "empty"),
        (None, "empty"),
        (b'{"run": 1}', "`case`"),
        (b'{"run": true, "case": 1}', "`run`"),
        (b'{"run": 0, "case": 1}', "`run`"),
        (b'{"run": 1, "case": 99999999999999999999}', "`case`"),
        (b'{"run": 1, "case": 1, "x": "%s"}' % (b"x" * 2000), "at most 1024"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 1000, "not JSON"),
    ],
)
def test_anything_else_is_poisonous_and_the_reason_is_told(value, reason):
    with pytest.raises(Poisonous, match=reason):
        read(value)
