"""Lines out of a byte stream, however it is cut and however long a line is (a watch event may be megabytes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator


async def split_lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Lines without their newline, empty ones left out; an unfinished last line is given as it is."""
    begun: list[bytes] = []
    async for chunk in chunks:
        if b"\n" not in chunk:
            begun.append(chunk)  # joined once, at the line's end: a huge line costs one copy, not many
            continue
        first, *middle = chunk.split(b"\n")
        begun.append(first)
        last = middle.pop()
        for line in (b"".join(begun), *middle):
            if line:
                yield line
        begun = [last] if last else []
    if any(begun):
        yield b"".join(begun)
