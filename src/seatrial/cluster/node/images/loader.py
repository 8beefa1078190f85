"""Archives in, complete images in the store out: what `docker save`, `podman save` and `skopeo copy` write.

A docker-archive has `manifest.json`, an OCI layout `index.json`, and newer Docker writes both. The archive is unpacked
beside the store like any layer of a stranger, then read as a directory; a directory can be given as well.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import Terminal
from seatrial.cluster.node.images import manifest as manifests
from seatrial.cluster.node.images import platform as platforms
from seatrial.cluster.node.images import reference as references
from seatrial.cluster.node.images.assembly import layers_of
from seatrial.cluster.node.images.blobs import CHUNK_BYTES
from seatrial.cluster.node.images.digest import encoded
from seatrial.cluster.node.images.errors import ImageError
from seatrial.cluster.node.images.index import Image
from seatrial.cluster.node.images.layers import remove_tree
from seatrial.cluster.node.images.manifest import Descriptor, Index, Manifest
from seatrial.cluster.node.images.stream import BadLayer
from seatrial.cluster.node.images.thread import finish
from seatrial.cluster.node.images.unpack import OPAQUE_USER, Rules, unpack

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.cluster.node.images.assembly import Assembly, Progress
    from seatrial.cluster.node.images.blobs import BlobStore
    from seatrial.cluster.node.images.layers import Layer
    from seatrial.cluster.node.images.platform import Platform

_REF_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
MAX_INDEX_DEPTH = 3


class BadArchive(ImageError, Terminal):
    """The file is no image archive, or a broken one."""

    reason = "BadArchive"


@dataclass(frozen=True, slots=True)
class _Found:
    """An image inside an archive: its manifest and the names it goes by."""

    manifest: Manifest
    body: bytes
    names: tuple[str, ...]
    files: dict[str, Path]
    """Where each blob is."""


class Loader:
    def __init__(self, root: Path, blobs: BlobStore, assembly: Assembly, clock: Clock) -> None:
        self._root = root
        self._blobs = blobs
        self._assembly = assembly
        self._clock = clock

    async def load(self, source: Path, wanted: Platform, progress: Progress) -> list[Image]:
        """Every image of an archive or layout directory for this machine. Raises ImageError."""
        work = await finish(_open_archive, source, self._root)
        try:
            found = await finish(_read_images, work or source, wanted)
            return [await self._load_one(image, progress) for image in found]
        finally:
            if work is not None:
                await finish(remove_tree, work)

    async def _load_one(self, found: _Found, progress: Progress) -> Image:
        manifest = found.manifest
        await self._copy(found, manifest.config)
        config = manifests.decode_config(self._blobs.read(manifest.config.digest))
        layers = layers_of(manifest, config)
        stored = await self._blobs.put(found.body)

        async def fetch(layer: Layer) -> None:
            await self._copy(found, Descriptor("", layer.digest, layer.size))

        await self._assembly.complete(layers, fetch, progress)
        return Image(
            id=manifest.config.digest,
            manifest=stored,
            config_size=manifest.config.size,
            layers=layers,
            pulled=self._clock.time(),
            created=config.created,
            os=config.os,
            architecture=config.architecture,
            tags=tuple(references.parse(name).tagged for name in found.names),
        )

    async def _copy(self, found: _Found, blob: Descriptor) -> None:
        async with self._blobs.writing(blob.digest, blob.size) as writer:
            if writer is None:
                return
            await writer.restart()
            with found.files[blob.digest].open("rb") as file:
                while chunk := await finish(file.read, CHUNK_BYTES):
                    await writer.write(chunk)
            await writer.commit()


def _open_archive(source: Path, root: Path) -> Path | None:
    """A directory with the archive's content, or None if it is a directory already."""
    if source.is_dir():
        return None
    if not source.is_file():
        raise BadArchive(f"{source}: no such file")
    work = Path(tempfile.mkdtemp(dir=root, prefix="load-"))
    try:
        unpack(source, work, Rules(owners=False, opaque=OPAQUE_USER))
    except BaseException as error:
        remove_tree(work)
        if isinstance(error, BadLayer):
            raise BadArchive(f"{source}: {error.message}") from error
        raise
    return work


def _read_images(directory: Path, wanted: Platform) -> list[_Found]:
    if (directory / "manifest.json").is_file():
        found = _read_docker(directory)
    elif (directory / "index.json").is_file():
        found = _read_layout(directory, wanted)
    else:
        raise BadArchive("neither manifest.json nor index.json is in it: expected a docker-archive or an OCI layout")
    if not found:
        raise BadArchive(f"it holds no image for {wanted}")
    return found


