"""Which nodes run a daemon pod, and how pods are kept and replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.base.clock import parse_time
from seatrial.cluster.controllers.daemonset import placement, plan
from seatrial.cluster.controllers.daemonset.placement import Verdict

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NOW = parse_time("2026-01-01T01:00:00Z")
NEW, OLD = "new", "old"


def daemon_set(unavailable: Any = 1, surge: Any = 0, pod: Object | None = None, **spec: Any) -> Object:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default", "uid": "ds", "generation": 1},
        "spec": {"updateStrategy": rolling, "template": {"metadata": {}, "spec": pod or {}}, **spec},
    }


def node(name: str, taints: list[Object] | None = None, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints or []}}


def pod(
    name: str, on: str, mark: str = NEW, *, ready: bool = True, phase: str = "Running", going: bool = False
) -> Object:
    meta: Object = {"name": name, "uid": name, "labels": {"controller-revision-hash": mark}}
    if going:
        meta["deletionTimestamp"] = "2026-01-01T00:59:00Z"
    since = "2026-01-01T00:59:00Z"
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}
    return {"metadata": meta, "spec": {"nodeName": on}, "status": {"phase": phase, "conditions": [condition]}}


def view(found: Object, nodes: list[Object], pods: list[Object]) -> plan.View:
    return plan.View(found, nodes, placement.by_node(pods), NEW, NOW)


def shown(steps: plan.Steps) -> tuple[list[str], list[str]]:
    return sorted(steps.create), sorted(gone["metadata"]["name"] for gone in steps.delete)


def taint(effect: str, key: str = "k") -> Object:
    return {"key": key, "value": "v", "effect": effect}


# placement


@pytest.mark.parametrize(
    ("spec", "found", "expected"),
    [
        ({}, node("a"), Verdict(True, True)),
        ({"nodeSelector": {"disk": "ssd"}}, node("a"), Verdict(False, False)),
        ({"nodeSelector": {"disk": "ssd"}}, node("a", disk="ssd"), Verdict(True, True)),
        ({"nodeName": "b"}, node("a"), Verdict(False, False)),
        ({}, node("a", [taint("NoSchedule")]), Verdict(False, True)),
        ({}, node("a", [taint("NoExecute")]), Verdict(False, False)),
        ({}, node("a", [taint("PreferNoSchedule")]), Verdict(True, True)),
        ({"tolerations": [{"key": "k", "value": "v"}]}, node("a", [taint("NoExecute")]), Verdict(True, True)),
        ({"tolerations": [{"key": "k", "value": "w"}]}, node("a", [taint("NoSchedule")]), Verdict(False, True)),
        ({"tolerations": [{"operator": "Exists"}]}, node("a", [taint("NoExecute")]), Verdict(True, True)),
    ],
)
def test_selector_name_and_taints_decide(spec: Object, found: Object, expected: Verdict) -> None:
    assert placement.verdict(daemon_set(pod=spec), found) == expected


@pytest.mark.parametrize(
    ("key", "effect", "host_network", "runs"),
    [
        ("node.kubernetes.io/not-ready", "NoExecute", False, True),
        ("node.kubernetes.io/unreachable", "NoExecute", False, True),
        ("node.kubernetes.io/unschedulable", "NoSchedule", False, True),
        ("node.kubernetes.io/memory-pressure", "NoSchedule", False, True),
        ("node.kubernetes.io/network-unavailable", "NoSchedule", False, False),
        ("node.kubernetes.io/network-unavailable", "NoSchedule", True, True),
        ("node.kubernetes.io/not-ready", "NoSchedule", False, False),
    ],
)
def test_troubles_of_nodes_are_tolerated(key: str, effect: str, host_network: bool, runs: bool) -> None:
    found = node("a", [taint(effect, key)])
    assert placement.verdict(daemon_set(pod={"hostNetwork": host_network}), found).should_run is runs


def affinity(*terms: Object) -> Object:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("term", "runs"),
    [
        ({"matchExpressions": [{"key": "cpus", "operator": "Gt", "values": ["4"]}]}, True),
        ({"matchExpressions": [{"key": "cpus", "operator": "Lt", "values": ["4"]}]}, False),
        ({"matchExpressions": [{"key": "cpus", "operator": "In", "values": ["8"]}]}, True),
        ({"matchExpressions": [{"key": "cpus", "operator": "NotIn", "values": ["8"]}]}, False),
        ({"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}, True),
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}, True),
        ({}, False),
    ],
)
def test_required_affinity_decides(term: Object, runs: bool) -> None:
    assert placement.verdict(daemon_set(pod=affinity(term)), node("a", cpus="8")).should_run is runs


def test_one_matching_term_is_enough() -> None:
    terms = affinity(
        {"matchExpressions": [{"key": "x", "operator": "Exists"}]},
        {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["b"]}]},
    )
    assert placement.verdict(daemon_set(pod=terms), node("a")).should_run


def test_a_pod_is_tied_to_its_node_and_keeps_other_preferences() -> None:
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}
    spec = {"affinity": {"nodeAffinity": preferred}}
    made = placement.pod_for(daemon_set(pod=spec), "a", NEW)
    required = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]}
    node_affinity = made["spec"]["affinity"]["nodeAffinity"]
    assert node_affinity == {**preferred, "requiredDuringSchedulingIgnoredDuringExecution": required}
    assert placement.target(made) == "a"
    assert made["metadata"]["labels"] == {"controller-revision-hash": NEW}


# keeping


def test_every_admitted_node_gets_one_pod() -> None:
    nodes = [node("a"), node("b"), node("c", [taint("NoSchedule")])]
    assert shown(plan.manage(view(daemon_set(), nodes, [pod("p", "a")]))) == (["b"], [])


def test_a_pod_leaves_a_node_that_evicts_it_but_not_one_that_only_stops_new_ones() -> None:
    nodes = [node("a", [taint("NoExecute")]), node("b", [taint("NoSchedule")])]
    assert shown(plan.manage(view(daemon_set(), nodes, [pod("p", "a"), pod("q", "b")]))) == ([], ["p"])


def test_a_node_waits_for_its_last_pod_to_be_gone() -> None:
    assert shown(plan.manage(view(daemon_set(), [node("a")], [pod("p", "a", going=True)]))) == ([], [])
    surging = daemon_set(0, 1)
    assert shown(plan.manage(view(surging, [node("a")], [pod("p", "a", going=True)]))) == (["a"], [])


def test_of_two_pods_on_a_node_the_younger_goes() -> None:
    older, younger = pod("old", "a"), pod("young", "a")
    older["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    younger["metadata"]["creationTimestamp"] = "2026-01-01T00:00:01Z"
    assert shown(plan.manage(view(daemon_set(), [node("a")], [younger, older]))) == ([], ["young"])


def test_finished_pods_are_replaced() -> None:
    steps = plan.manage(
        view(daemon_set(), [node("a"), node("b")], [pod("p", "a", phase="Failed"), pod("q", "b", phase="Succeeded")])
    )
    assert [found["metadata"]["name"] for found in steps.failed] == ["p"]
    assert shown(steps) == ([], ["q"])


def test_an_unbound_pod_for_a_node_that_is_gone_is_deleted() -> None:
    waiting = placement.pod_for(daemon_set(), "gone", NEW)
    waiting["metadata"]["name"] = "p"
    assert shown(plan.manage(view(daemon_set(), [], [waiting]))) == ([], ["p"])


# updating

THREE = [node("a"), node("b"), node("c")]


@pytest.mark.parametrize(
    ("unavailable", "surge", "nodes", "expected"),
    [("10%", 0, 5, (0, 1)), ("30%", 0, 5, (0, 2)), (0, "30%", 5, (2, 0)), (0, 0, 5, (0, 1)), (0, 0, 0, (0, 0))],
)
def test_both_allowances_round_up(unavailable: Any, surge: Any, nodes: int, expected: tuple[int, int]) -> None:
    assert plan.allowance(daemon_set(unavailable, surge), nodes) == expected


def test_old_pods_go_within_the_budget_and_broken_ones_first() -> None:
    pods = [pod("a1", "a", OLD), pod("b1", "b", OLD), pod("c1", "c", OLD)]
    assert shown(plan.update(view(daemon_set(2), THREE, pods))) == ([], ["a1", "b1"])
    pods[2] = pod("c1", "c", OLD, ready=False)
    assert shown(plan.update(view(daemon_set(1), THREE, pods))) == ([], ["c1"])


def test_a_new_pod_that_is_not_available_uses_up_the_budget() -> None:
    pods = [pod("a1", "a", NEW, ready=False), pod("b1", "b", OLD), pod("c1", "c", OLD)]
    assert shown(plan.update(view(daemon_set(1), THREE, pods))) == ([], [])


def test_a_node_without_a_pod_uses_up_the_budget() -> None:
    assert shown(plan.update(view(daemon_set(1), THREE, [pod("b1", "b", OLD), pod("c1", "c", OLD)]))) == ([], [])


def test_surge_makes_the_new_pod_first_and_then_removes_the_old_one() -> None:
    surging = daemon_set(0, 1)
    pods = [pod("a1", "a", OLD), pod("b1", "b", OLD), pod("c1", "c", OLD)]
    assert shown(plan.update(view(surging, THREE, pods))) == (["a"], [])
    starting = [*pods, pod("a2", "a", NEW, ready=False)]
    assert shown(plan.update(view(surging, THREE, starting))) == ([], [])
    started = [*pods, pod("a2", "a", NEW)]
    assert shown(plan.update(view(surging, THREE, started))) == (["b"], ["a1"])


def test_surge_replaces_broken_old_pods_without_asking_for_room() -> None:
    pods = [pod("a1", "a", OLD, ready=False), pod("b1", "b", OLD), pod("c1", "c", NEW)]
    assert shown(plan.update(view(daemon_set(0, 1), THREE, pods))) == (["a", "b"], [])


def test_with_surge_a_node_no_longer_selected_keeps_its_pod_until_another_takes_over() -> None:
    moving = daemon_set(0, 1, pod={"nodeSelector": {"role": "b"}})
    nodes = [node("a"), node("b", role="b")]
    stay = {"metadata": {"name": "a", "labels": {}}, "spec": {"taints": [taint("NoSchedule")]}}
    pods = [pod("a1", "a", OLD), pod("b1", "b", NEW, ready=False)]
    tainted = daemon_set(0, 1)
    assert shown(plan.update(view(tainted, [stay, nodes[1]], pods))) == ([], [])
    pods[1] = pod("b1", "b", NEW)
    assert shown(plan.update(view(tainted, [stay, nodes[1]], pods))) == ([], ["a1"])
    assert shown(plan.manage(view(moving, nodes, pods))) == ([], ["a1"])


def test_the_status_counts_nodes() -> None:
    nodes = [node("a"), node("b"), node("c"), node("d", [taint("NoSchedule")])]
    pods = [pod("p", "a"), pod("q", "b", OLD, ready=False), pod("r", "d")]
    assert plan.status_of(view(daemon_set(), nodes, pods), 0) == {
        "desiredNumberScheduled": 3,
        "currentNumberScheduled": 2,
        "numberMisscheduled": 1,
        "numberReady": 1,
        "numberAvailable": 1,
        "numberUnavailable": 2,
        "updatedNumberScheduled": 1,
        "observedGeneration": 1,
    }


@settings(max_examples=100, deadline=None)
@given(
    count=st.integers(1, 7),
    unavailable=st.integers(0, 4),
    surge=st.integers(0, 4),
    luck=st.lists(st.booleans(), max_size=30),
)
def test_an_update_keeps_enough_pods_available_and_ends(
    count: int, unavailable: int, surge: int, luck: list[bool]
) -> None:
    if surge:
        unavailable = 0  # the API allows only one of the two
    found = daemon_set(unavailable, surge)
    nodes = [node(f"n{n}") for n in range(count)]
    pods = {f"old-{n}": pod(f"old-{n}", f"n{n}", OLD) for n in range(count)}
    allowed = plan.allowance(found, count)
    for number, lucky in enumerate([*luck, *([True] * (6 * count + 6))]):
        steps = plan.manage(view(found, nodes, list(pods.values())))
        if not steps:
            steps = plan.update(view(found, nodes, list(pods.values())))
        for gone in steps.delete:
            del pods[gone["metadata"]["name"]]
        for on in steps.create:
            pods[f"new-{number}-{on}"] = pod(f"new-{number}-{on}", on, NEW, ready=False)
        available = {placement.target(p) for p in pods.values() if view(found, nodes, []).is_available(p)}
        assert len(available) >= count - allowed.unavailable
        assert len(pods) <= count + allowed.surge
        unready = [name for name, p in pods.items() if not view(found, nodes, []).is_available(p)]
        if lucky and unready:
            name = unready[0]
            pods[name] = pod(name, placement.target(pods[name]), NEW)
    assert len(pods) == count
    assert all(view(found, nodes, []).is_updated(p) for p in pods.values())
