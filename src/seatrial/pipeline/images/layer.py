"""Layers and archives as the OCI image format has them: the same content gives the same bytes, whoever writes it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from seatrial.base.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.pipeline.images.recipe import File

_GZIP = 31
_LEVEL = 6
_CHUNK = 1024 * 1024
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob in a directory of blobs."""

    digest: str
    size: int
    diff_id: str
    made_by: str


def write(source: IO[bytes], blobs: Path, made_by: str) -> Layer:
    """A layer of a tar stream. Raises OSError."""
    plain, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    compress = zlib.compressobj(_LEVEL, wbits=_GZIP)
    partial = blobs / "partial"
    with partial.open("wb") as file:
        while chunk := source.read(_CHUNK):
            plain.update(chunk)
            size += _put(file, packed, compress.compress(chunk))
        size += _put(file, packed, compress.flush())
    partial.rename(blobs / packed.hexdigest())
    return Layer(f"sha256:{packed.hexdigest()}", size, f"sha256:{plain.hexdigest()}", made_by)


def _put(file: IO[bytes], packed: Any, data: bytes) -> int:
    packed.update(data)
    return file.write(data)


def of_files(files: tuple[File, ...], epoch: int) -> IO[bytes]:
    """A tar of files and the directories above them."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for directory in sorted({str(parent) for file in files for parent in Path(file.path).parents} - {"."}):
            tar.addfile(_entry(directory, tarfile.DIRTYPE, 0o755, epoch))
        for file in sorted(files, key=lambda file: file.path):
            kind = tarfile.DIRTYPE if file.directory else tarfile.SYMTYPE if file.target else tarfile.REGTYPE
            entry = _entry(file.path, kind, file.mode, epoch)
            entry.linkname = file.target
            entry.size = len(file.content)
            tar.addfile(entry, io.BytesIO(file.content))
    stream.seek(0)
    return stream


def _entry(path: str, kind: bytes, mode: int, epoch: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.mtime = kind, mode, epoch
    return entry


def write_archive(
    path: Path, blobs: Path, layers: list[Layer], config: Mapping[str, Any], architecture: str, epoch: int, name: str
) -> None:
    """An oci-archive, complete or not there. Raises OSError."""
    created = rfc3339(epoch)
    described = _store(
        blobs,
        {
            "created": created,
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": created, "created_by": layer.made_by} for layer in layers],
        },
    )
    manifest = _store(
        blobs,
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, **described},
            "layers": [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
        },
    )
    reference = {"mediaType": _MANIFEST, **manifest, "annotations": {"org.opencontainers.image.ref.name": name}}
    index = {"schemaVersion": 2, "manifests": [reference]}
    partial = path.with_name(f".{path.name}")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in ((_INDEX, orjson.dumps(index)), ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')):
            entry = _entry(member, tarfile.REGTYPE, 0o644, epoch)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        wanted = [described["digest"], manifest["digest"], *(layer.digest for layer in layers)]
        for digest in dict.fromkeys(str(digest).partition(":")[2] for digest in wanted):
            entry = _entry(f"blobs/sha256/{digest}", tarfile.REGTYPE, 0o644, epoch)
            entry.size = (blobs / digest).stat().st_size
            with (blobs / digest).open("rb") as blob:
                tar.addfile(entry, blob)
    partial.rename(path)


def _store(blobs: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    data = orjson.dumps(document)
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive of ours says of itself; its index is its first member, so this costs nothing."""

    manifest: str
    name: str


def describe(path: Path) -> Archive:
    """Raises OSError, tarfile.TarError."""
    with tarfile.open(path) as tar:
        index = tar.extractfile(_INDEX)
        (reference,) = orjson.loads(index.read() if index else b"")["manifests"]
    return Archive(reference["digest"], reference["annotations"]["org.opencontainers.image.ref.name"])


def take_layers(path: Path, blobs: Path) -> list[Layer]:
    """The layers of an archive of ours, their blobs copied. Raises OSError, tarfile.TarError."""
    with tarfile.open(path) as tar:

        def blob(digest: str) -> bytes:
            file = tar.extractfile(f"blobs/sha256/{digest.partition(':')[2]}")
            return file.read() if file else b""

        (reference,) = orjson.loads((tar.extractfile(_INDEX) or io.BytesIO()).read())["manifests"]
        manifest = orjson.loads(blob(reference["digest"]))
        config = orjson.loads(blob(manifest["config"]["digest"]))
        layers = []
        told = zip(manifest["layers"], config["rootfs"]["diff_ids"], config["history"], strict=True)
        for layer, diff_id, history in told:
            (blobs / layer["digest"].partition(":")[2]).write_bytes(blob(layer["digest"]))
            layers.append(Layer(layer["digest"], layer["size"], diff_id, history["created_by"]))
    return layers
