"""From a manifest to an image whose layers are here: shared by the registry's and the archives' way in.

Layers are fetched and unpacked side by side; each waits for the one below only before it takes its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from seatrial.cluster.node.images.layers import Layer
from seatrial.cluster.node.images.manifest import BadManifest

if TYPE_CHECKING:
    from seatrial.cluster.node.images.blobs import BlobStore
    from seatrial.cluster.node.images.layers import LayerStore
    from seatrial.cluster.node.images.manifest import ImageConfig, Manifest

Fetch: TypeAlias = Callable[[Layer], Awaitable[None]]
"""Makes sure that a layer's blob is in the blob store."""
Progress: TypeAlias = Callable[[Layer, str], None]
"""Told of each layer when it is `fetched`, `unpacked`, or `here` already."""


def layers_of(manifest: Manifest, config: ImageConfig) -> tuple[Layer, ...]:
    """Bottom first. Raises BadManifest."""
    if len(manifest.layers) != len(config.diff_ids):
        raise BadManifest(
            f"the manifest has {len(manifest.layers)} layers, the image configuration {len(config.diff_ids)}"
        )
    return tuple(
        Layer(blob.digest, blob.size, diff_id, chain_id)
        for blob, diff_id, chain_id in zip(manifest.layers, config.diff_ids, config.chain_ids, strict=True)
    )


class Assembly:
    """`layers` is None where we may not unpack (no root, no user namespace): the blobs wait for whoever may."""

    def __init__(self, blobs: BlobStore, layers: LayerStore | None) -> None:
        self._blobs = blobs
        self._layers = layers

    async def complete(self, layers: tuple[Layer, ...], fetch: Fetch, progress: Progress) -> None:
        """Have every layer here. The first failure ends the others and is raised."""
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.TaskGroup() as group:
                for number, layer in enumerate(layers):
                    below = tuple(lower.chain_id for lower in reversed(layers[:number]))
                    parent = tasks[-1] if tasks else None
                    tasks.append(group.create_task(self._one(layer, below, parent, fetch, progress)))
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from None

    async def _one(
        self,
        layer: Layer,
        below: tuple[str, ...],
        parent: asyncio.Task[None] | None,
        fetch: Fetch,
        progress: Progress,
    ) -> None:
        if self._layers is not None and self._layers.has(layer.chain_id):
            progress(layer, "here")
            return
        await fetch(layer)
        progress(layer, "fetched")
        if self._layers is not None:
            await self._layers.ensure(layer, self._blobs.path(layer.digest), below, parent)
            progress(layer, "unpacked")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
