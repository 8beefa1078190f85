"""Errors as clients see them."""

from __future__ import annotations

from seatrial.kube.model import status


def test_of_very_many_problems_the_first_hundred_are_told() -> None:
    causes = [status.required(f"spec.items[{index}]") for index in range(5_000)]
    error = status.invalid("", "ConfigMap", "big", causes)
    assert len(error.details["causes"]) == status.MAX_CAUSES
    assert error.message.endswith("spec.items[99]: Required value, and 4900 more]")


def test_when_to_try_again_is_said_only_if_the_server_knows() -> None:
    """A client that reads "after 0 seconds" tries ten times in a row."""
    assert status.too_many_requests("slow down", 3).details == {"retryAfterSeconds": 3}
    assert "retryAfterSeconds" not in status.too_many_requests("not now", 0).details
