"""The API for callers inside this process: the same front desk, without socket, TLS or encoding.

Objects come straight from the store and are shared: `kube.model.objects` says what that means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.answer import JSON, Answer, WatchAnswer
from seatrial.kube.client.transport import Request, Response, WatchEvent
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.cluster.apiserver.api import Api
    from seatrial.cluster.apiserver.auth.user import User


class InProcessTransport:
    """Acts as one user; satisfies `kube.client.transport.Transport`."""

    def __init__(self, api: Api, user: User) -> None:
        self._api = api
        self._user = user

    async def send(self, request: Request) -> Response:
        answer = await self._api.handle(request, self._user)
        if not isinstance(answer, Answer):
            raise TypeError("a watch goes through watch(), and a stream needs a connection")
        if answer.status >= 400:
            raise StatusError(answer.status, "InternalError", answer.data.decode(errors="replace"))
        if answer.content_type != JSON:  # health, logs
            return Response(answer.status, answer.headers, answer.data)
        return Response(answer.status, answer.headers, object=answer.object)

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        answer = await self._api.handle(request, self._user)
        if not isinstance(answer, WatchAnswer):
            raise TypeError("not a watch: set the query parameter watch=true")
        async for batch in answer.batches:
            for delivery in batch:
                if delivery.type == "ERROR":
                    raise StatusError.from_object(delivery.object, 500)
                yield WatchEvent(delivery.type, delivery.object)

    async def close(self) -> None:
        """Nothing to close: the API outlives its callers."""
