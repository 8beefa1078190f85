"""Manifests, indexes and image configurations: JSON from a registry in, checked data out (pure).

OCI and Docker schema 2 differ only in their media types. Everything here comes from strangers, so each field that is
used later is checked now, and each message names it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from seatrial.cluster.node.images.digest import is_digest, of
from seatrial.cluster.node.images.errors import PullRefused
from seatrial.cluster.node.images.platform import Platform

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""What registries themselves accept."""
MAX_CONFIG_BYTES = 8 * 1024 * 1024
MAX_LAYERS = 128
"""One more than Docker builds; their names fit into the options page of a mount (see layers.py)."""
MAX_BLOB_BYTES = 64 * 1024**3

_T = TypeVar("_T")


class BadManifest(PullRefused):
    """What the registry or archive says about the image cannot be used."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Index:
    entries: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says about running it."""

    diff_ids: tuple[str, ...]
    architecture: str = ""
    os: str = ""
    created: str = ""
    user: str = ""
    working_directory: str = ""
    stop_signal: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def chain_ids(self) -> tuple[str, ...]:
        """For each layer the name of "this layer on top of those below" (OCI image specification)."""
        return tuple(itertools.accumulate(self.diff_ids, lambda below, diff: of(f"{below} {diff}".encode())))


def decode(body: bytes, media_type: str = "") -> Manifest | Index:
    """Raises BadManifest. `media_type` is the answer's Content-Type; the document's own mediaType goes first."""
    if len(body) > MAX_MANIFEST_BYTES:
        raise BadManifest(f"the manifest has {len(body)} bytes: at most {MAX_MANIFEST_BYTES} are read")
    document = _object(body, "manifest")
    kind = _get(document, "mediaType", str, "") or media_type.partition(";")[0].strip()
    if _get(document, "schemaVersion", int, 0) == 1:
        raise BadManifest(
            "the manifest has Docker's schema 1, which registries stopped serving: push the image again "
            "with a current tool"
        )
    if kind in (OCI_INDEX, DOCKER_LIST) or (kind not in ACCEPTED and "manifests" in document):
        return Index(tuple(_descriptor(entry, "manifests") for entry in _list(document, "manifests")))
    if "config" not in document or "layers" not in document:
        raise BadManifest(f"the manifest (media type {kind or 'unknown'!r}) has no config and layers: it is no image")
    return _manifest(document)


def _manifest(document: dict[str, Any]) -> Manifest:
    config = _descriptor(document["config"], "config")
    if config.media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        raise BadManifest(f"it is no container image but an artifact of type {config.media_type!r}")
    if config.size > MAX_CONFIG_BYTES:
        raise BadManifest(f"config.size is {config.size}: at most {MAX_CONFIG_BYTES} bytes are read")
    layers = tuple(_descriptor(entry, "layers") for entry in _list(document, "layers"))
    if len(layers) > MAX_LAYERS:
        raise BadManifest(f"the image has {len(layers)} layers: at most {MAX_LAYERS} can be mounted")
    return Manifest(config, layers)


def decode_config(body: bytes) -> ImageConfig:
    """Raises BadManifest."""
    document = _object(body, "image configuration")
    rootfs = _get(document, "rootfs", dict, {})
    diff_ids = tuple(_list(rootfs, "diff_ids"))
    if not all(is_digest(diff_id) for diff_id in diff_ids):
        raise BadManifest("the image configuration's rootfs.diff_ids are not all digests")
    run = _get(document, "config", dict, {})
    return ImageConfig(
        diff_ids=diff_ids,
        architecture=_get(document, "architecture", str, ""),
        os=_get(document, "os", str, ""),
        created=_get(document, "created", str, ""),
        user=_get(run, "User", str, ""),
        working_directory=_get(run, "WorkingDir", str, ""),
        stop_signal=_get(run, "StopSignal", str, ""),
        entrypoint=_strings(run, "Entrypoint"),
        command=_strings(run, "Cmd"),
        environment=_strings(run, "Env"),
        exposed_ports=tuple(_get(run, "ExposedPorts", dict, {})),
        volumes=tuple(_get(run, "Volumes", dict, {})),
        labels=_string_map(run, "Labels"),
    )


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadManifest(f"the {what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadManifest(f"the {what} is not a JSON object")
    return document


def _descriptor(entry: Any, where: str) -> Descriptor:
    if not isinstance(entry, dict):
        raise BadManifest(f"an entry of {where} is not a JSON object")
    digest, size = _get(entry, "digest", str, ""), _get(entry, "size", int, -1)
    if not is_digest(digest):
        raise BadManifest(f"{where}: {digest[:80]!r} is no digest")
    if not 0 <= size <= MAX_BLOB_BYTES:
        raise BadManifest(f"{where}: size {size} is not between 0 and {MAX_BLOB_BYTES}")
    named = entry.get("platform")
    return Descriptor(
        _get(entry, "mediaType", str, ""),
        digest,
        size,
        _platform(named) if isinstance(named, dict) else None,
        _string_map(entry, "annotations"),
    )


def _platform(named: dict[str, Any]) -> Platform:
    return Platform(*(_get(named, key, str, "") for key in ("os", "architecture", "variant")))


def _get(document: dict[str, Any], key: str, kind: type[_T], default: _T) -> _T:
    """A field that is absent or null has its default."""
    value = document.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadManifest(f"{key} must be a JSON {kind.__name__}, {type(value).__name__} was found")
    return value


def _list(document: dict[str, Any], key: str) -> list[Any]:
    return _get(document, key, list, [])


def _strings(document: dict[str, Any], key: str) -> tuple[str, ...]:
    values = _list(document, key)
    if not all(isinstance(value, str) for value in values):
        raise BadManifest(f"{key} must be a list of strings")
    return tuple(values)


def _string_map(document: dict[str, Any], key: str) -> dict[str, str]:
    values = _get(document, key, dict, {})
    return {str(name): value for name, value in values.items() if isinstance(value, str)}
