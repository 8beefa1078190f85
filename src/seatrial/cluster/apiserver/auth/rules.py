"""One RBAC rule, compiled for asking: does it allow this? `authorize.py` finds the rules that apply to a user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALL = "*"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is asked: a verb on a resource, or (with `path`) on a URL that is no resource.

    `namespace` is "" for cluster-scoped kinds and requests over all namespaces; for a Namespace object itself
    it is that namespace's name, so that a Role inside it may grant `get namespaces`.
    """

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Rule:
    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    urls: frozenset[str]
    url_prefixes: tuple[str, ...]

    def allows(self, asked: Attributes) -> bool:
        if ALL not in self.verbs and asked.verb not in self.verbs:
            return False
        return self._covers_path(asked.path) if asked.path else self._covers_resource(asked)

    def _covers_resource(self, asked: Attributes) -> bool:
        if ALL not in self.groups and asked.group not in self.groups:
            return False
        if self.names and asked.name not in self.names:
            return False
        return covers_resource(self.resources, asked.full_resource)

    def _covers_path(self, path: str) -> bool:
        return ALL in self.urls or path in self.urls or path.startswith(self.url_prefixes)


def covers_resource(granted: Iterable[str], resource: str) -> bool:
    """`*` covers everything, `*/scale` covers that sub-resource of everything, `pods` not `pods/log`."""
    _, slash, subresource = resource.partition("/")
    return ALL in granted or resource in granted or bool(slash and f"*/{subresource}" in granted)


def compile_rule(rule: Mapping[str, Any]) -> Rule:
    urls: list[str] = rule.get("nonResourceURLs") or []
    return Rule(
        verbs=frozenset(rule.get("verbs") or ()),
        groups=frozenset(rule.get("apiGroups") or ()),
        resources=frozenset(rule.get("resources") or ()),
        names=frozenset(rule.get("resourceNames") or ()),
        urls=frozenset(urls),
        url_prefixes=tuple(url.rstrip(ALL) for url in urls if url.endswith(ALL)),
    )
