"""What nodes have left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.cluster.scheduler.making import Land, asking, node, pod

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def on(name: str, made: Object) -> Object:
    return {**made, "spec": {**made["spec"], "nodeName": name}}


def test_an_assumed_pod_takes_its_room_at_once() -> None:
    land = Land(node("a")).put("a", pod(containers=[asking("1")]))
    assert (land.state("a").free("cpu"), land.state("a").free("pods")) == (3000, 109)


def test_the_api_saying_so_too_counts_once() -> None:
    made = pod(containers=[asking("1")])
    land = Land(node("a")).put("a", made)
    land.ledger.pod_changed(made, on("a", made))
    assert land.state("a").free("cpu") == 3000


def test_an_update_from_before_the_binding_does_not_free_the_room() -> None:
    made = pod(containers=[asking("1")])
    land = Land(node("a")).put("a", made)
    land.ledger.pod_changed(made, made)
    assert land.state("a").free("cpu") == 3000


def test_a_pod_that_has_ended_or_is_gone_takes_nothing() -> None:
    first, second = pod("one", containers=[asking("1")]), pod("two", containers=[asking("2")])
    land = Land(node("a")).put("a", first, second)
    land.ledger.pod_changed(first, {**on("a", first), "status": {"phase": "Succeeded"}})
    assert land.state("a").free("cpu") == 2000
    land.ledger.pod_changed(second, None)
    assert (land.state("a").free("cpu"), land.state("a").free("pods")) == (4000, 110)


def test_a_pod_that_ended_stays_off_the_books_when_it_is_deleted() -> None:
    made = {**on("a", pod(containers=[asking("1")])), "status": {"phase": "Failed"}}
    land = Land(node("a"))
    land.ledger.pod_changed(None, made)
    land.ledger.pod_changed(made, None)
    assert land.state("a").free("cpu") == 4000


def test_a_binding_that_failed_frees_the_room_and_the_ports() -> None:
    made = pod(containers=[asking("1", ports=[{"containerPort": 80, "hostPort": 80}])])
    land = Land(node("a")).put("a", made)
    assert land.state("a").taken_ports
    land.ledger.forget(made)
    assert land.state("a").free("cpu") == 4000
    assert not land.state("a").taken_ports


def test_a_pod_bound_elsewhere_than_assumed_counts_there() -> None:
    made = pod(containers=[asking("1")])
    land = Land(node("a"), node("b")).put("a", made)
    land.ledger.pod_changed(made, on("b", made))
    assert (land.state("a").free("cpu"), land.state("b").free("cpu")) == (4000, 3000)


def test_a_pod_whose_requests_change_counts_as_it_is_now() -> None:
    old, new = on("a", pod(containers=[asking("1")])), on("a", pod(containers=[asking("3")]))
    land = Land(node("a"))
    land.ledger.pod_changed(None, old)
    land.ledger.pod_changed(old, new)
    assert land.state("a").free("cpu") == 1000


def test_pods_known_before_their_node_count_when_it_comes() -> None:
    land = Land().put("a", pod(containers=[asking("1")]))
    assert list(land.states) == []
    land.ledger.node_changed(None, node("a"))
    assert land.state("a").free("cpu") == 3000


def test_a_node_that_comes_back_still_has_its_pods() -> None:
    land = Land(node("a")).put("a", pod(containers=[asking("1")]))
    land.ledger.node_changed(node("a"), None)
    assert list(land.states) == []
    land.ledger.node_changed(None, node("a"))
    assert land.state("a").free("cpu") == 3000


def test_nothing_is_remembered_of_a_node_that_is_gone_with_its_pods() -> None:
    made = pod()
    land = Land(node("a")).put("a", made)
    land.ledger.node_changed(node("a"), None)
    land.ledger.forget(made)
    assert land.ledger._nodes == {}


def test_nodes_come_by_name() -> None:
    land = Land(node("b"), node("c"), node("a"))
    assert [objects.name(state.node or {}) for state in land.states] == ["a", "b", "c"]
