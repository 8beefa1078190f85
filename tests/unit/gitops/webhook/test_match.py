"""Which sources a push concerns."""

from __future__ import annotations

import pytest

from seatrial.gitops.api.source import Source
from seatrial.gitops.webhook import match
from seatrial.gitops.webhook.push import Push


def _push(ref: str = "refs/heads/main", *urls: str, head: bool = True) -> Push:
    return Push(urls or ("https://git.example.com/acme/shop",), ref, "a", "b", touches_head=head)


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/acme/shop",
        "https://git.example.com/acme/shop.git",
        "https://Git.Example.com/Acme/Shop.git",
        "http://git.example.com:8080/acme/shop",
        "https://user@git.example.com/acme/shop",
        "git@git.example.com:acme/shop.git",
        "ssh://git@git.example.com:22/acme/shop.git",
        "ssh://git@ssh.git.example.com:443/acme/shop",
    ],
)
def test_every_spelling_of_the_repository_is_meant(url: str) -> None:
    assert match.concerns(_push(), Source(url))


@pytest.mark.parametrize(
    "url", ["https://git.example.com/acme/shop2", "https://other.com/acme/shop", "https://git.example.com/shop", ""]
)
def test_other_repositories_are_not(url: str) -> None:
    assert not match.concerns(_push(), Source(url))


@pytest.mark.parametrize(
    ("ref", "head", "revision", "expected"),
    [
        ("refs/heads/main", True, "", True),
        ("refs/heads/main", True, "HEAD", True),
        ("refs/heads/side", False, "HEAD", False),
        ("refs/heads/side", False, "side", True),
        ("refs/heads/side", False, "refs/heads/side", True),
        ("refs/tags/side", False, "refs/heads/side", False),
        ("refs/heads/team/side", False, "team/side", True),
        ("refs/heads/team/side", False, "side", False),
        ("refs/tags/v1.2.3", False, "v1.2.3", True),
        ("refs/tags/v1.2.3", False, "1.x", True),
        ("refs/tags/v2.0.0", False, "1.x", False),
        ("refs/tags/v1.3.0-rc.1", False, "1.x", False),
        ("refs/heads/main", True, "a" * 40, False),
    ],
)
def test_the_ref_must_be_what_the_revision_may_mean(ref: str, head: bool, revision: str, expected: bool) -> None:
    source = Source("https://git.example.com/acme/shop", target_revision=revision)
    assert match.concerns(_push(ref, head=head), source) is expected


def test_a_tag_prefix_counts() -> None:
    source = Source.of({"repoURL": "https://git.example.com/acme/shop", "targetRevision": "1.x", "tagPrefix": "shop/"})
    assert match.concerns(_push("refs/tags/shop/v1.2.0"), source)
    assert not match.concerns(_push("refs/tags/cart/v1.2.0"), source)


def test_a_chart_is_not_of_git() -> None:
    assert not match.concerns(_push(), Source("https://git.example.com/acme/shop", chart="shop"))
