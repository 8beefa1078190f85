"""Which of the nodes it may go to a pod gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.cluster.scheduler.making import Land, asking, node, pod

from seatrial.cluster.scheduler import score

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def best(land: Land, wanted: Object) -> str:
    chosen = score.best(land.wish(wanted), land.states)
    name: str = (chosen.node or {})["metadata"]["name"]
    return name


def owned(name: str, owner: str) -> Object:
    made = pod(name)
    made["metadata"]["ownerReferences"] = [{"uid": owner, "controller": True}]
    return made


def preferring(kind: str, weight: int, app: str) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "zone"}
    return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": weight, "podAffinityTerm": term}]}}


def test_the_emptier_node_is_better() -> None:
    land = Land(node("a"), node("b")).put("a", pod("other", containers=[asking("2", "1Gi")]))
    assert best(land, pod(containers=[asking("1")])) == "b"


def test_among_equals_the_first_by_name() -> None:
    assert best(Land(node("b"), node("a"), node("c")), pod()) == "a"


def test_siblings_are_spread() -> None:
    land = Land(node("a"), node("b")).put("a", owned("one", "rs"))
    assert best(land, owned("two", "rs")) == "b"
    assert best(land, owned("two", "other")) == "a"


def test_a_preferred_node_is_better_by_its_weight() -> None:
    def prefers(weight: int, value: str) -> dict[str, Any]:
        expression = {"key": "disk", "operator": "In", "values": [value]}
        return {"weight": weight, "preference": {"matchExpressions": [expression]}}

    terms = [prefers(10, "hdd"), prefers(20, "ssd"), {"weight": 100, "preference": {}}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}
    land = Land(node("a", labels={"disk": "hdd"}), node("b", labels={"disk": "ssd"}))
    assert best(land, pod(affinity=affinity)) == "b"


def test_preferred_neighbours_attract_and_repel() -> None:
    land = Land(node("a", labels={"zone": "x"}), node("b", labels={"zone": "y"}))
    land.put("b", pod("web", labels={"app": "web"}))
    assert best(land, pod(affinity=preferring("podAffinity", 50, "web"))) == "b"
    land.put("a", pod("db", labels={"app": "db"}))
    assert best(land, pod(affinity=preferring("podAntiAffinity", 50, "db"))) == "b"


def test_a_node_with_an_unwelcoming_taint_is_the_last_choice() -> None:
    taint = {"key": "k", "effect": "PreferNoSchedule"}
    land = Land(node("a", taints=[taint]), node("b")).put("b", pod("other", containers=[asking("3", "7Gi")]))
    assert best(land, pod()) == "b"
    assert best(land, pod(tolerations=[{"key": "k", "operator": "Exists"}])) == "a"


def test_schedule_anyway_prefers_the_domain_with_fewest() -> None:
    rule = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    land = Land(node("0"), node("a", labels={"zone": "x"}), node("b", labels={"zone": "y"}))
    land.put("a", pod("one", labels={"app": "web"}))
    assert best(land, pod("new", labels={"app": "web"}, topologySpreadConstraints=[rule])) == "b"
