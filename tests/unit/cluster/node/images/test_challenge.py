"""What a registry asks for with 401, and where a password may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.cluster.node.images import challenge
from seatrial.cluster.node.images.challenge import Challenge
from seatrial.cluster.node.images.endpoint import Registries
from seatrial.cluster.node.images.errors import PullFailed, PullRefused


def test_a_bearer_challenge_has_its_parameters() -> None:
    asked = challenge.parse(['Bearer realm="https://auth.io/token",service="r.io",scope="repository:a/b:pull,push"'])
    assert asked is not None
    assert asked.scheme == "bearer"
    assert asked.token_url(False, "a/b") == (
        "https://auth.io/token?scope=repository%3Aa%2Fb%3Apull%2Cpush&service=r.io"
    )


def test_a_token_is_preferred_to_the_password() -> None:
    both = 'Basic realm="r", Bearer realm="https://a/t", service=x'
    for headers in ([both], both.split(", ", 1)):
        asked = challenge.parse(headers)
        assert asked is not None
        assert (asked.scheme, asked.parameters["realm"]) == ("bearer", "https://a/t")


def test_the_scope_defaults_to_a_pull_of_the_repository() -> None:
    assert "repository%3Aa%2Fb%3Apull" in Challenge("bearer", {"realm": "https://a/t?x=1"}).token_url(False, "a/b")


@pytest.mark.parametrize("realm", ["http://auth.io/token", "ftp://a", "", "https://", "file:///etc/passwd"])
def test_a_password_for_a_registry_with_tls_goes_nowhere_else_in_the_open(realm: str) -> None:
    with pytest.raises(PullRefused):
        Challenge("bearer", {"realm": realm}).token_url(False, "a/b")


@given(st.text(max_size=200))
def test_any_header_is_parsed_or_ignored(header: str) -> None:
    challenge.parse([header])


def test_a_token_lasts_as_long_as_it_says_less_a_margin() -> None:
    assert challenge.read_token(b'{"access_token": "t", "expires_in": 100}', 5.0).expires == 95.0
    assert challenge.read_token(b'{"token": "t"}', 0.0).expires == pytest.approx(54.0)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 3}', b'{"token": "a\\nb"}'])
def test_an_answer_without_a_token_is_a_failed_pull(body: bytes) -> None:
    with pytest.raises(PullFailed):
        challenge.read_token(body, 0.0)


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.9:5000", "http://127.0.0.9:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("localhost:443", "https://localhost:443"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
        ("plain.example.com", "http://plain.example.com"),
        ("127.0.0.1.example.com", "https://127.0.0.1.example.com"),
    ],
)
def test_only_loopback_and_named_registries_speak_plain_http(registry: str, url: str) -> None:
    assert Registries(plain=frozenset({"plain.example.com"})).endpoints(registry)[-1].url == url


def test_mirrors_are_asked_first_under_their_own_name() -> None:
    mirror, own = Registries(mirrors={"docker.io": ("http://127.0.0.1:5000/",)}).endpoints("docker.io")
    assert (mirror.url, mirror.registry) == ("http://127.0.0.1:5000", "127.0.0.1:5000")
    assert own.registry == "docker.io"
