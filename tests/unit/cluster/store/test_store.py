"""Reading and writing: revisions, conditions, listing, and lists of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.base.clock import ManualClock
from seatrial.cluster.store.errors import Changed, Compacted, Exists, Missing, StoreClosed
from seatrial.cluster.store.store import Store

if TYPE_CHECKING:
    from seatrial.cluster.store.entry import Entry


@pytest.fixture
def store() -> Store:
    return Store.open(None, clock=ManualClock())


def pod(name: str, namespace: str = "a", **labels: str) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels}}


def create(store: Store, name: str, namespace: str = "a") -> Entry:
    return store.create("pods", namespace, name, pod(name, namespace))


def names(entries: list[Entry]) -> list[str]:
    return [f"{entry.namespace}/{entry.name}" for entry in entries]


def test_every_write_takes_the_next_revision_of_all_resources(store: Store) -> None:
    first = create(store, "x")
    second = store.create("nodes", "", "n", {"metadata": {"name": "n"}})
    third = store.update("pods", "a", "x", pod("x"), None)
    assert [first.revision, second.revision, third.revision, store.revision] == [1, 2, 3, 3]


def test_the_object_and_its_encoding_carry_the_revision(store: Store) -> None:
    create(store, "other")
    entry = create(store, "x")
    assert entry.object["metadata"]["resourceVersion"] == "2"
    assert orjson.loads(entry.data) == entry.object


def test_an_object_without_metadata_gets_some(store: Store) -> None:
    assert store.create("pods", "a", "x", {}).object == {"metadata": {"resourceVersion": "1"}}


def test_create_of_what_exists_names_it(store: Store) -> None:
    there = create(store, "x")
    with pytest.raises(Exists, match='pods "a/x" already exists') as caught:
        create(store, "x")
    assert caught.value.entry is there
    assert store.revision == 1


def test_update_expects_the_revision_it_was_told(store: Store) -> None:
    first = create(store, "x")
    second = store.update("pods", "a", "x", pod("x", tier="web"), first.revision)
    with pytest.raises(Changed, match="is at revision 2, expected 1") as caught:
        store.update("pods", "a", "x", pod("x"), first.revision)
    assert caught.value.entry is second
    assert store.get("pods", "a", "x") is second


@pytest.mark.parametrize("expected", [None, 1])
def test_writes_to_what_is_missing_say_so(store: Store, expected: int | None) -> None:
    with pytest.raises(Missing, match='pods "a/x" not found'):
        store.update("pods", "a", "x", pod("x"), expected)
    with pytest.raises(Missing, match='nodes "n" not found'):
        store.delete("nodes", "", "n", expected)


def test_delete_returns_the_last_state_at_its_own_revision(store: Store) -> None:
    entry = create(store, "x")
    tombstone = store.delete("pods", "a", "x", entry.revision)
    assert tombstone.revision == 2
    assert tombstone.object == {**entry.object, "metadata": {**entry.object["metadata"], "resourceVersion": "2"}}
    assert entry.object["metadata"]["resourceVersion"] == "1"
    assert store.get("pods", "a", "x") is None


def test_delete_expects_the_revision_it_was_told(store: Store) -> None:
    create(store, "x")
    store.update("pods", "a", "x", pod("x"), None)
    with pytest.raises(Changed):
        store.delete("pods", "a", "x", 1)
    assert store.count("pods") == 1


def test_what_cannot_be_encoded_changes_nothing(store: Store) -> None:
    with pytest.raises(TypeError):
        store.create("pods", "a", "x", {"metadata": {}, "spec": object()})
    assert (store.revision, store.count("pods")) == (0, 0)


def test_lists_are_sorted_by_namespace_and_name(store: Store) -> None:
    for namespace, name in [("b", "z"), ("a", "y"), ("b", "c"), ("a", "x-1"), ("a", "x"), ("ab", "q")]:
        create(store, name, namespace)
    store.delete("pods", "a", "y", None)
    assert names(store.list("pods")) == ["a/x", "a/x-1", "ab/q", "b/c", "b/z"]
    assert names(store.list("pods", "b")) == ["b/c", "b/z"]
    assert store.list("pods", "nowhere") == store.list("nodes") == []


def test_counts_and_resources(store: Store) -> None:
    create(store, "x")
    create(store, "y", "b")
    store.create("nodes", "", "n", {})
    store.create("leases.coordination.k8s.io", "a", "l", {})
    store.delete("nodes", "", "n", None)
    assert (store.count("pods"), store.count("pods", "b"), store.count("nodes")) == (2, 1, 0)
    assert store.resources() == ["leases.coordination.k8s.io", "pods"]


def test_a_list_of_the_past_undoes_what_came_later(store: Store) -> None:
    kept, changed, deleted = create(store, "k"), create(store, "c"), create(store, "d")
    then = store.revision
    store.update("pods", "a", "c", pod("c", new="yes"), None)
    store.delete("pods", "a", "d", None)
    create(store, "d")
    create(store, "n")
    store.update("pods", "a", "n", pod("n"), None)
    assert store.list_at("pods", None, then) == [changed, deleted, kept]


def test_a_list_of_the_past_is_of_one_namespace_if_asked(store: Store) -> None:
    first = create(store, "x", "a")
    create(store, "x", "b")
    store.delete("pods", "a", "x", None)
    store.delete("pods", "b", "x", None)
    assert store.list_at("pods", "a", 2) == [first]


def test_a_past_that_was_compacted_is_refused(store: Store) -> None:
    create(store, "x")
    create(store, "y")
    store.compact()
    with pytest.raises(Compacted, match="known from revision 2 on, asked for 1") as caught:
        store.list_at("pods", None, 1)
    assert caught.value.oldest == 2
    assert names(store.list_at("pods", None, 2)) == ["a/x", "a/y"]


def test_a_closed_store_takes_no_writes(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreClosed):
        create(store, "x")
    with pytest.raises(StoreClosed):
        store.subscribe("pods", None, 0)
