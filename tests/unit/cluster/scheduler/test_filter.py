"""Where a pod may go, and what it is told about the other nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.cluster.scheduler.making import ROOM, Land, asking, node, pod

from seatrial.cluster.scheduler import filter
from seatrial.cluster.scheduler.scheduler import explanation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.kube.model.objects import Object

CORDON = "node(s) were unschedulable"
TAINTED = "node(s) had untolerated taint(s)"
ELSEWHERE = "node(s) didn't match Pod's node affinity/selector"
PORTS = "node(s) didn't have free ports for the requested pod ports"
SPREAD = "node(s) didn't match pod topology spread constraints"
NEAR = "node(s) didn't match pod affinity rules"
FAR = "node(s) didn't match pod anti-affinity rules"
REPELLED = "node(s) didn't satisfy existing pods anti-affinity rules"


def against(land: Land, wanted: Object, name: str = "a") -> Sequence[str]:
    return list(filter.reasons_against(land.wish(wanted), land.state(name)))


def fits(land: Land, wanted: Object) -> list[str]:
    """The names of the nodes the pod may go to."""
    wish = land.wish(wanted)
    return [s.node["metadata"]["name"] for s in land.states if s.node and not filter.reasons_against(wish, s)]


# the node itself


def test_a_cordoned_node_takes_nobody() -> None:
    assert against(Land(node("a", unschedulable=True)), pod()) == [CORDON]


def test_a_daemon_goes_to_a_cordoned_node() -> None:
    toleration = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
    assert against(Land(node("a", unschedulable=True)), pod(tolerations=[toleration])) == []


@pytest.mark.parametrize(("effect", "kept_out"), [("NoSchedule", 1), ("NoExecute", 1), ("PreferNoSchedule", 0)])
def test_a_taint_keeps_out_whom_its_effect_says(effect: str, kept_out: int) -> None:
    land = Land(node("a", taints=[{"key": "gpu", "effect": effect}]))
    assert against(land, pod()) == [TAINTED] * kept_out
    assert against(land, pod(tolerations=[{"operator": "Exists"}])) == []


def test_a_pod_goes_only_where_its_selector_points() -> None:
    land = Land(node("a"), node("b", labels={"disk": "ssd"}))
    assert fits(land, pod(nodeSelector={"disk": "ssd"})) == ["b"]
    assert against(land, pod(nodeSelector={"disk": "ssd"})) == [ELSEWHERE]


# room


def test_a_pod_takes_what_is_left_and_not_more() -> None:
    land = Land(node("a")).put("a", pod("other", containers=[asking("3")]))
    assert against(land, pod(containers=[asking("1")])) == []
    assert against(land, pod(containers=[asking("1001m")])) == ["Insufficient cpu"]


def test_everything_that_is_short_is_told() -> None:
    wanted = pod(containers=[asking("100", "100Gi")])
    full = {**ROOM, "pods": "0"}
    assert against(Land(node("a", allocatable=full)), wanted) == [
        "Too many pods",
        "Insufficient cpu",
        "Insufficient memory",
    ]


def test_a_resource_the_node_has_not_got_is_short() -> None:
    gpu = {"name": "c", "image": "i", "resources": {"requests": {"example.com/gpu": "1"}}}
    assert against(Land(node("a")), pod(containers=[gpu])) == ["Insufficient example.com/gpu"]


def test_a_request_for_none_needs_none() -> None:
    gpu = {"name": "c", "image": "i", "resources": {"requests": {"example.com/gpu": "0"}}}
    assert against(Land(node("a")), pod(containers=[gpu])) == []


def test_a_node_has_room_for_so_many_pods() -> None:
    land = Land(node("a", allocatable={**ROOM, "pods": "1"}))
    assert against(land, pod()) == []
    land.put("a", pod("other"))
    assert against(land, pod()) == ["Too many pods"]


def test_a_host_port_is_given_once() -> None:
    wanted = [asking(ports=[{"containerPort": 80, "hostPort": 80}])]
    land = Land(node("a"), node("b")).put("a", pod("other", containers=wanted))
    assert fits(land, pod(containers=wanted)) == ["b"]
    assert against(land, pod(containers=wanted)) == [PORTS]


# spread


def constraint(**fields: Any) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
        **fields,
    }


def spreading(*constraints: dict[str, Any], **more: Any) -> Object:
    return pod("new", labels={"app": "web", "hash": "2"}, topologySpreadConstraints=list(constraints), **more)


def web(name: str, **more: Any) -> Object:
    return pod(name, labels={"app": "web", "hash": "1"}, **more)


def zones(*names: str) -> Land:
    """Nodes a, b, ... each in the zone named; "" for none."""
    letters = "abcdefg"
    return Land(*(node(letters[i], labels={"zone": name} if name else {}) for i, name in enumerate(names)))


def test_a_zone_may_be_ahead_by_the_skew_and_not_more() -> None:
    land = zones("x", "y").put("a", web("one"))
    assert fits(land, spreading(constraint())) == ["b"]
    assert fits(land, spreading(constraint(maxSkew=2))) == ["a", "b"]
    assert against(land, spreading(constraint())) == [SPREAD]


def test_nodes_of_a_zone_count_together() -> None:
    land = zones("x", "x", "y").put("a", web("one"))
    assert fits(land, spreading(constraint())) == ["c"]


def test_a_node_without_the_label_is_out() -> None:
    land = zones("x", "")
    assert against(land, spreading(constraint()), "b") == [f"{SPREAD} (missing required label)"]


def test_only_pods_that_match_count() -> None:
    deleting = web("gone")
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    land = zones("x", "y").put("a", deleting, pod("db"), web("far", namespace="other"))
    assert fits(land, spreading(constraint())) == ["a", "b"]


def test_a_pod_its_own_constraint_does_not_mean_adds_nothing() -> None:
    land = zones("x", "y").put("a", web("one"))
    stranger = pod("new", labels={"app": "db"}, topologySpreadConstraints=[constraint()])
    assert fits(land, stranger) == ["a", "b"]


def test_without_a_selector_nothing_is_counted() -> None:
    land = zones("x", "y").put("a", web("one"), web("two"))
    assert fits(land, spreading(constraint(labelSelector=None))) == ["a", "b"]


def test_schedule_anyway_keeps_nobody_out() -> None:
    land = zones("x", "y").put("a", web("one"), web("two"))
    assert fits(land, spreading(constraint(whenUnsatisfiable="ScheduleAnyway"))) == ["a", "b"]


def test_with_fewer_domains_than_wanted_none_may_have_more_than_the_skew() -> None:
    land = zones("x", "y").put("a", web("one")).put("b", web("two"))
    assert fits(land, spreading(constraint())) == ["a", "b"]
    assert fits(land, spreading(constraint(minDomains=3))) == []
    assert fits(land, spreading(constraint(minDomains=2))) == ["a", "b"]


def test_match_label_keys_count_only_the_same_revision() -> None:
    land = zones("x", "y").put("a", web("one"))
    assert fits(land, spreading(constraint(matchLabelKeys=["hash"]))) == ["a", "b"]


def test_a_match_label_key_the_pod_has_not_is_left_out() -> None:
    land = zones("x", "y").put("a", web("one"))
    assert fits(land, spreading(constraint(matchLabelKeys=["tier"]))) == ["b"]


def test_nodes_the_pod_may_not_use_do_not_count_unless_told_to() -> None:
    land = Land(
        node("a", labels={"zone": "x", "disk": "ssd"}),
        node("b", labels={"zone": "y"}),
    ).put("a", web("one"))
    ssd = {"disk": "ssd"}
    assert fits(land, spreading(constraint(), nodeSelector=ssd)) == ["a"]
    assert fits(land, spreading(constraint(nodeAffinityPolicy="Ignore"), nodeSelector=ssd)) == []


def test_tainted_nodes_count_unless_told_not_to() -> None:
    land = Land(
        node("a", labels={"zone": "x"}),
        node("b", labels={"zone": "y"}, taints=[{"key": "k", "effect": "NoSchedule"}]),
    ).put("a", web("one"))
    assert fits(land, spreading(constraint())) == []
    assert fits(land, spreading(constraint(nodeTaintsPolicy="Honor"))) == ["a"]


def test_a_node_that_lacks_one_constraint_s_label_counts_for_none() -> None:
    land = Land(node("a", labels={"zone": "x"}), node("b", labels={"zone": "y", "rack": "1"})).put("b", web("one"))
    both = spreading(constraint(), constraint(topologyKey="rack", maxSkew=5))
    assert fits(land, both) == ["b"]


# neighbours


def near(*terms: dict[str, Any], kind: str = "podAffinity") -> dict[str, Any]:
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}


def far(*terms: dict[str, Any]) -> dict[str, Any]:
    return near(*terms, kind="podAntiAffinity")


def term(app: str, key: str = "zone", **more: Any) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key, **more}


def test_a_pod_goes_where_the_one_it_wants_is_near() -> None:
    land = zones("x", "x", "y").put("a", web("one"))
    assert fits(land, pod(affinity=near(term("web")))) == ["a", "b"]
    assert against(land, pod(affinity=near(term("web"))), "c") == [NEAR]


def test_a_node_without_the_topology_label_is_near_nothing() -> None:
    land = zones("", "x").put("a", web("one"))
    assert fits(land, pod(affinity=near(term("web")))) == []


def test_the_first_of_a_group_may_go_anywhere_the_labels_exist() -> None:
    wanted = pod(labels={"app": "web"}, affinity=near(term("web")))
    assert fits(zones("x", "y", ""), wanted) == ["a", "b"]


def test_the_second_of_a_group_follows_the_first() -> None:
    land = zones("x", "y").put("b", web("one"))
    assert fits(land, pod(labels={"app": "web"}, affinity=near(term("web")))) == ["b"]


def test_one_pod_must_satisfy_all_terms() -> None:
    tier = {"labelSelector": {"matchLabels": {"tier": "front"}}, "topologyKey": "kubernetes.io/hostname"}
    wanted = pod(affinity=near(term("web"), tier))
    land = zones("x", "x").put("a", web("one"), pod("two", labels={"tier": "front"}))
    assert fits(land, wanted) == []
    land.put("b", pod("three", labels={"app": "web", "tier": "front"}))
    assert fits(land, wanted) == ["b"]


def test_a_pod_keeps_away_from_those_it_shuns() -> None:
    land = zones("x", "x", "y").put("a", web("one"))
    assert fits(land, pod(affinity=far(term("web")))) == ["c"]
    assert against(land, pod(affinity=far(term("web"))), "b") == [FAR]


def test_a_node_without_the_topology_label_is_far_from_everything() -> None:
    land = zones("").put("a", web("one"))
    assert fits(land, pod(affinity=far(term("web")))) == ["a"]


def test_repulsion_is_mutual() -> None:
    land = zones("x", "x", "y").put("a", pod("db", affinity=far(term("web"))))
    assert fits(land, web("new")) == ["c"]
    assert against(land, web("new"), "b") == [REPELLED]
    assert fits(land, pod("other", labels={"app": "cache"})) == ["a", "b", "c"]


def test_a_term_without_selector_means_nobody() -> None:
    land = zones("x").put("a", web("one"))
    nobody = {"topologyKey": "zone", "labelSelector": None}
    assert fits(land, pod(affinity=far(nobody))) == ["a"]
    assert fits(land, pod(affinity=far({"topologyKey": "zone", "labelSelector": {}}))) == []


@pytest.mark.parametrize(
    ("scope", "reached"),
    [
        ({}, {"own"}),
        ({"namespaces": []}, {"own"}),
        ({"namespaces": ["red"]}, {"red"}),
        ({"namespaceSelector": {}}, {"own", "red", "blue"}),
        ({"namespaceSelector": None}, {"own"}),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, {"blue"}),
        ({"namespaces": ["red"], "namespaceSelector": {"matchLabels": {"team": "b"}}}, {"red", "blue"}),
        ({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}, {"own", "red"}),
    ],
)
def test_a_term_reaches_the_namespaces_it_lists_and_those_it_selects(scope: dict[str, Any], reached: set[str]) -> None:
    found = set()
    for namespace in ("own", "red", "blue"):
        land = zones("x").put("a", web("one", namespace=namespace))
        land.namespaces = {"blue": {"team": "b"}}
        if not fits(land, pod(namespace="own", affinity=far(term("web", **scope)))):
            found.add(namespace)
    assert found == reached


def test_match_label_keys_compare_with_the_owner() -> None:
    land = zones("x").put("a", web("one"))
    same = pod(labels={"hash": "1"}, affinity=far(term("web", matchLabelKeys=["hash"])))
    other = pod(labels={"hash": "2"}, affinity=far(term("web", matchLabelKeys=["hash"])))
    unlike = pod(labels={"hash": "2"}, affinity=far(term("web", mismatchLabelKeys=["hash"])))
    assert [fits(land, wanted) for wanted in (same, other, unlike)] == [[], ["a"], []]


# words


def test_reasons_are_counted_and_told_in_kubectl_s_words() -> None:
    assert explanation([["Insufficient memory", "Insufficient cpu"], [CORDON], ["Insufficient cpu"]]) == (
        "0/3 nodes are available: 1 Insufficient memory, 1 node(s) were unschedulable, 2 Insufficient cpu."
    )


def test_without_nodes_that_is_the_reason() -> None:
    assert explanation([]) == "no nodes available to schedule pods"
