"""Who we are to a registry: pull secrets and Docker configuration files, matched as Kubernetes matches them (pure).

A key of `auths` is a host, optionally with a port and a path: `ghcr.io`, `*.example.com`, `quay.io/team`,
`https://index.docker.io/v1/`. The host may have `*` in any of its labels, the path is a prefix. More specific keys go
first; every match is tried, so that secrets can be rotated.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.node.images.errors import PullRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_DOCKER_CONFIG = "kubernetes.io/dockerconfigjson"
_DOCKER_LEGACY = "kubernetes.io/dockercfg"
_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


class BadPullSecret(PullRefused):
    """A pull secret cannot be read."""


@dataclass(frozen=True, slots=True)
class Credential:
    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class _Entry:
    host: str
    port: str
    path: str
    credential: Credential

    def matches(self, host: str, port: str, path: str) -> bool:
        same_host = host in _HUB if self.host in _HUB else _labels_match(self.host, host)
        return same_host and self.port in ("", port) and _is_prefix(self.path, path)


@dataclass(frozen=True, slots=True)
class Keyring:
    entries: tuple[_Entry, ...] = ()

    def lookup(self, name: str) -> tuple[Credential, ...]:
        """The credentials for `registry/repository`, the most specific first, each once."""
        address, _, path = name.partition("/")
        host, port = _split_port(address)
        found = [entry for entry in self.entries if entry.matches(host, port, path)]
        found.sort(key=lambda entry: (len(entry.path), bool(entry.port), "*" not in entry.host), reverse=True)
        return tuple(dict.fromkeys(entry.credential for entry in found))

    def __add__(self, other: Keyring) -> Keyring:
        return Keyring(self.entries + other.entries)


def from_secrets(secrets: Iterable[Mapping[str, Any]]) -> Keyring:
    """The keyring of a pod's imagePullSecrets; secrets of other types say nothing. Raises BadPullSecret."""
    keyring = Keyring()
    for secret in secrets:
        metadata, data = secret.get("metadata", {}), secret.get("data") or {}
        where = f"secret {metadata.get('namespace', '')}/{metadata.get('name', '')}"
        if secret.get("type") == _DOCKER_CONFIG:
            keyring += from_docker_config(_decoded(data, ".dockerconfigjson", where), where)
        elif secret.get("type") == _DOCKER_LEGACY:
            keyring += _from_auths(_parsed(_decoded(data, ".dockercfg", where), where), where)
    return keyring


def from_docker_config(text: bytes, where: str) -> Keyring:
    """The keyring of a `config.json` as `docker login` writes it. Raises BadPullSecret."""
    auths = _parsed(text, where).get("auths", {})
    if not isinstance(auths, dict):
        raise BadPullSecret(f"{where}: auths must be an object of registries")
    return _from_auths(auths, where)


def of_machine(path: Path | None) -> Keyring:
    """The keyring of a file that need not be there; one that cannot be read opens nothing."""
    if path is None:
        return Keyring()
    try:
        return from_docker_config(path.read_bytes(), str(path))
    except (OSError, BadPullSecret):
        return Keyring()


def _decoded(data: Mapping[str, Any], key: str, where: str) -> bytes:
    try:
        return base64.b64decode(str(data[key]), validate=True)
    except KeyError:
        raise BadPullSecret(f"{where}: data has no key {key!r}") from None
    except binascii.Error as error:
        raise BadPullSecret(f"{where}: data[{key!r}] is not base64") from error


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadPullSecret(f"{where}: the Docker configuration is not JSON") from error
    if not isinstance(document, dict):
        raise BadPullSecret(f"{where}: the Docker configuration is not a JSON object")
    return document


def _from_auths(auths: dict[str, Any], where: str) -> Keyring:
    entries = []
    for key, auth in auths.items():
        credential = _credential(auth, f"{where}: auths[{key!r}]")
        if credential is not None:
            entries.append(_Entry(*_split_key(key), credential))
    return Keyring(tuple(entries))


def _credential(auth: Any, where: str) -> Credential | None:
    """`auth` is base64 of `user:password` and wins over the two fields; an entry without either says nothing."""
    if not isinstance(auth, dict):
        raise BadPullSecret(f"{where} must be an object")
    packed = auth.get("auth")
    if packed:
        try:
            username, colon, password = base64.b64decode(str(packed), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise BadPullSecret(f"{where}.auth is not base64 of user:password") from error
        if not colon:
            raise BadPullSecret(f"{where}.auth is not base64 of user:password")
        return Credential(username, password.rstrip("\0"))
    if auth.get("username"):
        return Credential(str(auth["username"]), str(auth.get("password") or ""))
    return None


def _split_key(key: str) -> tuple[str, str, str]:
    """Host, port and path of a key; `/v1/` and `/v2/` are the registry's API and no part of a repository."""
    bare = key.removeprefix("https://").removeprefix("http://")
    address, _, path = bare.partition("/")
    if path in ("v1", "v2"):
        path = ""
    for version in ("v1/", "v2/"):
        path = path.removeprefix(version)
    return (*_split_port(address), path.strip("/"))


def _split_port(address: str) -> tuple[str, str]:
    host, colon, port = address.rpartition(":")
    return (host, port) if colon and port.isdigit() else (address, "")


def _labels_match(pattern: str, host: str) -> bool:
    """Label by label: `*.example.com` is not `a.b.example.com`."""
    patterns, labels = pattern.split("."), host.split(".")
    return len(patterns) == len(labels) and all(map(fnmatch.fnmatchcase, labels, patterns))


def _is_prefix(prefix: str, path: str) -> bool:
    return not prefix or path == prefix or path.startswith(f"{prefix}/")
