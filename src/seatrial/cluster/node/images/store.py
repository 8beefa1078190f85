"""Everything about images on this machine, in one directory.

    index.json  blobs/sha256/<hex>  layers/<name>/  (ingest/ unpacking/ load-*/: in the making)

Any number of processes may use it at once. Who adds holds the activity lock shared; who deletes what no image
needs any more takes it alone, and leaves it for the next time if that would mean to wait. Killing any of them at any
moment leaves at worst something for the next sweep.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from seatrial.cluster.node.images import garbage, index, manifest, platform, unpack
from seatrial.cluster.node.images import reference as references
from seatrial.cluster.node.images.assembly import Assembly
from seatrial.cluster.node.images.blobs import BlobStore, disk_error
from seatrial.cluster.node.images.credentials import Keyring
from seatrial.cluster.node.images.digest import is_digest, short
from seatrial.cluster.node.images.endpoint import Registries
from seatrial.cluster.node.images.errors import ImageInUse, NoSuchImage, StoreError
from seatrial.cluster.node.images.index import Image, ImageIndex, Images
from seatrial.cluster.node.images.layers import LayerStore, directory_name, remove_tree
from seatrial.cluster.node.images.loader import Loader
from seatrial.cluster.node.images.lock import POLL_SECONDS, try_lock

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Collection
    from pathlib import Path

    import aiohttp

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.images.assembly import Progress
    from seatrial.cluster.node.images.layers import Layer
    from seatrial.cluster.node.images.manifest import ImageConfig
    from seatrial.cluster.node.images.platform import Platform
    from seatrial.cluster.node.images.puller import Pulled, Puller
    from seatrial.cluster.node.images.reference import Reference
    from seatrial.cluster.node.images.registry import Registry
    from seatrial.cluster.node.images.unpack import Rules


@dataclass(frozen=True, slots=True)
class Loaded:
    image: Image
    names: tuple[str, ...]
    """What this archive calls it; the image may have others."""


@dataclass(frozen=True, slots=True)
class Removal:
    names: tuple[str, ...]
    """The names that are gone."""
    image: str
    """The id of the image that went with its last name, or ""."""


class Hold:
    """While it is open, no process removes the image. It ends with the process that has it."""

    def __init__(self, image: Image, descriptor: int) -> None:
        self.image = image
        self._descriptor = descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class ImageStore:
    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        registries: Registries | None = None,
        wanted: Platform | None = None,
        rules: Rules | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connector: Callable[..., aiohttp.BaseConnector] | None = None,
    ) -> None:
        """`rules` say how to unpack; without root the default is to keep the blobs packed for whoever is root."""
        self._root = directory
        self._clock = clock
        self._wanted = wanted or platform.host()
        detected = rules or unpack.detect_rules()
        self._blobs = BlobStore(directory, clock)
        self._layers = LayerStore(directory, clock, detected)
        self._unpacks = rules is not None or detected.owners
        self._assembly = Assembly(self._blobs, self._layers if self._unpacks else None)
        self._index = ImageIndex(directory)
        self._registries = registries or Registries()
        self._ssl = ssl_context
        self._connector = connector
        self._registry: Registry | None = None
        self._loader = Loader(directory, self._blobs, self._assembly, clock)

    def prepare(self) -> None:
        """Make the directory; nobody else may look into it, as it holds other people's setuid programs."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            os.chmod(self._root, 0o700)
            self._blobs.prepare()
            self._layers.prepare()
        except OSError as error:
            raise disk_error(error, self._root) from error

    async def close(self) -> None:
        if self._registry is not None:
            await self._registry.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.prepare)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    # Looking

    def images(self) -> list[Image]:
        return list(self._index.images().values())

    def find(self, reference: Reference) -> Image | None:
        """The image a name stands for here."""
        return index.by_reference(self._index.images().values(), reference)

    def get(self, text: str) -> Image:
        """An image by name, id or the beginning of an id. Raises NoSuchImage, InvalidImageName."""
        images = self._index.images()
        found = index.by_id(images.values(), text)
        if len(found) > 1:
            raise NoSuchImage(f"{text!r} begins the ids of {len(found)} images: give more digits")
        if found:
            return found[0]
        image = None if is_digest(text) else self.find(references.parse(text))
        if image is None:
            raise NoSuchImage(f"no image {text!r} here: see `seatrial image list`")
        return image

    def config(self, image: Image) -> ImageConfig:
        """Raises StoreError."""
        return manifest.decode_config(self._blobs.read(image.id))

    def last_used(self, image: Image) -> float:
        """When a container last started from it: the time of its configuration's file, which costs no write."""
        try:
            return self._blobs.path(image.id).stat().st_mtime
        except FileNotFoundError:
            return image.pulled

    @property
    def layer_directory(self) -> Path:
        return self._layers.directory

    def lower_directories(self, image: Image) -> tuple[Path, ...]:
        """For overlayfs: the top layer first. Each is directly in `layer_directory`."""
        return tuple(self._layers.path(chain_id) for chain_id in reversed(image.chain_ids))

    def is_complete(self, image: Image) -> bool:
        """Everything a container needs is here, if perhaps still packed."""
        return self._blobs.has(image.id) and all(
            self._layers.has(layer.chain_id) or self._blobs.has(layer.digest) for layer in image.layers
        )

    def hold(self, image: Image) -> Hold:
        """Keep the image while a container uses it, and note the use. Raises NoSuchImage."""
        gone = NoSuchImage(f"image {image.name} was removed meanwhile")
        try:
            descriptor = os.open(self._blobs.path(image.id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise gone from None
        if not try_lock(descriptor, shared=True) or image.id not in self._index.images():
            os.close(descriptor)
            raise gone
        now = self._clock.time()
        os.utime(descriptor, (now, now))
        return Hold(image, descriptor)

    # Adding

    async def pull(
        self, reference: Reference, keyring: Keyring | None = None, progress: Progress | None = None
    ) -> Pulled:
        """Raises ImageError."""
        async with self._adding():
            pulled = await self._puller().pull(reference, keyring or Keyring(), self._wanted, progress or _silent)
            return replace(pulled, image=await self._record(pulled.image))

    async def load(
        self, archive: Path, name: Reference | None = None, progress: Progress | None = None
    ) -> list[Loaded]:
        """Raises ImageError. `name` is the name of the one image in an archive that has no names."""
        async with self._adding():
            images = await self._loader.load(archive, self._wanted, progress or _silent)
            if name is not None:
                if len(images) != 1:
                    raise NoSuchImage(f"{archive} holds {len(images)} images: a name can be given to one only")
                images = [replace(images[0], tags=(name.tagged,))]
            return [Loaded(await self._record(image), image.tags) for image in images]

    async def ensure_unpacked(self, image: Image) -> None:
        """For an image that was added by a process that could not unpack. Raises ImageError."""
        if all(self._layers.has(chain_id) for chain_id in image.chain_ids):
            return

        async def fetch(layer: Layer) -> None:
            if not self._blobs.has(layer.digest):
                raise StoreError(f"layer {layer.digest} of {image.name} is missing here: pull the image again")

        async with self._adding():
            await Assembly(self._blobs, self._layers).complete(image.layers, fetch, _silent)

    def _puller(self) -> Puller:
        # An HTTP client takes longer to import than a whole `image list`; only a pull needs it.
        from seatrial.cluster.node.images.puller import Puller
        from seatrial.cluster.node.images.registry import Registry

        if self._registry is None:
            self._registry = Registry(self._clock, ssl_context=self._ssl, connector=self._connector)
        return Puller(self._registry, self._registries, self._blobs, self._assembly, self._clock)

    async def _record(self, image: Image) -> Image:
        images = await asyncio.to_thread(self._index.change, lambda images: index.record(images, image))
        return images[image.id]

    @asynccontextmanager
    async def _adding(self) -> AsyncIterator[None]:
        descriptor = self._open_activity()
        try:
            while not try_lock(descriptor, shared=True):
                await self._clock.sleep(POLL_SECONDS)
            yield
        except OSError as error:
            raise disk_error(error, self._root) from error
        finally:
            os.close(descriptor)

    def _open_activity(self) -> int:
        return os.open(self._root / "activity.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    # Removing

    async def remove(self, text: str) -> Removal:
        """Remove a name, and with its last name the image. Raises NoSuchImage, ImageInUse."""
        image = self.get(text)
        by_id = bool(index.by_id([image], text))
        left = replace(image, tags=(), digests=()) if by_id else index.without_name(image, references.parse(text))
        gone = tuple(name for name in (*image.tags, *image.digests) if name not in (*left.tags, *left.digests))
        if left.tags or left.digests:
            await asyncio.to_thread(self._index.change, lambda images: images.update({left.id: left}))
            return Removal(gone, "")
        await asyncio.to_thread(self._forget, image)
        await self.sweep()
        return Removal(gone, image.id)

    def _forget(self, image: Image) -> None:
        """Take the image out of the index, unless a container runs on it."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(self._blobs.path(image.id), os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, descriptor)
                if not try_lock(descriptor):
                    raise ImageInUse(f"a container uses image {image.name} ({short(image.id)}): delete its pod first")
            self._index.change(lambda images: _drop(images, image.id))

    async def collect(self, in_use: Collection[str] = (), thresholds: garbage.Thresholds | None = None) -> list[Image]:
        """Remove what the thresholds say, and what nothing refers to; the images that went."""
        limits = thresholds or garbage.Thresholds()
        doomed = await asyncio.to_thread(self._plan, in_use, limits)
        gone = []
        for image in doomed:
            with contextlib.suppress(ImageInUse):
                await asyncio.to_thread(self._forget, image)
                gone.append(image)
        await self.sweep()
        return gone

    def _plan(self, in_use: Collection[str], thresholds: garbage.Thresholds) -> list[Image]:
        usage = shutil.disk_usage(self._root)
        disk = garbage.Disk(usage.total, usage.free)
        images = self._index.images()
        weigh = garbage.bytes_to_free(disk, thresholds) > 0
        candidates = [self._candidate(image, weigh=weigh) for image in images.values()]
        return [images[name] for name in garbage.plan(candidates, in_use, disk, thresholds, self._clock.time())]

    def _candidate(self, image: Image, *, weigh: bool) -> garbage.Candidate:
        """Layers are weighed file by file, so only when it matters how much they take."""
        parts = {layer.digest: layer.size for layer in image.layers}
        if weigh:
            parts |= {chain_id: _weight(self._layers.path(chain_id)) for chain_id in image.chain_ids}
        return garbage.Candidate(image.id, image.pulled, self.last_used(image), parts)

    async def sweep(self) -> bool:
        """Delete blobs and layers that no image needs. False if somebody adds just now: next time."""
        return await asyncio.to_thread(self.sweep_now)

    def sweep_now(self) -> bool:
        """The same, blocking."""
        descriptor = self._open_activity()
        try:
            if not try_lock(descriptor):
                return False
            images = self._index.images().values()
            self._sweep_blobs({digest for image in images for digest in image.blobs})
            self._sweep_layers({directory_name(chain_id) for image in images for chain_id in image.chain_ids})
            return True
        except OSError as error:
            raise disk_error(error, self._root) from error
        finally:
            os.close(descriptor)

    def _sweep_blobs(self, needed: set[str]) -> None:
        for digest, _ in list(self._blobs.sizes()):
            if digest not in needed:
                self._blobs.remove(digest)
        self._blobs.remove_partial()
        for work in self._root.glob("load-*"):
            remove_tree(work)

    def _sweep_layers(self, needed: set[str]) -> None:
        """What a user namespace made, only that namespace can delete: without it the node does so later."""
        with contextlib.suppress(PermissionError):
            for name in [name for name in self._layers.names() if name not in needed]:
                self._layers.remove(name)
            self._layers.remove_remains()


def _drop(images: Images, name: str) -> None:
    images.pop(name, None)


def _silent(_layer: Layer, _phase: str) -> None:
    """Nobody wants to know."""


def _weight(directory: Path) -> int:
    """Bytes on disk below a directory."""
    total = 0
    todo = [str(directory)]
    while todo:
        with contextlib.suppress(OSError):
            for entry in os.scandir(todo.pop()):
                total += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
    return total
