"""Lines come out whole, however the stream is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from seatrial.kube.client.lines import split_lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def lines(chunks: list[bytes]) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [line async for line in split_lines(stream())]


@given(st.lists(st.binary(max_size=6).map(lambda raw: raw.replace(b"\x00", b"\n"))))
async def test_any_cut_gives_the_same_lines(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert await lines(chunks) == [line for line in whole.split(b"\n") if line]


async def test_an_unfinished_last_line_is_given() -> None:
    assert await lines([b"a\nb", b"c"]) == [b"a", b"bc"]
