"""Reads which kinds a default Kubernetes serves, from the discovery documents kept in its repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import go_modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_BUILT = frozenset(
    {
        "apiregistration.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "storagemigration.k8s.io",
    }
)
"""Groups that are features of their own and that Seatrial does not have."""


def collect() -> dict[str, Any]:
    documents = go_modules.directory("k8s.io/kubernetes", go_modules.KUBERNETES) / "api/discovery"
    found = [
        resource
        for group, version, name in _group_versions(documents)
        for resource in _resources(group, version, json.loads((documents / name).read_text()))
    ]
    return {"kubernetes": go_modules.KUBERNETES, "resources": found}


def _group_versions(documents: Path) -> Iterator[tuple[str, str, str]]:
    """Stable versions only (others are off by default), in discovery's order: core first, preferred first."""
    yield "", "v1", "api__v1.json"
    for group in json.loads((documents / "apis.json").read_text())["groups"]:
        if group["name"] in NOT_BUILT:
            continue
        for version in group["versions"]:
            if version["version"].removeprefix("v").isdigit():
                yield group["name"], version["version"], f"apis__{group['name']}__{version['version']}.json"


def _resources(group: str, version: str, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    entries = document["resources"]
    for entry in entries:
        if "/" in entry["name"]:
            continue
        below = entry["name"] + "/"
        yield {
            "group": group,
            "version": version,
            "kind": entry["kind"],
            "plural": entry["name"],
            "namespaced": entry["namespaced"],
            "singular": entry["singularName"],
            "short_names": entry.get("shortNames", []),
            "categories": entry.get("categories", []),
            "verbs": entry["verbs"],
            "list_kind": f"{entry['kind']}List" if "list" in entry["verbs"] else "",
            "subresources": [_subresource(group, version, sub) for sub in entries if sub["name"].startswith(below)],
        }


def _subresource(group: str, version: str, entry: dict[str, Any]) -> dict[str, Any]:
    """An empty group and version mean the parent's."""
    return {
        "name": entry["name"].partition("/")[2],
        "group": entry.get("group") or (group if not entry.get("version") else ""),
        "version": entry.get("version") or version,
        "kind": entry["kind"],
        "verbs": entry["verbs"],
    }
