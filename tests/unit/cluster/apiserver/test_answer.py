"""Large answers go out in pieces, so that a client that does not read costs little."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.cluster.apiserver.answer import PIECE, Answer, ListAnswer, Notice, WatchAnswer
from seatrial.cluster.apiserver.app import App
from seatrial.cluster.store.entry import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from seatrial.cluster.apiserver.auth.user import User
    from seatrial.kube.client.transport import Request

LARGE = "x" * 100_000


def entries(count: int, value: str) -> list[Entry]:
    return [
        Entry.encoded("things", "", f"t{n}", n + 1, {"metadata": {"name": f"t{n}"}, "v": value}) for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 300])
@pytest.mark.parametrize("value", ["", "x" * 1_000, LARGE])
def test_the_pieces_of_a_list_are_the_list(count: int, value: str) -> None:
    answer = ListAnswer({"kind": "ThingList", "metadata": {}}, entries(count, value))
    data = b"".join(answer.chunks())
    assert len(data) == answer.size
    assert orjson.loads(data) == answer.object


@pytest.mark.parametrize(
    "answer",
    [
        ListAnswer({"kind": "ThingList"}, entries(30, LARGE)),
        Answer(object={"v": LARGE * 30}),
    ],
    ids=["list", "object"],
)
def test_no_piece_is_much_larger_than_the_others(answer: Answer) -> None:
    assert max(map(len, answer.chunks())) < 2 * PIECE
    assert b"".join(answer.chunks()) == answer.data


async def test_the_events_of_a_watch_go_out_in_pieces() -> None:
    sent = await _watched([Notice("ADDED", {"v": LARGE}) for _ in range(30)])
    assert max(map(len, sent)) < 2 * PIECE
    assert b"".join(sent).count(b"\n") == 30


async def test_small_events_go_out_together() -> None:
    sent = await _watched([Notice("ADDED", {"v": 1}) for _ in range(30)])
    assert [piece.count(b"\n") for piece in sent] == [30]


async def _watched(batch: Sequence[Notice]) -> list[bytes]:
    """The pieces that a client gets which watches, and stays."""
    sent: list[bytes] = []

    class Api:
        async def handle(self, request: Request, user: User) -> WatchAnswer:
            return WatchAnswer(_once(batch))

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message.get("body"):
            sent.append(message["body"])

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    await App(Api(), None)(scope, receive, send)  # type: ignore[arg-type]
    return sent


async def _once(batch: Sequence[Notice]) -> AsyncIterator[Sequence[Notice]]:
    yield batch
