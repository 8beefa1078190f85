"""Pull secrets: read, matched most specific first, and errors that name the secret."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from seatrial.cluster.node.images import credentials
from seatrial.cluster.node.images.credentials import BadPullSecret, Credential


def packed(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def secret(auths: Any, name: str = "pull") -> dict[str, Any]:
    config = base64.b64encode(orjson.dumps({"auths": auths})).decode()
    return {
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": name, "namespace": "default"},
        "data": {".dockerconfigjson": config},
    }


def users(auths: dict[str, str], name: str) -> list[str]:
    keyring = credentials.from_secrets([secret({key: {"auth": packed(user, "x")} for key, user in auths.items()})])
    return [credential.username for credential in keyring.lookup(name)]


@pytest.mark.parametrize(
    ("key", "name", "fits"),
    [
        ("ghcr.io", "ghcr.io/a/b", True),
        ("ghcr.io", "quay.io/a/b", False),
        ("https://index.docker.io/v1/", "docker.io/library/busybox", True),
        ("docker.io", "docker.io/a/b", True),
        ("https://ghcr.io/v2/", "ghcr.io/a/b", True),
        ("*.example.com", "r.example.com/a", True),
        ("*.example.com", "a.b.example.com/a", False),
        ("reg*.example.com", "registry.example.com/a", True),
        ("localhost:5000", "localhost:5000/a", True),
        ("localhost:5000", "localhost:5001/a", False),
        ("localhost", "localhost:5000/a", True),
        ("quay.io/team", "quay.io/team/app", True),
        ("quay.io/team", "quay.io/teamwork/app", False),
        ("http://plain:80/a/", "plain:80/a/b", True),
    ],
)
def test_a_key_fits_hosts_ports_and_path_prefixes(key: str, name: str, fits: bool) -> None:
    assert users({key: "me"}, name) == (["me"] if fits else [])


def test_the_most_specific_key_goes_first_and_the_others_are_tried_after_it() -> None:
    keys = {"quay.io": "host", "quay.io/team/app": "repository", "quay.io/team": "team", "*.io": "any"}
    assert users(keys, "quay.io/team/app") == ["repository", "team", "host", "any"]


def test_user_and_password_may_stand_apart() -> None:
    keyring = credentials.from_secrets([secret({"r.io": {"username": "u", "password": "p:q"}})])
    assert keyring.lookup("r.io/a") == (Credential("u", "p:q"),)


def test_the_legacy_form_has_no_auths() -> None:
    data = base64.b64encode(orjson.dumps({"r.io": {"auth": packed("u", "p:q")}})).decode()
    legacy = {"type": "kubernetes.io/dockercfg", "metadata": {"name": "x"}, "data": {".dockercfg": data}}
    assert credentials.from_secrets([legacy]).lookup("r.io/a") == (Credential("u", "p:q"),)


def test_other_secrets_say_nothing() -> None:
    assert credentials.from_secrets([{"type": "Opaque", "metadata": {"name": "x"}}]).entries == ()


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "kubernetes.io/dockerconfigjson", "metadata": {"name": "pull", "namespace": "default"}, "data": {}},
        secret([]),
        secret({"r.io": "text"}),
        secret({"r.io": {"auth": "***"}}),
        secret({"r.io": {"auth": base64.b64encode(b"nocolon").decode()}}),
    ],
)
def test_a_broken_secret_is_named(broken: dict[str, Any]) -> None:
    with pytest.raises(BadPullSecret, match="secret default/pull"):
        credentials.from_secrets([broken])


def test_a_password_is_not_printed() -> None:
    assert "hunter2" not in repr(Credential("u", "hunter2"))
