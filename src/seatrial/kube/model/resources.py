"""A Resource is a kind as the API serves it: group, version, plural, scope, verbs and sub-resources.

The built-in ones are read from `data/resources.json`, which `tools/generate_api_data.py` makes from the
discovery documents of the target Kubernetes version; nothing about them is typed in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import orjson

from seatrial.kube.model.objects import join_api_version

if TYPE_CHECKING:
    from collections.abc import Iterable

STANDARD_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class SubResource:
    """`pods/eviction`: its own group, version and kind where they differ from the parent's."""

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = STANDARD_VERBS
    subresources: tuple[SubResource, ...] = ()
    list_kind: str = ""

    @property
    def api_version(self) -> str:
        return join_api_version(self.group, self.version)

    @property
    def group_resource(self) -> str:
        """`deployments.apps`, or `pods` in the core group: how errors and the store name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_name(self) -> str:
        return self.list_kind or f"{self.kind}List"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path; namespace "" means all namespaces (or a cluster-scoped kind)."""
        parts = ["api", self.version] if not self.group else ["apis", self.group, self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(parts)

    def subresource(self, name: str) -> SubResource | None:
        return next((sub for sub in self.subresources if sub.name == name), None)

    def __str__(self) -> str:
        return self.group_resource


@cache
def builtin() -> tuple[Resource, ...]:
    """Every built-in resource served, in the order discovery lists them (preferred version first)."""
    raw = orjson.loads(files("seatrial.kube.model").joinpath("data/resources.json").read_bytes())
    return tuple(_from_json(item) for item in raw["resources"])


def _from_json(item: dict[str, object]) -> Resource:
    fields = dict(item)
    subresources = fields.pop("subresources", [])
    for key in ("short_names", "categories", "verbs"):
        fields[key] = tuple(fields.get(key, ()))  # type: ignore[arg-type]
    return Resource(
        **fields,  # type: ignore[arg-type]
        subresources=tuple(
            SubResource(**{**sub, "verbs": tuple(sub["verbs"])})
            for sub in subresources  # type: ignore[attr-defined]
        ),
    )


@cache
def _by_kind() -> dict[tuple[str, str], Resource]:
    return {(resource.api_version, resource.kind): resource for resource in builtin()}


@cache
def _by_plural() -> dict[tuple[str, str], Resource]:
    """Preferred (first) version of each group and plural."""
    table: dict[tuple[str, str], Resource] = {}
    for resource in builtin():
        table.setdefault((resource.group, resource.plural), resource)
    return table


def for_kind(api_version: str, kind: str) -> Resource:
    """The built-in resource of `apiVersion` and `kind`. Raises KeyError."""
    return _by_kind()[api_version, kind]


def for_plural(plural: str, group: str = "") -> Resource:
    """The built-in resource of a plural and group, in its preferred version. Raises KeyError."""
    return _by_plural()[group, plural]


def sort_versions(versions: Iterable[str]) -> list[str]:
    """Kubernetes' version priority: GA before beta before alpha, higher first, then other names by alphabet.

    Source: the version priority rules of CustomResourceDefinition versioning.
    """
    return sorted(versions, key=_version_rank)


def _version_rank(version: str) -> tuple[int, int, int, str]:
    import re

    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not match:
        return (1, 0, 0, version)
    major, stage, minor = match.groups()
    stage_rank = {None: 0, "beta": 1, "alpha": 2}[stage]
    return (0, stage_rank * 1_000_000 - int(major), -int(minor or 0), version)
