"""Layers and images made in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.node.images import manifest
from seatrial.cluster.node.images.unpack import OPAQUE_USER, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable


def entry(name: str, content: bytes = b"", **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A file of an archive; `type=`, `linkname=`, `mode=`, `uid=`... make it something else."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def folder(name: str, mode: int = 0o755, **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.DIRTYPE, mode=mode, **changes)


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.SYMTYPE, linkname=target)


def archive(entries: Iterable[tuple[tarfile.TarInfo, bytes]], kind: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class BuiltImage:
    """An image as a registry holds it."""

    layers: list[bytes]
    architecture: str = "amd64"
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    compress: bool = True

    def __post_init__(self) -> None:
        packed = [gzip.compress(layer, mtime=0) if self.compress else layer for layer in self.layers]
        config = orjson.dumps(
            {
                "architecture": self.architecture,
                "os": "linux",
                "created": "2026-01-02T03:04:05Z",
                "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
                "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in self.layers]},
            }
        )
        self.blobs = {digest_of(blob): blob for blob in (config, *packed)}
        self.manifest = orjson.dumps(
            {
                "schemaVersion": 2,
                "mediaType": manifest.OCI_MANIFEST,
                "config": descriptor(config, manifest.OCI_CONFIG),
                "layers": [descriptor(blob, manifest.OCI_LAYER) for blob in packed],
            }
        )

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def layer_digests(self) -> list[str]:
        return [layer["digest"] for layer in orjson.loads(self.manifest)["layers"]]


def descriptor(blob: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob), **more}


def index_of(*images: BuiltImage) -> bytes:
    entries = [
        descriptor(image.manifest, manifest.OCI_MANIFEST, platform={"os": "linux", "architecture": image.architecture})
        for image in images
    ]
    return orjson.dumps({"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": entries})


def simple_image(text: str = "hello") -> BuiltImage:
    base = archive([folder("etc"), entry("etc/base", b"base"), entry("etc/gone", b"x"), folder("tmp", 0o1777)])
    return BuiltImage([base, archive([entry("etc/.wh.gone"), entry("tmp/said", text.encode())])])


def rules() -> Rules:
    """Ownership as far as the user who runs the tests may set it; marks that every user can read and set."""
    return Rules(owners=os.geteuid() == 0, opaque=OPAQUE_USER)
