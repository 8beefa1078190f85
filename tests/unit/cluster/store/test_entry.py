"""Entries and events: what is derived from the encoding, and when it is let go."""

from __future__ import annotations

from seatrial.cluster.store.entry import Entry
from seatrial.cluster.store.event import ADDED, DELETED, MODIFIED, Event


def entry(revision: int = 7) -> Entry:
    return Entry.encoded("pods", "a", "x", revision, {"metadata": {"name": "x"}})


def test_the_object_is_parsed_once_and_comes_back_after_cooling() -> None:
    loaded = Entry("pods", "a", "x", 7, b'{"metadata":{"name":"x"}}')
    first = loaded.object
    assert loaded.object is first
    loaded.cool()
    assert loaded.object == first
    assert loaded.object is not first


def test_an_entry_reads_as_resource_and_name() -> None:
    assert str(entry()) == 'pods "a/x"'
    assert str(Entry("nodes", "", "n", 1, b"{}")) == 'nodes "n"'
    assert repr(entry()) == '<Entry pods "a/x" @7>'


def test_a_frame_is_one_line_made_once() -> None:
    event = Event(ADDED, entry(), None)
    assert event.frame == b'{"type":"ADDED","object":{"metadata":{"name":"x","resourceVersion":"7"}}}\n'
    assert event.frame is event.frame


def test_cooling_an_event_keeps_what_is_current() -> None:
    old, new = entry(1), entry(2)
    event = Event(MODIFIED, new, old)
    frame, current, past = event.frame, new.object, old.object
    event.cool()
    assert new.object is current
    assert old.object == past and old.object is not past
    assert event.frame == frame and event.frame is not frame


def test_a_deleted_object_cools_altogether() -> None:
    old = entry(1)
    event = Event(DELETED, old.buried(2), old)
    last = event.entry.object
    event.cool()
    assert event.entry.object == last and event.entry.object is not last
    assert repr(event) == '<Event DELETED pods "a/x" @2>'
