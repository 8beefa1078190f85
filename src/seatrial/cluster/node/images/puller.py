"""A registry in, a complete image in the store out.

Name -> endpoint and credential that let us in -> index -> variant for this machine -> manifest -> configuration ->
layers (assembly.py). What can break on the way is tried again a few times here; the long back-off is the manager's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from seatrial.cluster.node.images import manifest as manifests
from seatrial.cluster.node.images import platform as platforms
from seatrial.cluster.node.images.assembly import layers_of
from seatrial.cluster.node.images.errors import (
    AccessDenied,
    ImageError,
    ImageNotFound,
    PullFailed,
    RegistryUnavailable,
)
from seatrial.cluster.node.images.index import Image
from seatrial.cluster.node.images.manifest import Descriptor, Index, Manifest
from seatrial.cluster.node.images.registry import Source
from seatrial.kube.control.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.images.assembly import Assembly, Progress
    from seatrial.cluster.node.images.blobs import BlobStore, BlobWriter
    from seatrial.cluster.node.images.credentials import Keyring
    from seatrial.cluster.node.images.endpoint import Endpoint, Registries
    from seatrial.cluster.node.images.layers import Layer
    from seatrial.cluster.node.images.platform import Platform
    from seatrial.cluster.node.images.reference import Reference
    from seatrial.cluster.node.images.registry import Fetched, Registry

TRIES = 3
RETRY_BASE_SECONDS = 0.4
RETRY_CAP_SECONDS = 5.0
PARALLEL_BLOBS = 4
MAX_INDEX_DEPTH = 3

_T = TypeVar("_T")


@dataclass(slots=True)
class _Transfer:
    """One pull: from where, and how much came."""

    source: Source
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pulled:
    image: Image
    transferred: int
    """Bytes of blobs that were not here."""


class Puller:
    def __init__(
        self,
        registry: Registry,
        registries: Registries,
        blobs: BlobStore,
        assembly: Assembly,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._registries = registries
        self._blobs = blobs
        self._assembly = assembly
        self._clock = clock
        self._turns = asyncio.Semaphore(PARALLEL_BLOBS)

    async def pull(self, reference: Reference, keyring: Keyring, wanted: Platform, progress: Progress) -> Pulled:
        """Raises ImageError."""
        source, top = await self._resolve(reference, keyring)
        transfer = _Transfer(source)
        body, manifest = await self._choose(source, reference, top, wanted)
        await self._fetch(transfer, manifest.config)
        config = manifests.decode_config(self._blobs.read(manifest.config.digest))
        layers = layers_of(manifest, config)
        stored = await self._blobs.put(body)

        async def fetch(layer: Layer) -> None:
            async with self._turns:
                await self._fetch(transfer, Descriptor("", layer.digest, layer.size))

        await self._assembly.complete(layers, fetch, progress)
        image = Image(
            id=manifest.config.digest,
            manifest=stored,
            config_size=manifest.config.size,
            layers=layers,
            pulled=self._clock.time(),
            created=config.created,
            os=config.os,
            architecture=config.architecture,
            tags=() if reference.digest else (reference.tagged,),
            digests=(reference.at(top.digest).pinned,),
        )
        return Pulled(image, transfer.bytes)

    async def _resolve(self, reference: Reference, keyring: Keyring) -> tuple[Source, Fetched]:
        """Mirrors first, then the registry itself; at each every credential that fits."""
        refusals: list[ImageError] = []
        for endpoint in self._registries.endpoints(reference.registry):
            try:
                return await self._resolve_at(endpoint, reference, keyring)
            except ImageError as error:
                refusals.append(error)
        *mirrors, last = refusals
        if mirrors:
            before = "; ".join(error.message for error in mirrors)
            raise type(last)(f"{last.message} (tried before: {before})") from last
        raise last

    async def _resolve_at(self, endpoint: Endpoint, reference: Reference, keyring: Keyring) -> tuple[Source, Fetched]:
        denied: ImageError | None = None
        for credential in keyring.lookup(f"{endpoint.registry}/{reference.repository}") or (None,):
            source = Source(endpoint, reference.repository, credential)
            try:
                return source, await self._persist(partial(self._registry.manifest, source, reference.locator))
            except AccessDenied as error:
                denied = denied or error
        raise denied or ImageNotFound(f"no registry for {reference}")

    async def _choose(
        self, source: Source, reference: Reference, top: Fetched, wanted: Platform
    ) -> tuple[bytes, Manifest]:
        """Down from an index to the manifest for this machine."""
        fetched = top
        for _ in range(MAX_INDEX_DEPTH):
            decoded = manifests.decode(fetched.body, fetched.media_type)
            if isinstance(decoded, Manifest):
                return fetched.body, decoded
            entry = _variant(reference, decoded, wanted)
            fetched = await self._persist(partial(self._registry.manifest, source, entry.digest))
        raise manifests.BadManifest(f"{reference}: indexes are nested more than {MAX_INDEX_DEPTH} deep")

    async def _fetch(self, transfer: _Transfer, blob: Descriptor) -> None:
        async with self._blobs.writing(blob.digest, blob.size) as writer:
            if writer is not None:
                await writer.resume()
                await self._persist(partial(self._transfer, transfer, blob, writer))

    async def _transfer(self, transfer: _Transfer, blob: Descriptor, writer: BlobWriter) -> None:
        if writer.offset < blob.size:
            async with self._registry.blob(transfer.source, blob.digest, writer.offset) as (start, chunks):
                if start != writer.offset:
                    await writer.restart()
                async for chunk in chunks:
                    await writer.write(chunk)
                    transfer.bytes += len(chunk)
        await writer.commit()

    async def _persist(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        backoff = Backoff("pull", base=RETRY_BASE_SECONDS, cap=RETRY_CAP_SECONDS)
        for _ in range(TRIES - 1):
            try:
                return await attempt()
            except (PullFailed, RegistryUnavailable):
                await self._clock.sleep(backoff.next())
        return await attempt()


def _variant(reference: Reference, index: Index, wanted: Platform) -> Descriptor:
    entry = platforms.choose(index.entries, wanted)
    if entry is None:
        raise ImageNotFound(
            f"{reference} has no variant for {wanted}; it is there for: {platforms.offered(index.entries)}"
        )
    return entry
