"""docker.io's names are the instance's registry's; all others stay what they are."""

from __future__ import annotations

import pytest

from seatrial.pipeline.images import names
from seatrial.pipeline.images.names import InvalidName, Registry

REGISTRY = Registry("127.0.0.1:5000")


@pytest.mark.parametrize(
    ("given", "full", "there"),
    [
        ("python:3.11", "docker.io/library/python:3.11", "127.0.0.1:5000/library/python:3.11"),
        ("huynhduc0/x", "docker.io/huynhduc0/x:latest", "127.0.0.1:5000/huynhduc0/x:latest"),
        ("index.docker.io/a/b:1", "docker.io/a/b:1", "127.0.0.1:5000/a/b:1"),
        (f"a/b@sha256:{'0' * 64}", f"docker.io/a/b@sha256:{'0' * 64}", f"127.0.0.1:5000/a/b@sha256:{'0' * 64}"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ("localhost:5000/b:1", "localhost:5000/b:1", "localhost:5000/b:1"),
    ],
)
def test_a_name_and_its_place(given: str, full: str, there: str) -> None:
    name = names.parse(given)
    assert (str(name), names.place(name, REGISTRY).reference) == (full, there)


def test_without_a_registry_docker_io_is_docker_io() -> None:
    place = names.place(names.parse("a/b:1"), None)
    assert (place.reference, place.plain_http) == ("docker.io/a/b:1", False)


@pytest.mark.parametrize("registry", ["127.0.0.1:5000", "localhost:80", "[::1]:5000", "127.8.0.1"])
def test_loopback_speaks_plain_http(registry: str) -> None:
    assert names.is_loopback(registry)


def test_a_host_that_only_looks_like_loopback_speaks_tls() -> None:
    assert not names.is_loopback("localhost.example.com:5000")


@pytest.mark.parametrize("text", ["", "--tls-verify=false", "a b", "Big/Case", "x:y;z", "a/b@sha256:12"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        names.parse(text)
