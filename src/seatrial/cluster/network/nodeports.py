"""The node ports of Services on the machine itself: a socket there for each, as long as the Service has it.

The rules serve a node port inside (`services`); what connects to the machine's address is carried there (`relay`).
TCP alone. A port that something else on the machine listens on is said in an event of the Service and tried again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from seatrial.cluster.network.relay import host_relay
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from seatrial.base.clock import Clock
    from seatrial.kube.control.events import EventRecorder
    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

_TRY_AGAIN_SECONDS = 2.0


class NodePorts:
    name = "node ports"

    def __init__(
        self,
        informers: InformerFactory,
        recorder: EventRecorder,
        clock: Clock,
        listen: Callable[[int], socket.socket],
    ) -> None:
        """`listen` opens a port in the machine's network; it raises OSError."""
        self._recorder = recorder
        self._clock = clock
        self._listen = listen
        self._services = informers.get(resources.for_plural("services"))
        self._changed = asyncio.Event()
        self._relays: dict[int, asyncio.Task[None]] = {}
        self._refused: dict[int, str] = {}
        """Of ports that could not be opened: the uid of the Service that was told."""
        self._services.on_change(self._notice)

    def _notice(self, old: Object | None, new: Object | None) -> None:
        if any(item is not None and next(_ports(item), None) for item in (old, new)):
            self._changed.set()

    async def run(self) -> None:
        await self._services.wait_synced()
        again = asyncio.create_task(self._try_again(), name=f"{self.name} again")
        try:
            while True:
                self._changed.clear()
                await self._follow()
                await self._changed.wait()
        finally:
            again.cancel()
            await self._close(set(self._relays))

    async def _try_again(self) -> None:
        while True:
            await self._clock.sleep(_TRY_AGAIN_SECONDS)
            if self._refused:
                self._changed.set()

    async def _follow(self) -> None:
        wanted = {port: service for service in self._services.list() for port in _ports(service)}
        await self._close(self._relays.keys() - wanted.keys())
        self._refused = {port: uid for port, uid in self._refused.items() if port in wanted}
        for port in sorted(wanted.keys() - self._relays.keys()):
            self._open(port, wanted[port])

    def _open(self, port: int, service: Object) -> None:
        try:
            listener = self._listen(port)
        except OSError as error:
            uid = objects.metadata(service)["uid"]
            if self._refused.get(port) != uid:
                self._refused[port] = uid
                said = f"node port {port} cannot be opened on this machine: {error.strerror}. Pods can still reach it"
                self._recorder.event(service, "Warning", "NodePortTaken", said)
            return
        self._refused.pop(port, None)
        relay = host_relay(listener, port)
        self._relays[port] = asyncio.create_task(relay.run(), name=relay.name)

    async def _close(self, ports: set[int]) -> None:
        ended = [self._relays.pop(port) for port in ports]
        for relay in ended:
            relay.cancel()
        await asyncio.gather(*ended, return_exceptions=True)


def _ports(service: Object) -> Iterator[int]:
    for port in service["spec"].get("ports") or ():
        if port.get("nodePort") and (port.get("protocol") or "TCP") == "TCP":
            yield port["nodePort"]
