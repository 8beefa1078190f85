"""Checks on where a pod may run: node selectors, affinity, tolerations, topology spread."""

from __future__ import annotations

from typing import Any

from seatrial.cluster.apiserver.kinds import checks, metadata, names
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TOLERATION_OPERATORS = ("Equal", "Exists")
_MAXIMUM_WEIGHT = 100


def validate(spec: dict[str, Any], field: str) -> list[Cause]:
    affinity = spec.get("affinity") or {}
    return [
        *metadata.labels(spec.get("nodeSelector"), f"{field}.nodeSelector"),
        *_node_affinity(affinity.get("nodeAffinity") or {}, f"{field}.affinity.nodeAffinity"),
        *_pod_affinity(affinity.get("podAffinity") or {}, f"{field}.affinity.podAffinity"),
        *_pod_affinity(affinity.get("podAntiAffinity") or {}, f"{field}.affinity.podAntiAffinity"),
        *tolerations(spec.get("tolerations") or [], f"{field}.tolerations"),
        *_spread(spec.get("topologySpreadConstraints") or [], f"{field}.topologySpreadConstraints"),
    ]


def tolerations(found: list[dict[str, Any]], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, toleration in enumerate(found):
        causes += _toleration(toleration, f"{field}[{index}]")
    return causes


def _toleration(toleration: dict[str, Any], field: str) -> list[Cause]:
    key, operator = toleration.get("key") or "", toleration.get("operator") or ""
    value, effect = toleration.get("value") or "", toleration.get("effect") or ""
    causes = checks.optional_name(key, f"{field}.key", names.qualified)
    if not key and operator != "Exists":
        causes.append(
            invalid_value(
                f"{field}.operator",
                operator,
                'operator must be Exists when `key` is empty, which means "match all values and all keys"',
            )
        )
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        causes.append(invalid_value(f"{field}.effect", effect, detail))
    if operator in ("", "Equal"):
        complaints = names.label_value(value)
        if complaints:
            causes.append(invalid_value(f"{field}.operator", value, ";".join(complaints)))
    elif operator == "Exists" and value:
        detail = "value must be empty when `operator` is 'Exists'"
        causes.append(invalid_value(f"{field}.operator", value, detail))
    else:
        causes += checks.one_of(operator, f"{field}.operator", _TOLERATION_OPERATORS)
    return causes + checks.optional_one_of(effect, f"{field}.effect", EFFECTS)


def _node_affinity(affinity: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    required_key, preferred_key = _keys()
    needed = affinity.get(required_key)
    if needed is not None:
        causes += node_selector(needed, f"{field}.{required_key}")
    for index, preferred in enumerate(affinity.get(preferred_key) or []):
        place = f"{field}.{preferred_key}[{index}]"
        causes += _weight(preferred, place)
        causes += _node_term(preferred.get("preference") or {}, f"{place}.preference")
    return causes


def _keys() -> tuple[str, str]:
    suffix = "DuringSchedulingIgnoredDuringExecution"
    return f"required{suffix}", f"preferred{suffix}"


def node_selector(found: dict[str, Any], field: str) -> list[Cause]:
    terms = found.get("nodeSelectorTerms") or []
    if not terms:
        return [required(f"{field}.nodeSelectorTerms", "must have at least one node selector term")]
    causes: list[Cause] = []
    for index, term in enumerate(terms):
        causes += _node_term(term, f"{field}.nodeSelectorTerms[{index}]")
    return causes


def _node_term(term: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, expression in enumerate(term.get("matchExpressions") or []):
        causes += _node_expression(expression, f"{field}.matchExpressions[{index}]")
    for index, expression in enumerate(term.get("matchFields") or []):
        causes += _node_field(expression, f"{field}.matchFields[{index}]")
    return causes


def _node_expression(expression: dict[str, Any], field: str) -> list[Cause]:
    values, causes = expression.get("values") or [], []
    match expression.get("operator"):
        case "In" | "NotIn":
            if not values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                causes = [required(f"{field}.values", detail)]
        case "Exists" | "DoesNotExist":
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                causes = [forbidden_value(f"{field}.values", detail)]
        case "Gt" | "Lt":
            if len(values) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                causes = [required(f"{field}.values", detail)]
        case operator:
            causes = [invalid_value(f"{field}.operator", operator, "not a valid selector operator")]
    causes += checks.named(expression.get("key"), f"{field}.key", names.qualified)
    for index, value in enumerate(values):
        causes += checks.optional_name(value, f"{field}.values[{index}]", names.label_value)
    return causes


def _node_field(expression: dict[str, Any], field: str) -> list[Cause]:
    values, causes = expression.get("values") or [], []
    if expression.get("operator") not in ("In", "NotIn"):
        causes.append(invalid_value(f"{field}.operator", expression.get("operator"), "not a valid selector operator"))
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        causes.append(required(f"{field}.values", detail))
    if expression.get("key") != "metadata.name":
        detail = "not a valid field selector key"
        causes.append(invalid_value(f"{field}.key", expression.get("key"), detail))
    return causes


def _pod_affinity(affinity: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    required_key, preferred_key = _keys()
    for index, term in enumerate(affinity.get(required_key) or []):
        causes += _pod_term(term, f"{field}.{required_key}[{index}]")
    for index, preferred in enumerate(affinity.get(preferred_key) or []):
        place = f"{field}.{preferred_key}[{index}]"
        causes += _weight(preferred, place)
        causes += _pod_term(preferred.get("podAffinityTerm") or {}, f"{place}.podAffinityTerm")
    return causes


def _pod_term(term: dict[str, Any], field: str) -> list[Cause]:
    causes = checks.selector(term.get("labelSelector"), f"{field}.labelSelector")
    causes += checks.selector(term.get("namespaceSelector"), f"{field}.namespaceSelector")
    for index, namespace in enumerate(term.get("namespaces") or []):
        causes += checks.named(namespace, f"{field}.namespaces[{index}]", names.label)
    key = term.get("topologyKey")
    if not key:
        causes.append(required(f"{field}.topologyKey", "can not be empty"))
    return causes + [invalid_value(f"{field}.topologyKey", key or "", text) for text in names.qualified(key or "")]


def _weight(preferred: dict[str, Any], field: str) -> list[Cause]:
    weight = preferred.get("weight") or 0
    if 1 <= weight <= _MAXIMUM_WEIGHT:
        return []
    return [invalid_value(f"{field}.weight", weight, "must be in the range 1-100")]


def _spread(constraints: list[dict[str, Any]], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, constraint in enumerate(constraints):
        place = f"{field}[{index}]"
        causes += checks.positive(constraint.get("maxSkew") or 0, f"{place}.maxSkew")
        if not constraint.get("topologyKey"):
            causes.append(required(f"{place}.topologyKey", "can not be empty"))
        causes += checks.one_of(
            constraint.get("whenUnsatisfiable"),
            f"{place}.whenUnsatisfiable",
            ("DoNotSchedule", "ScheduleAnyway"),
        )
        causes += checks.selector(constraint.get("labelSelector"), f"{place}.labelSelector")
    return causes