# docker-archive


def _read_docker(directory: Path) -> list[_Found]:
    entries = _json(directory, "manifest.json")
    if not isinstance(entries, list):
        raise BadArchive("manifest.json: expected a list of images")
    return [_docker_image(directory, entry) for entry in entries]


def _docker_image(directory: Path, entry: Any) -> _Found:
    """Its layers have no digests of their own: we sum them, and write the manifest it lacks."""
    try:
        config_file = _inside(directory, entry["Config"])
        layer_files = [_inside(directory, name) for name in entry["Layers"]]
        names = tuple(entry.get("RepoTags") or ())
    except (KeyError, TypeError, AttributeError) as error:
        raise BadArchive("manifest.json: each image needs Config and Layers") from error
    if config_file.stat().st_size > manifests.MAX_CONFIG_BYTES:
        raise BadArchive(f"{entry['Config']}: more than {manifests.MAX_CONFIG_BYTES} bytes")
    config = _descriptor(config_file, manifests.OCI_CONFIG)
    layers = tuple(_descriptor(file, manifests.OCI_LAYER) for file in layer_files)
    body = orjson.dumps(
        {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": _as_json(config),
            "layers": [_as_json(layer) for layer in layers],
        }
    )
    decoded = manifests.decode(body)
    files = {blob.digest: file for blob, file in zip((config, *layers), (config_file, *layer_files), strict=True)}
    return _Found(_expect_manifest(decoded), body, names, files)


def _descriptor(file: Path, media_type: str) -> Descriptor:
    summed = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            summed.update(chunk)
    return Descriptor(media_type, f"sha256:{summed.hexdigest()}", file.stat().st_size)


def _as_json(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


# OCI layout


def _read_layout(directory: Path, wanted: Platform) -> list[_Found]:
    index = manifests.decode(_read(directory, "index.json"), manifests.OCI_INDEX)
    if not isinstance(index, Index):
        raise BadArchive("index.json: expected an OCI index")
    found = []
    for entry in index.entries:
        if entry.platform is None or platforms.choose([entry], wanted) is not None:
            image = _layout_image(directory, entry, wanted)
            if image is not None:
                found.append(image)
    return found


def _layout_image(directory: Path, entry: Descriptor, wanted: Platform) -> _Found | None:
    names = _names(entry.annotations)
    for _ in range(MAX_INDEX_DEPTH):
        body = _blob(directory, entry.digest)
        decoded = manifests.decode(body, entry.media_type)
        if isinstance(decoded, Manifest):
            blobs = (decoded.config, *decoded.layers)
            return _Found(decoded, body, names, {blob.digest: _blob_file(directory, blob.digest) for blob in blobs})
        variant = platforms.choose(decoded.entries, wanted)
        if variant is None:
            return None
        entry = variant
    raise BadArchive(f"indexes are nested more than {MAX_INDEX_DEPTH} deep")


def _names(annotations: dict[str, str]) -> tuple[str, ...]:
    """containerd writes the whole name; elsewhere the annotation may hold a name or, of little use, only a tag."""
    whole = annotations.get(_CONTAINERD_NAME, "")
    name = whole or annotations.get(_REF_NAME, "")
    return (name,) if whole or "/" in name or ":" in name else ()


def _blob(directory: Path, digest: str) -> bytes:
    algorithm, _, name = digest.partition(":")
    return _read(directory, f"blobs/{algorithm}/{name}")


def _blob_file(directory: Path, digest: str) -> Path:
    return _inside(directory, f"blobs/{digest.partition(':')[0]}/{encoded(digest)}")


# Files of an archive


def _read(directory: Path, name: str) -> bytes:
    with _inside(directory, name).open("rb") as file:
        return file.read(manifests.MAX_MANIFEST_BYTES + 1)


def _json(directory: Path, name: str) -> Any:
    try:
        return orjson.loads(_read(directory, name))
    except orjson.JSONDecodeError as error:
        raise BadArchive(f"{name} is not JSON: {error}") from error


def _inside(directory: Path, name: str) -> Path:
    """A file of the archive; its symbolic links may not lead elsewhere."""
    root = directory.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise BadArchive(f"{name!r} leads out of the archive")
    if not path.is_file():
        raise BadArchive(f"{name!r} is missing in the archive")
    return path


def _expect_manifest(decoded: Manifest | Index) -> Manifest:
    if isinstance(decoded, Index):
        raise BadArchive("an index where a manifest was expected")
    return decoded
