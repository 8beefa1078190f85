"""Whatever happens to the server and the connection, the copy and the handlers' view end up as the server is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.unit.kube.control.conftest import World

    from seatrial.kube.model.objects import Object

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["put", "delete", "recreate"]), st.sampled_from("ab")),
        st.tuples(st.sampled_from(["end", "break", "lose", "refuse", "bookmark", "pass"]), st.just("")),
    ),
    max_size=25,
)


class Mirror:
    """Rebuilds the objects from what a handler is told; refuses what cannot follow."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.problems: list[str] = []

    def __call__(self, old: Object | None, new: Object | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        known = self.objects.pop(name, None)
        if old is None and known is not None:
            self.problems.append(f"{name} added twice")
        if old is not None and (known is None or known["metadata"]["uid"] != old["metadata"]["uid"]):
            self.problems.append(f"{name} changed or removed before it was added")
        if old is not None and new is not None and not _follows(old, new):
            self.problems.append(f"{name} went back, or became another object without being removed")
        if new is not None:
            self.objects[name] = new


def _follows(old: Object, new: Object) -> bool:
    before, after = old["metadata"], new["metadata"]
    return before["uid"] == after["uid"] and int(before["resourceVersion"]) < int(after["resourceVersion"])


async def shuffle(world: World) -> None:
    """While nobody watches: one object goes, one is made anew, one comes."""
    for name in "ab":
        if ("default", name) in world.api.pods:
            await world.api.delete(name)
    await world.api.put("b")


async def act(world: World, verb: str, name: str) -> None:
    api = world.api
    exists = ("default", name) in api.pods
    match verb:
        case "put":
            await api.put(name, spec={"at": api.revision})
        case "delete" if exists:
            await api.delete(name)
        case "recreate" if exists:
            await api.delete(name)
            await api.put(name)
        case "end":
            await api.cut()
        case "break":
            await api.cut(world.unreachable())
        case "refuse":
            api.failures.append(world.unavailable())
        case "lose":
            await api.cut(world.unreachable())
            await world.settle()
            await shuffle(world)
            api.compact()
        case "bookmark":
            await api.bookmark()
        case "pass":
            await world.clock.advance(1)


@settings(max_examples=150, deadline=None)
@given(steps=steps, watch_list=st.booleans())
async def test_the_copy_agrees_with_the_server_in_the_end(
    worlds: Callable[[], AbstractAsyncContextManager[World]], steps: list[tuple[str, str]], watch_list: bool
) -> None:
    async with worlds() as world:
        world.api.watch_list = watch_list
        informer = world.informer()
        informer.add_index("uid", lambda pod: [pod["metadata"]["uid"]])
        mirror = Mirror()
        informer.on_change(mirror)
        world.run(informer.run())
        for verb, name in steps:
            await act(world, verb, name)
            await world.settle()
        await world.clock.advance(300)
        server = {name: pod for (_, name), pod in world.api.pods.items()}
        assert {pod["metadata"]["name"]: pod for pod in informer.list()} == server
        assert mirror.objects == server
        assert mirror.problems == []
        for pod in server.values():
            assert informer.by_index("uid", pod["metadata"]["uid"]) == [pod]
