"""What a project permits, and how it says no."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.gitops.api.project import Project


def project(**spec: Any) -> Project:
    return Project({"metadata": {"name": "team"}, "spec": spec})


def destination(**fields: str) -> dict[str, str]:
    return {"namespace": "*", **fields}


@pytest.mark.parametrize(
    ("patterns", "url", "permitted"),
    [
        (["*"], "https://git.example.com/a/b", True),
        ([], "https://git.example.com/a/b", False),
        (["https://git.example.com/a/*"], "https://git.example.com/a/b.git", True),
        (["https://git.example.com/*"], "https://git.example.com/a/b", False),
        (["https://git.example.com/**"], "https://git.example.com/a/b", True),
        (["*", "!https://git.example.com/a/b"], "https://git.example.com/a/b", False),
        (["*", "!https://git.example.com/a/b"], "https://git.example.com/a/c", True),
        (["!https://git.example.com/a/b"], "https://git.example.com/a/c", True),
    ],
)
def test_sources(patterns: list[str], url: str, permitted: bool) -> None:
    assert (project(sourceRepos=patterns).source_violation(url) is None) is permitted


@pytest.mark.parametrize(
    ("entries", "namespace", "permitted"),
    [
        ([destination(server="*")], "web", True),
        ([], "web", False),
        ([destination(server="https://a", namespace="web-*")], "web-1", True),
        ([destination(server="https://a", namespace="web-*")], "db", False),
        ([destination(name="east")], "web", True),
        ([destination(name="west")], "web", False),
        ([destination(server="*"), destination(server="*", namespace="!kube-system")], "kube-system", False),
        ([destination(server="*"), destination(server="*", namespace="!kube-system")], "web", True),
        ([destination(server="*"), destination(server="!https://a")], "web", False),
        ([destination(server="*"), destination(server="!https://b")], "web", True),
    ],
)
def test_destinations(entries: list[dict[str, str]], namespace: str, permitted: bool) -> None:
    found = project(destinations=entries).destination_violation("https://a", "east", namespace)
    assert (found is None) is permitted


def test_only_its_own_clusters() -> None:
    found = project(destinations=[destination(server="*")], permitOnlyProjectScopedClusters=True)
    assert found.destination_violation("https://a", "east", "web", scoped=True) is None
    assert "permitOnlyProjectScopedClusters" in (found.destination_violation("https://a", "east", "web") or "")


@pytest.mark.parametrize(
    ("spec", "namespaced", "permitted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"namespaceResourceWhitelist": []}, True, False),
        ({"namespaceResourceWhitelist": [{"group": "apps", "kind": "*"}]}, True, True),
        ({"namespaceResourceBlacklist": [{"group": "apps", "kind": "Thing"}]}, True, False),
        ({"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}, False, True),
        ({"clusterResourceWhitelist": [{"group": "*", "kind": "*", "name": "team-*"}]}, False, False),
        ({"clusterResourceWhitelist": [{"group": "*", "kind": "*", "name": "o*"}]}, False, True),
        (
            {
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
                "clusterResourceBlacklist": [{"group": "apps", "kind": "*"}],
            },
            False,
            False,
        ),
    ],
)
def test_kinds(spec: dict[str, Any], namespaced: bool, permitted: bool) -> None:
    found = project(**spec).kind_violation("apps", "Thing", "one", namespaced=namespaced)
    assert (found is None) is permitted


def test_namespaces_of_applications() -> None:
    found = project(sourceNamespaces=["team-*"])
    assert found.namespace_violation("argocd", "argocd") is None
    assert found.namespace_violation("team-a", "argocd") is None
    assert "sourceNamespaces" in (found.namespace_violation("other", "argocd") or "")


def test_a_refusal_names_project_field_and_value() -> None:
    assert project(sourceRepos=[]).source_violation("https://u:p@git.example.com/a") == (
        "project 'team': spec.sourceRepos does not permit repository https://git.example.com/a"
    )
    assert project().kind_violation("apps", "Thing", "one", namespaced=False) == (
        "project 'team': spec.clusterResourceWhitelist does not permit Thing.apps 'one'"
    )
