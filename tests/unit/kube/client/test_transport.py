"""How parameters of a request are read."""

from __future__ import annotations

import pytest

from seatrial.kube.client.transport import Request


@pytest.mark.parametrize("spelling", ["true", "True", "TRUE", "1", "yes", ""])
def test_every_other_spelling_is_a_yes(spelling: str) -> None:
    assert Request("GET", "/", [("watch", spelling)]).flag("watch") is True


@pytest.mark.parametrize("spelling", ["false", "False", "0"])
def test_false_and_zero_are_a_no(spelling: str) -> None:
    assert Request("GET", "/", [("watch", spelling)]).flag("watch") is False


def test_a_flag_that_is_not_given_is_neither() -> None:
    assert Request("GET", "/", [("other", "true")]).flag("watch") is None
