"""Events: told once, counted after that, and never in the way of the controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.control import events as module
from seatrial.kube.control.events import EventRecorder
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    import pytest
    from tests.unit.kube.control.conftest import World

    from seatrial.kube.client.transport import Request
    from seatrial.kube.model.objects import Object

POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop", "uid": "u1", "resourceVersion": "5"},
}


def recording(world: World) -> EventRecorder:
    recorder = EventRecorder(world.client, world.clock, "kubelet", "node-1")
    world.api.answer = lambda request: {}
    world.run(recorder.run())
    return recorder


def body(request: Request) -> Object:
    assert isinstance(request.body, dict)
    return request.body


async def test_an_event_becomes_an_object_beside_what_it_is_about(world: World) -> None:
    recording(world).event(POD, "Warning", "Failed", "no image", field_path="spec.containers{app}")
    await world.settle()
    request = world.api.requests[0]
    assert (request.method, request.path) == ("POST", "/api/v1/namespaces/shop/events")
    event = body(request)
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web",
        "uid": "u1",
        "resourceVersion": "5",
        "fieldPath": "spec.containers{app}",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Failed", "no image")
    assert event["source"] == {"component": "kubelet", "host": "node-1"}
    assert (event["count"], event["firstTimestamp"]) == (1, event["lastTimestamp"])
    assert event["metadata"]["name"].startswith("web.")


async def test_events_of_cluster_scoped_objects_go_to_the_default_namespace(world: World) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    recording(world).event(node, "Normal", "Ready", "up")
    await world.settle()
    assert world.api.requests[0].path == "/api/v1/namespaces/default/events"


async def test_a_repeat_raises_the_count_of_the_same_object(world: World) -> None:
    recorder = recording(world)
    recorder.event(POD, "Normal", "Pulled", "ok")
    await world.settle()
    await world.clock.advance(60)
    recorder.event(POD, "Normal", "Pulled", "ok")
    await world.settle()
    first, second = world.api.requests
    assert second.method == "PATCH"
    assert second.path.endswith(body(first)["metadata"]["name"])
    assert body(second) == {"count": 2, "lastTimestamp": "2023-11-14T22:14:20Z"}


async def test_repeats_that_come_at_once_are_written_once(world: World) -> None:
    recorder = recording(world)
    for _ in range(50):
        recorder.event(POD, "Normal", "Pulled", "ok")
    await world.settle()
    assert [body(request)["count"] for request in world.api.requests] == [50]


async def test_another_message_is_another_event(world: World) -> None:
    recorder = recording(world)
    recorder.event(POD, "Normal", "Pulled", "one")
    recorder.event(POD, "Normal", "Pulled", "two")
    await world.settle()
    assert [request.method for request in world.api.requests] == ["POST", "POST"]
    names = {body(request)["metadata"]["name"] for request in world.api.requests}
    assert len(names) == 2


async def test_a_repeat_of_an_expired_event_is_written_anew(world: World) -> None:
    recorder = recording(world)
    recorder.event(POD, "Normal", "Pulled", "ok")
    await world.settle()
    world.api.failures = [StatusError(404, "NotFound", "gone")]
    recorder.event(POD, "Normal", "Pulled", "ok")
    await world.settle()
    assert [request.method for request in world.api.requests] == ["POST", "PATCH", "POST"]


async def test_a_server_that_is_away_is_tried_again(world: World) -> None:
    recorder = recording(world)
    world.api.failures = [world.unreachable(), world.unavailable()]
    recorder.event(POD, "Normal", "Pulled", "ok")
    await world.clock.advance(10)
    assert len(world.api.requests) == 3


async def test_an_event_the_server_refuses_is_dropped(world: World) -> None:
    recorder = recording(world)
    world.api.failures = [StatusError(403, "Forbidden", "namespace is being terminated")]
    recorder.event(POD, "Normal", "Pulled", "ok")
    recorder.event(POD, "Normal", "Started", "ok")
    await world.settle()
    assert [body(request)["reason"] for request in world.api.requests] == ["Pulled", "Started"]


async def test_what_waits_is_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 2)
    recorder = recording(world)
    for number in range(3):
        recorder.event(POD, "Normal", "Pulled", str(number))
    await world.settle()
    assert len(world.api.requests) == 2
    assert "event dropped" in caplog.text


async def test_a_long_message_is_cut_to_what_the_api_takes(world: World) -> None:
    recording(world).event(POD, "Normal", "Pulled", "x" * 5000)
    await world.settle()
    assert len(body(world.api.requests[0])["message"]) == 1024


async def test_a_repeat_is_known_although_the_object_has_changed(world: World) -> None:
    recorder = recording(world)
    recorder.event(POD, "Normal", "Pulled", "ok")
    newer = {**POD, "metadata": {**POD["metadata"], "resourceVersion": "6"}}
    recorder.event(newer, "Normal", "Pulled", "ok")
    await world.settle()
    assert [body(request)["count"] for request in world.api.requests] == [2]


async def test_one_recorder_can_speak_for_several_components(world: World) -> None:
    recording(world).event(POD, "Normal", "Scheduled", "ok", component="default-scheduler", host="n1")
    await world.settle()
    event = body(world.api.requests[0])
    assert event["source"] == {"component": "default-scheduler", "host": "n1"}
    assert (event["reportingComponent"], event["reportingInstance"]) == ("default-scheduler", "n1")
