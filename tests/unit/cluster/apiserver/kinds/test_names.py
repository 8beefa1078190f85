"""What a name may look like, and how a wrong one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.cluster.apiserver.kinds import names

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (names.label, "web-1"),
        (names.label, "a" * 63),
        (names.subdomain, "a.b-c.d"),
        (names.qualified, "app"),
        (names.qualified, "example.com/My_name.1"),
        (names.label_value, ""),
        (names.config_key, ".a"),
        (names.environment_variable, "my.VAR-1 x"),
        (names.port_name, "http2"),
        (names.path_segment, "system:node"),
        (names.wildcard, "*.example.com"),
    ],
)
def test_a_name_that_is_fine(check: Callable[[str], list[str]], text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(
    ("check", "text", "complaint"),
    [
        (names.label, "a.b", "must not contain dots"),
        (names.label, "a" * 64, "must be no more than 63 characters"),
        (names.label, "-a", "a lowercase RFC 1123 label must consist of"),
        (names.label_1035, "1a", "a DNS-1035 label must consist of"),
        (names.subdomain, "a" * 254, "must be no more than 253 characters"),
        (names.qualified, "a/b/c", "a valid label key must consist of"),
        (names.qualified, "/b", "prefix part must be non-empty"),
        (names.qualified, "a/", "name part must be non-empty"),
        (names.qualified, "A/b", "prefix part a lowercase RFC 1123 subdomain"),
        (names.qualified, "a" * 64, "name part must be no more than 63 bytes"),
        (names.label_value, "-", "a valid label must be an empty string or consist of"),
        (names.config_key, "..", "must not be '..'"),
        (names.config_key, "..a", "must not start with '..'"),
        (names.environment_variable, "A=B", "a valid environment variable name"),
        (names.environment_variable, "ü", "a valid environment variable name"),
        (names.port_name, "1234", "must contain at least one letter (a-z)"),
        (names.port_name, "a--b", "must not contain consecutive hyphens"),
        (names.port_name, "a" * 16, "must be no more than 15 characters"),
        (names.path_segment, "..", "may not be '..'"),
        (names.wildcard, "example.com", "a wildcard DNS-1123 subdomain must start with '*.'"),
    ],
)
def test_a_name_that_is_refused(check: Callable[[str], list[str]], text: str, complaint: str) -> None:
    assert check(text)[0].startswith(complaint)


def test_a_line_break_at_the_end_is_not_overlooked() -> None:
    assert all(check("web\n") for check in (names.label, names.subdomain, names.qualified, names.label_value))
