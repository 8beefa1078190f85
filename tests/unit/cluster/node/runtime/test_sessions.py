from __future__ import annotations

import asyncio

from seatrial.cluster.node.runtime.sessions import ENOUGH, Outlet


async def test_output_comes_in_order_until_both_streams_end() -> None:
    outlet = Outlet({"stdout", "stderr"}, lambda _full: None)
    outlet.put("stdout", b"1")
    outlet.put("stderr", b"2")
    outlet.put("stdout", b"")
    asyncio.get_running_loop().call_soon(outlet.put, "stderr", b"3")
    asyncio.get_running_loop().call_soon(outlet.end)
    assert [item async for item in outlet.blocks()] == [("stdout", b"1"), ("stderr", b"2"), ("stderr", b"3")]


async def test_whoever_fills_it_is_held_until_all_was_taken() -> None:
    told: list[bool] = []
    outlet = Outlet({"stdout"}, told.append)
    outlet.put("stdout", b"x" * ENOUGH)
    outlet.put("stdout", b"more")
    assert told == [True]
    asyncio.get_running_loop().call_soon(outlet.end)
    taken = [block async for _, block in outlet.blocks()]
    assert (len(taken), told) == (2, [True, False])
