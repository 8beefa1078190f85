"""Pods that want each other near, or far. Pure; `wish` asks here what is near, `score` what would rather be.

Source: "Inter-pod affinity and anti-affinity" in the Kubernetes documentation, KEP-2249 for namespaceSelector,
KEP-3633 for matchLabelKeys.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects, selectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from seatrial.cluster.scheduler.ledger import NodeState
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.selectors import LabelSelector

    Term = dict[str, Any]
    Namespaces = Callable[[str], Mapping[str, str]]
    """The labels of a namespace."""

Place = tuple[str, str]
"""A topology domain: a node label and its value."""


def required(pod: Object, kind: str) -> list[Term]:
    """The terms that must hold; `kind` is podAffinity or podAntiAffinity."""
    affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
    return affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []


def preferred(pod: Object, kind: str) -> list[dict[str, Any]]:
    affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
    return affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []


def matcher(term: Term, owner: Object, namespaces: Namespaces) -> Callable[[Object], bool]:
    """A predicate: does `owner`'s term mean this pod? It means pods of the namespaces listed and of those selected;
    the owner's own when neither says anything."""
    listed = set(term.get("namespaces") or ())
    by_namespace = selectors.from_object(term.get("namespaceSelector"))
    if not listed and term.get("namespaceSelector") is None:
        listed = {objects.namespace(owner)}
    by_labels = selector_of(term, owner)

    def matches(other: Object) -> bool:
        if not by_labels.matches(objects.labels(other)):
            return False
        name = objects.namespace(other)
        return name in listed or by_namespace.is_empty or by_namespace.matches(namespaces(name))

    return matches


def selector_of(term: Term, owner: Object) -> LabelSelector:
    """The labels a term means; matchLabelKeys and mismatchLabelKeys add the owner's own values, where it has them."""
    selector, labels = term.get("labelSelector"), objects.labels(owner)
    extra = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in term.get(field) or []
        if key in labels
    ]
    if selector is not None and extra:
        selector = {**selector, "matchExpressions": [*(selector.get("matchExpressions") or []), *extra]}
    return selectors.from_object(selector)


def domain(node: Object | None, key: str) -> str | None:
    return objects.labels(node).get(key) if node else None


class Attraction:
    """What a pod's required podAffinity demands of a node: for every term, a pod in the same domain that all terms
    mean."""

    def __init__(self, pod: Object, states: Sequence[NodeState], namespaces: Namespaces) -> None:
        terms = required(pod, "podAffinity")
        self._keys = [term["topologyKey"] for term in terms]
        matchers = [matcher(term, pod, namespaces) for term in terms]
        self._places: set[Place] = set()
        if not terms:
            return
        for state in states:
            here = {(key, value) for key in self._keys if (value := domain(state.node, key)) is not None}
            if not here <= self._places and any(_all(matchers, other) for other in state.pods.values()):
                self._places |= here
        self._starts_a_group = not self._places and _all(matchers, pod)

    def admits(self, node: Object | None) -> bool:
        """The first pod of a group that wants its own kind near may go anywhere the labels exist."""
        values = [(key, domain(node, key)) for key in self._keys]
        if any(value is None for _, value in values):
            return False
        return all(place in self._places for place in values) or self._starts_a_group


def _all(matchers: Iterable[Callable[[Object], bool]], pod: Object) -> bool:
    return all(matches(pod) for matches in matchers)


def shunned(pod: Object, states: Sequence[NodeState], namespaces: Namespaces) -> set[Place]:
    """Domains where a pod is that this one's required podAntiAffinity keeps away from."""
    found: set[Place] = set()
    for term in required(pod, "podAntiAffinity"):
        found |= {(term["topologyKey"], value) for value in _counts(term, pod, states, namespaces)}
    return found


def shunning(pod: Object, states: Sequence[NodeState], namespaces: Namespaces) -> set[Place]:
    """Anti-affinity is mutual: domains where a pod is that does not want this one near."""
    found: set[Place] = set()
    for state in states:
        for other in state.repelling.values():
            for term in required(other, "podAntiAffinity"):
                key = term["topologyKey"]
                value = domain(state.node, key)
                if value is not None and (key, value) not in found and matcher(term, other, namespaces)(pod):
                    found.add((key, value))
    return found


def leanings(pod: Object, states: Sequence[NodeState], namespaces: Namespaces) -> Counter[Place]:
    """Domains by how much the pod would rather be there (or, below zero, not): weights times pods."""
    found: Counter[Place] = Counter()
    for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
        for weighted in preferred(pod, kind):
            term = weighted["podAffinityTerm"]
            for value, count in _counts(term, pod, states, namespaces).items():
                found[(term["topologyKey"], value)] += sign * weighted["weight"] * count
    return found


def _counts(term: Term, owner: Object, states: Iterable[NodeState], namespaces: Namespaces) -> Counter[str]:
    """Pods the term means, by domain; only domains that have one."""
    matches = matcher(term, owner, namespaces)
    found: Counter[str] = Counter()
    for state in states:
        value = domain(state.node, term["topologyKey"])
        if value is not None and (count := sum(1 for other in state.pods.values() if matches(other))):
            found[value] += count
    return found
