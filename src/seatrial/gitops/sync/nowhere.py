"""The context of an operation whose destination is not known: it can be ended, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from seatrial.gitops.sync.context import Context
from seatrial.kube.client.client import Client
from seatrial.kube.client.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from seatrial.base.clock import Clock
    from seatrial.kube.client.transport import Request, Response, WatchEvent
    from seatrial.kube.model.objects import Object, Ref
    from seatrial.kube.model.resources import Resource


class _Nobody:
    """A transport and a live copy of no cluster."""

    async def send(self, _request: Request) -> Response:
        self._refuse()

    def watch(self, _request: Request) -> AsyncIterator[WatchEvent]:
        self._refuse()

    async def close(self) -> None:
        pass

    async def resource(self, _api_version: str, _kind: str) -> Resource:
        self._refuse()

    def get(self, _ref: Ref, _api_version: str) -> Object | None:
        return None

    def tracked(self, _instance: str) -> Mapping[Ref, Object]:
        return {}

    def _refuse(self) -> NoReturn:
        raise TransportError("the destination of this operation is not known")


def context(clock: Clock) -> Context:
    nobody = _Nobody()
    return Context(Client(nobody), clock, nobody, nobody.resource, lambda _: None)
