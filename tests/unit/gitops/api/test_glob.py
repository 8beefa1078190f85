"""Globs and repository URLs, as Argo CD reads them."""

from __future__ import annotations

import pytest

from seatrial.gitops.api import duration, glob, repositoryurl


@pytest.mark.parametrize(
    ("pattern", "text", "separator", "expected"),
    [
        ("*", "anything/at/all", "", True),
        ("team-*", "team-a", "", True),
        ("team-*", "other", "", False),
        ("https://git/*", "https://git/a", "/", True),
        ("https://git/*", "https://git/a/b", "/", False),
        ("https://git/**", "https://git/a/b", "/", True),
        ("{*.yaml,*.yml}", "a.yml", "", True),
        ("{*.yaml,*.yml}", "a.json", "", False),
        ("a?c", "abc", "", True),
        ("[a-c]x", "bx", "", True),
        ("[!a-c]x", "bx", "", False),
        ("a.b", "axb", "", False),
        ("[unclosed", "[unclosed", "", False),
        ("{unclosed", "{unclosed", "", False),
        ("x" * 5000, "x" * 5000, "", False),
    ],
)
def test_matches(pattern: str, text: str, separator: str, expected: bool) -> None:
    assert glob.matches(pattern, text, separator) is expected


def test_a_denying_pattern_admits_everything_else() -> None:
    assert glob.admits("!kube-*", "default")
    assert not glob.admits("!kube-*", "kube-system")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://Git.example.com/a/b.git", "https://git.example.com/a/b"),
        ("git@git.example.com:a/b.git", "ssh://git@git.example.com/a/b"),
    ],
)
def test_spellings_of_one_repository(one: str, other: str) -> None:
    assert repositoryurl.same(one, other)


@pytest.mark.parametrize(
    ("url", "prefix", "expected"),
    [
        ("https://git.example.com/a/b", "https://git.example.com", True),
        ("https://git.example.com/a/b", "https://git.example.com/", True),
        ("https://git.example.com.evil.org/a", "https://git.example.com", False),
        ("https://git.example.com/team-a/x", "https://git.example.com/team-", True),
        ("git@git.example.com:a/b", "git@git.example.com:a", True),
        ("https://git.example.com/a", "", False),
    ],
)
def test_a_prefix_never_ends_inside_a_host(url: str, prefix: str, expected: bool) -> None:
    assert repositoryurl.is_within(url, prefix) is expected


def test_a_shown_url_has_no_credentials() -> None:
    assert repositoryurl.shown("https://user:hunter2@git.example.com/a") == "https://git.example.com/a"


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("1.5s", 1.5), ("300ms", 0.3), ("7", 7)])
def test_durations(text: str, seconds: float) -> None:
    assert duration.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 m", "5mm", "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration.seconds(text)


@pytest.mark.parametrize(("seconds", "text"), [(5, "5s"), (180, "3m0s"), (3661, "1h1m1s"), (0.5, "0.5s")])
def test_shown_durations(seconds: float, text: str) -> None:
    assert duration.shown(seconds) == text
