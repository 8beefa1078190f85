"""Informers: the copy follows the server, whatever happens in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import SystemClock
from seatrial.kube.control import informer as module
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model.resources import Resource
from seatrial.kube.model.selectors import parse_label_selector
from seatrial.kube.model.status import StatusError, too_large_resource_version

if TYPE_CHECKING:
    import pytest
    from tests.unit.kube.control.conftest import World

    from seatrial.kube.model.objects import Object

PODS = Resource("", "v1", "Pod", "pods", namespaced=True)


def names(objects: list[Object]) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in objects)


async def test_synced_once_everything_that_exists_is_there(world: World) -> None:
    await world.api.put("a")
    informer = world.informer()
    assert not informer.synced
    world.run(informer.run())
    await informer.wait_synced()
    assert informer.synced
    assert names(informer.list()) == ["a"]


async def test_objects_are_the_servers_own_not_copies(world: World) -> None:
    pod = await world.api.put("a")
    informer = await world.running()
    assert informer.get("default", "a") is pod


async def test_one_watch_is_enough_where_the_server_sends_initial_events(world: World) -> None:
    await world.running()
    await world.api.put("a")
    await world.settle()
    assert (len(world.api.watches()), len(world.api.lists())) == (1, 0)


async def test_list_and_watch_where_it_refuses_initial_events(world: World) -> None:
    world.api.watch_list = False
    await world.api.put("a")
    informer = await world.running()
    await world.api.put("b")
    await world.settle()
    assert names(informer.list()) == ["a", "b"]
    assert len(world.api.lists()) == 1


async def test_list_and_watch_where_the_closing_bookmark_never_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_LIST_PATIENCE", 0.01)
    monkeypatch.setattr(module, "_ends_initial_events", lambda bookmark: False)
    await world.api.put("a")
    informer = await world.running()
    assert names(informer.list()) == ["a"]


async def test_handlers_hear_of_every_change_in_order(world: World) -> None:
    informer = await world.running()
    heard = world.recorder()
    informer.on_change(heard)
    await world.api.put("a")
    await world.api.put("a", spec={})
    await world.api.delete("a")
    await world.settle()
    assert heard.seen == ["+a", "~a", "-a"]


async def test_a_late_handler_hears_of_what_is_there(world: World) -> None:
    await world.api.put("a")
    informer = await world.running()
    heard = world.recorder()
    informer.on_change(heard)
    assert heard.seen == ["+a"]


async def test_a_crashing_handler_does_not_stop_the_others(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def crash(old: Any, new: Any) -> None:
        raise RuntimeError("bug")

    informer = await world.running()
    heard = world.recorder()
    informer.on_change(crash)
    informer.on_change(heard)
    await world.api.put("a")
    await world.settle()
    assert heard.seen == ["+a"]
    assert "informer handler crashed" in caplog.text


async def test_a_watch_that_ended_resumes_where_it_was(world: World) -> None:
    informer = await world.running()
    heard = world.recorder()
    informer.on_change(heard)
    await world.api.put("a")
    await world.settle()
    last = world.api.revision
    await world.api.cut()
    await world.api.put("b")
    await world.clock.advance(2)
    assert heard.seen == ["+a", "+b"]
    assert world.api.watches()[-1].param("resourceVersion") == str(last)


async def test_a_bookmark_moves_the_place_to_resume_from(world: World) -> None:
    await world.running()
    await world.api.bookmark()
    await world.settle()
    await world.api.cut()
    await world.clock.advance(2)
    assert world.api.watches()[-1].param("resourceVersion") == str(world.api.revision)


async def test_a_broken_connection_resumes_after_a_delay(world: World) -> None:
    informer = await world.running()
    await world.api.cut(world.unreachable())
    world.api.failures = [world.unreachable(), world.unavailable()]
    await world.settle()
    assert len(world.api.watches()) == 1
    await world.api.put("a")
    await world.clock.advance(10)
    assert names(informer.list()) == ["a"]
    assert world.api.lists() == []


async def test_a_watch_that_is_refused_is_said_aloud(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.api.failures = [world.unreachable(), StatusError(403, "Forbidden", "not yours")]
    informer = world.informer()
    world.run(informer.run())
    await world.clock.advance(10)
    assert informer.synced
    assert [record.__dict__["error"].code for record in caplog.records] == [403]


async def test_delays_grow_while_the_server_is_away(world: World) -> None:
    await world.running()
    await world.api.cut(world.unreachable())
    world.api.failures = [world.unreachable() for _ in range(1000)]
    await world.clock.advance(600)
    assert 20 <= len(world.api.requests) <= 50


async def test_after_410_everything_is_loaded_anew_and_missed_changes_are_told(world: World) -> None:
    await world.api.put("stays")
    await world.api.put("changes")
    await world.api.put("goes")
    informer = await world.running()
    heard = world.recorder()
    informer.on_change(heard)
    heard.seen.clear()
    world.api.failures = [world.unreachable()]
    await world.api.cut()
    await world.api.put("comes")
    await world.api.put("changes", spec={})
    await world.api.delete("goes")
    world.api.compact()
    await world.clock.advance(10)
    assert sorted(heard.seen) == ["+comes", "-goes", "~changes"]
    assert names(informer.list()) == ["changes", "comes", "stays"]


async def test_an_error_event_410_reloads_too(world: World) -> None:
    informer = await world.running()
    await world.api.put("a")
    await world.settle()
    await world.api.cut(StatusError(410, "Expired", "too old"))
    await world.clock.advance(5)
    assert world.api.watches()[-1].param("sendInitialEvents") == "true"
    assert names(informer.list()) == ["a"]


async def test_a_server_restored_from_older_data_is_loaded_anew(world: World) -> None:
    await world.api.put("a")
    informer = await world.running()
    world.api.pods.clear()
    await world.api.cut(too_large_resource_version(100, 1))
    await world.clock.advance(5)
    assert informer.list() == []


async def test_recreated_between_two_looks_is_gone_and_new(world: World) -> None:
    await world.api.put("a", uid="first")
    informer = await world.running()
    heard = world.recorder()
    informer.on_change(heard)
    await world.api.put("a", uid="second")
    await world.settle()
    assert heard.seen == ["+a", "-a", "+a"]


async def test_deletion_tells_the_last_state(world: World) -> None:
    await world.api.put("a")
    informer = await world.running()
    told: list[Any] = []
    informer.on_change(lambda old, new: told.append(old) if new is None else None)
    await world.api.delete("a")
    await world.settle()
    assert told[0]["metadata"]["resourceVersion"] == str(world.api.revision)


async def test_lists_by_namespace_and_labels(world: World) -> None:
    await world.api.put("a", "one", labels={"app": "web"})
    await world.api.put("b", "one")
    await world.api.put("c", "two", labels={"app": "web"})
    informer = await world.running()
    web = parse_label_selector("app=web")
    assert names(informer.list("one")) == ["a", "b"]
    assert names(informer.list(None, web)) == ["a", "c"]
    assert names(informer.list("two", web)) == ["c"]
    assert informer.list("three") == []
    assert informer.get("three", "a") is None


async def test_an_index_follows_changes(world: World) -> None:
    await world.api.put("a", spec={"nodeName": "n1"})
    informer = await world.running()
    informer.add_index("node", lambda pod: [pod["spec"]["nodeName"]])
    assert names(informer.by_index("node", "n1")) == ["a"]
    await world.api.put("a", spec={"nodeName": "n2"})
    await world.api.put("b", spec={"nodeName": "n2"})
    await world.settle()
    assert informer.by_index("node", "n1") == []
    assert names(informer.by_index("node", "n2")) == ["a", "b"]
    await world.api.delete("a")
    await world.settle()
    assert names(informer.by_index("node", "n2")) == ["b"]


async def test_selectors_reach_the_server(world: World) -> None:
    factory = InformerFactory(world.client, world.clock, world.tasks)
    factory.get(PODS, "ns", "app=web", "spec.nodeName=n1")
    factory.start()
    await factory.wait_synced()
    request = world.api.watches()[0]
    assert request.path == "/api/v1/namespaces/ns/pods"
    assert request.param("labelSelector") == "app=web"
    assert request.param("fieldSelector") == "spec.nodeName=n1"


async def test_a_factory_shares_informers_and_starts_late_ones_at_once(world: World) -> None:
    factory = InformerFactory(world.client, world.clock, world.tasks)
    shared = factory.get(PODS)
    assert factory.get(PODS) is shared
    await world.settle()
    assert world.api.requests == []
    factory.start()
    late = factory.get(PODS, "other")
    assert late is not shared
    await factory.wait_synced()
    assert shared.synced
    assert late.synced


async def test_cancelling_closes_the_watch(world: World) -> None:
    informer = world.informer()
    informer._clock = SystemClock()
    task = world.run(informer.run())
    await informer.wait_synced()
    task.cancel()
    await world.settle()
    assert task.cancelled()
