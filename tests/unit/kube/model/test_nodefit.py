"""Which nodes a pod's own words admit."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.kube.model import nodefit

NODE = {"metadata": {"name": "n1", "labels": {"zone": "x", "cores": "8", "big": ""}}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


def admitted(*terms: dict[str, Any], **spec: Any) -> bool:
    affinity = {"nodeAffinity": {nodefit.REQUIRED: {"nodeSelectorTerms": list(terms)}}}
    return nodefit.selects({"affinity": affinity, **spec}, NODE)


@pytest.mark.parametrize("spec", [{}, {"nodeSelector": None}, {"nodeSelector": {"zone": "x", "cores": "8"}}])
def test_a_selector_wants_every_label(spec: dict[str, Any]) -> None:
    assert nodefit.selects(spec, NODE)


@pytest.mark.parametrize("selector", [{"zone": "y"}, {"zone": "x", "rack": "1"}, {"rack": ""}])
def test_one_label_that_differs_is_enough(selector: dict[str, str]) -> None:
    assert not nodefit.selects({"nodeSelector": selector}, NODE)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (expression("zone", "In", "w", "x"), True),
        (expression("zone", "In", "y"), False),
        (expression("rack", "In", "1"), False),
        (expression("zone", "NotIn", "y"), True),
        (expression("zone", "NotIn", "x"), False),
        (expression("rack", "NotIn", "1"), True),
        (expression("big", "Exists"), True),
        (expression("rack", "Exists"), False),
        (expression("rack", "DoesNotExist"), True),
        (expression("big", "DoesNotExist"), False),
        (expression("cores", "Gt", "7"), True),
        (expression("cores", "Gt", "8"), False),
        (expression("cores", "Lt", "9"), True),
        (expression("cores", "Lt", "8"), False),
        (expression("cores", "Lt", "+10"), True),
        (expression("rack", "Lt", "9"), False),
        (expression("zone", "Gt", "1"), False),
        (expression("big", "Gt", "1"), False),
        (expression("cores", "Gt", "1_0"), False),
        (expression("cores", "Gt", " 7"), False),
        (expression("cores", "Gt", "x"), False),
        (expression("cores", "Gt"), False),
        (expression("cores", "Gt", "1", "2"), False),
        (expression("cores", "Almost", "8"), False),
    ],
)
def test_an_expression_holds_as_its_operator_says(wanted: dict[str, Any], holds: bool) -> None:
    assert admitted({"matchExpressions": [wanted]}) is holds


def test_one_term_is_enough_and_all_its_expressions_must_hold() -> None:
    here, there = expression("zone", "In", "x"), expression("zone", "In", "y")
    assert admitted({"matchExpressions": [there]}, {"matchExpressions": [here]})
    assert not admitted({"matchExpressions": [here, there]})


def test_an_empty_term_matches_nothing() -> None:
    assert not admitted({})
    assert not admitted()


def test_fields_name_the_node() -> None:
    assert admitted({"matchFields": [expression("metadata.name", "In", "n1")]})
    assert not admitted({"matchFields": [expression("metadata.name", "NotIn", "n1")]})
    assert not admitted({"matchFields": [expression("metadata.namespace", "In", "")]})


def test_selector_and_affinity_must_both_hold() -> None:
    term = {"matchExpressions": [expression("zone", "Exists")]}
    assert admitted(term, nodeSelector={"zone": "x"})
    assert not admitted(term, nodeSelector={"zone": "y"})


TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "helps"),
    [
        ({"key": "dedicated", "value": "db"}, True),
        ({"key": "dedicated", "operator": "Equal", "value": "db", "effect": "NoSchedule"}, True),
        ({"key": "dedicated", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "dedicated", "value": "web"}, False),
        ({"key": "dedicated"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "dedicated", "operator": "Gt", "value": "db"}, False),
        ({}, False),
    ],
)
def test_a_toleration_helps_against_the_taint_it_names(toleration: dict[str, Any], helps: bool) -> None:
    assert nodefit.tolerated([toleration], TAINT) is helps


def test_a_taint_without_value_equals_a_toleration_without_value() -> None:
    assert nodefit.tolerated([{"key": "k", "operator": "Equal"}], {"key": "k", "effect": "NoSchedule"})


def test_the_first_taint_that_keeps_a_pod_off_is_told() -> None:
    soft = {"key": "soft", "effect": "PreferNoSchedule"}
    hard = {"key": "hard", "effect": "NoExecute"}
    node = {"spec": {"taints": [soft, hard, TAINT]}}
    assert nodefit.untolerated({}, node) == hard
    assert nodefit.untolerated({"tolerations": [{"key": "hard", "operator": "Exists"}]}, node) == TAINT
    assert nodefit.untolerated({"tolerations": [{"operator": "Exists"}]}, node) is None
    assert nodefit.untolerated({}, {}) is None
