"""ClusterRole aggregation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model import roles

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def role(name: str, *plurals: str, label: str = "", gathers: str = "") -> Object:
    made: dict[str, Any] = {
        "metadata": {"name": name, "labels": {label: "true"} if label else {}},
        "rules": [{"resources": [plural], "verbs": ["get"]} for plural in plurals],
    }
    if gathers:
        made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {gathers: "true"}}]}
    return made


def test_rules_come_in_the_order_of_the_roles_names_and_each_once() -> None:
    others = [role("b", "ships", "docks", label="x"), role("a", "docks", label="x"), role("c", "crews")]
    found = roles.aggregate(role("top", gathers="x"), others)
    assert [rule["resources"] for rule in found or ()] == [["docks"], ["ships"]]


def test_a_role_does_not_gather_itself() -> None:
    itself = role("top", "ships", label="x", gathers="x")
    assert roles.aggregate(itself, [itself]) == []


def test_nothing_to_do_is_none() -> None:
    assert roles.aggregate(role("plain", "ships"), []) is None
    assert roles.aggregate(role("top", "ships", gathers="x"), [role("a", "ships", label="x")]) is None
