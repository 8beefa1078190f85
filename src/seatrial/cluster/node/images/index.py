"""Which image a name stands for: `index.json`, one small file, replaced whole under a lock.

A reader that holds it looks at the file's identity first, so that looking up an image for a pod costs one `stat`.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from seatrial.base.files import write_atomic
from seatrial.cluster.node.images import digest as digests
from seatrial.cluster.node.images.blobs import disk_error
from seatrial.cluster.node.images.digest import is_digest
from seatrial.cluster.node.images.errors import StoreError
from seatrial.cluster.node.images.layers import Layer
from seatrial.cluster.node.images.lock import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from seatrial.cluster.node.images.reference import Reference

VERSION = 1
_SHORT_ID = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    """The digest of the configuration: what the image is, whatever it is called."""
    manifest: str
    config_size: int
    layers: tuple[Layer, ...]
    """Bottom first."""
    pulled: float
    created: str = ""
    os: str = ""
    architecture: str = ""
    tags: tuple[str, ...] = ()
    """`docker.io/library/busybox:1.36`."""
    digests: tuple[str, ...] = ()
    """`docker.io/library/busybox@sha256:...`: what a registry calls it."""

    @property
    def size(self) -> int:
        """Bytes of the blobs, as a registry would send them."""
        return self.config_size + sum({layer.digest: layer.size for layer in self.layers}.values())

    @property
    def blobs(self) -> tuple[str, ...]:
        return (self.manifest, self.id, *(layer.digest for layer in self.layers))

    @property
    def chain_ids(self) -> tuple[str, ...]:
        return tuple(layer.chain_id for layer in self.layers)

    @property
    def name(self) -> str:
        """The name to show."""
        return next(iter(self.tags or self.digests), self.id)


Images: TypeAlias = dict[str, Image]
"""By id."""


@dataclass(slots=True)
class _Read:
    identity: tuple[int, ...] = ()
    images: Images = field(default_factory=dict)


class ImageIndex:
    def __init__(self, root: Path) -> None:
        self._path = root / "index.json"
        self._lock = root / "index.lock"
        self._read = _Read()

    def images(self) -> Images:
        """Every image. Do not change the dict. Raises StoreError."""
        identity = self._identity()
        if identity != self._read.identity:
            self._read = _Read(identity, self._load() if identity else {})
        return self._read.images

    def change(self, edit: Callable[[Images], None]) -> Images:
        """Edit the images while no other process does. Blocks on the disk. Raises StoreError."""
        try:
            with exclusive(self._lock):
                images = dict(self._load()) if self._path.exists() else {}
                edit(images)
                write_atomic(self._path, _encode(images), mode=0o600)
        except OSError as error:
            raise disk_error(error, self._path.parent) from error
        return images

    def _identity(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return ()
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def _load(self) -> Images:
        try:
            document = orjson.loads(self._path.read_bytes())
            if document["version"] != VERSION:
                raise StoreError(f"{self._path} has version {document['version']}: this Seatrial reads {VERSION}")
            return {entry["id"]: _image(entry) for entry in document["images"]}
        except (orjson.JSONDecodeError, LookupError, TypeError, OSError) as error:
            raise StoreError(
                f"{self._path} cannot be read ({error}): move it away and pull the images again"
            ) from error


def _encode(images: Images) -> bytes:
    entries = [asdict(image) for image in images.values()]
    return orjson.dumps({"version": VERSION, "images": entries}, option=orjson.OPT_INDENT_2)


def _image(entry: dict[str, Any]) -> Image:
    layers = tuple(Layer(**layer) for layer in entry["layers"])
    return Image(**{**entry, "layers": layers, "tags": tuple(entry["tags"]), "digests": tuple(entry["digests"])})


# Pure functions of the images


def record(images: Images, image: Image) -> None:
    """Add an image, or its new names if it is there; a tag it takes leaves its old image."""
    taken = frozenset(image.tags)
    for other in list(images.values()):
        if other.id != image.id and taken.intersection(other.tags):
            images[other.id] = replace(other, tags=tuple(tag for tag in other.tags if tag not in taken))
    known = images.get(image.id)
    if known is not None:
        image = replace(image, tags=_joined(known.tags, image.tags), digests=_joined(known.digests, image.digests))
    images[image.id] = image


def by_reference(images: Iterable[Image], reference: Reference) -> Image | None:
    """A digest decides where there is one, as a tag may have moved on."""
    for image in images:
        if reference.digest:
            if reference.pinned in image.digests:
                return image
        elif reference.tagged in image.tags:
            return image
    return None


def by_id(images: Iterable[Image], text: str) -> list[Image]:
    """The images whose id is `text` or begins so (at least six digits)."""
    if is_digest(text):
        return [image for image in images if image.id == text]
    if not _SHORT_ID.fullmatch(text):
        return []
    return [image for image in images if digests.encoded(image.id).startswith(text)]


def without_name(image: Image, reference: Reference) -> Image:
    """The image minus one of its names; with its last tag go the digests of that repository."""
    if reference.digest:
        return replace(image, digests=tuple(name for name in image.digests if name != reference.pinned))
    tags = tuple(tag for tag in image.tags if tag != reference.tagged)
    if any(tag.startswith(f"{reference.name}:") for tag in tags):
        return replace(image, tags=tags)
    kept = tuple(name for name in image.digests if not name.startswith(f"{reference.name}@"))
    return replace(image, tags=tags, digests=kept)


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
