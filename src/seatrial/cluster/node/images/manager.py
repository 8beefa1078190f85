"""What the kubelet asks: "this container's image, by this policy" -- a held image, or a reason to wait.

Decides by policy.py, pulls each image once however many pods wait for it, and keeps the back-off per pod and image.
Every error is an ImageError whose `reason` and `message` are the container's waiting state.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.cluster.node.images import policy as policies
from seatrial.cluster.node.images import reference as references
from seatrial.cluster.node.images.credentials import Keyring
from seatrial.cluster.node.images.errors import ImageError
from seatrial.cluster.node.images.policy import BackOff, Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.images.index import Image
    from seatrial.cluster.node.images.puller import Pulled
    from seatrial.cluster.node.images.reference import Reference
    from seatrial.cluster.node.images.store import Hold, ImageStore


@dataclass(frozen=True, slots=True)
class Ready:
    """The image is unpacked, and stays until `hold` is closed."""

    hold: Hold
    pulled: bool
    seconds: float
    """How long it took, waiting included."""

    @property
    def image(self) -> Image:
        return self.hold.image


class ImageManager:
    def __init__(self, store: ImageStore, clock: Clock, machine: Callable[[], Keyring] = Keyring) -> None:
        """`machine`: what opens registries to every pod here."""
        self._store = store
        self._machine = machine
        self._clock = clock
        self._backoff = BackOff()
        self._pulls: dict[tuple[Reference, Keyring], asyncio.Task[Pulled]] = {}

    async def ensure(
        self,
        image: str,
        *,
        policy: str,
        pod: str,
        keyring: Keyring | None = None,
        on_pull: Callable[[], None] | None = None,
    ) -> Ready:
        """`pod` is the pod's uid; `on_pull` hears that a pull starts. Raises ImageError."""
        started = self._clock.monotonic()
        name = references.parse(image)
        here = self._present(name)
        decision = policies.decide(image, policy, present=here is not None)
        if decision is Decision.PULL or here is None:
            here = await self._pull(name, image, f"{pod}_{name}", (keyring or Keyring()) + self._machine(), on_pull)
        await self._store.ensure_unpacked(here)
        hold = self._store.hold(here)
        return Ready(hold, decision is Decision.PULL, self._clock.monotonic() - started)

    async def close(self) -> None:
        """End every pull."""
        tasks = list(self._pulls.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _present(self, name: Reference) -> Image | None:
        image = self._store.find(name)
        return image if image is not None and self._store.is_complete(image) else None

    async def _pull(
        self, name: Reference, image: str, key: str, keyring: Keyring, on_pull: Callable[[], None] | None
    ) -> Image:
        self._backoff.check(key, image, self._clock.monotonic())
        if on_pull is not None:
            on_pull()
        try:
            pulled = await asyncio.shield(self._shared_pull(name, keyring))
        except ImageError as error:
            self._backoff.failed(key, self._clock.monotonic(), error)
            raise
        self._backoff.succeeded(key)
        return pulled.image

    def _shared_pull(self, name: Reference, keyring: Keyring) -> asyncio.Task[Pulled]:
        """One pull for all who want the same with the same credentials; it goes on if one of them gives up."""
        running = self._pulls.get((name, keyring))
        if running is None:
            running = asyncio.create_task(self._store.pull(name, keyring), name=f"pull {name}")
            self._pulls[name, keyring] = running
            running.add_done_callback(lambda done: self._finished(name, keyring, done))
        return running

    def _finished(self, name: Reference, keyring: Keyring, task: asyncio.Task[Pulled]) -> None:
        self._pulls.pop((name, keyring), None)
        if not task.cancelled():
            task.exception()  # whoever waited has heard of it; nobody may have
