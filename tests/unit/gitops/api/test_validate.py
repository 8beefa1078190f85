"""What makes a spec invalid."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.gitops.api import resources
from seatrial.gitops.api.application import Application, Retry
from seatrial.gitops.api.clusters import Clusters
from seatrial.gitops.api.project import Project
from seatrial.gitops.api.validate import problems

GIT = "https://git.example.com/a"
OWN = {"server": "https://kubernetes.default.svc", "namespace": "web"}
DEFAULT = Project(resources.default_project())


def found(of: Project | None = DEFAULT, namespace: str = "argocd", **spec: Any) -> tuple[str, ...]:
    whole = {"destination": OWN, **({} if "sources" in spec else {"source": {"repoURL": GIT, "path": "."}}), **spec}
    obj = {"metadata": {"name": "web", "namespace": namespace}, "spec": whole}
    return problems(Application(obj), of, Clusters(), control_namespace="argocd")


def test_a_plain_application_is_valid() -> None:
    assert found() == ()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"source": None}, "spec.source is missing"),
        ({"source": {"repoURL": ""}}, "spec.source.repoURL is missing"),
        ({"source": {"repoURL": GIT}}, "expected path or chart"),
        ({"source": {"repoURL": GIT, "ref": "x"}}, "expected path or chart"),
        ({"source": {"repoURL": GIT, "chart": "x"}}, "targetRevision is missing"),
        ({"source": {"repoURL": GIT, "chart": "x", "path": "y", "targetRevision": "1"}}, "both chart and path"),
        ({"source": {"repoURL": "oci://r/x", "path": "."}}, "OCI"),
        ({"source": {"repoURL": GIT, "path": ".", "plugin": {"name": "x"}}}, "plug-ins are not supported"),
        ({"source": {"repoURL": GIT, "path": ".", "helm": {"a": 1}, "directory": {"b": 1}}}, "one tool"),
        ({"sources": [{"repoURL": GIT}]}, "expected path, chart or ref"),
        ({"sources": [{"repoURL": GIT, "ref": "v"}, {"repoURL": GIT, "ref": "v"}]}, "is used by sources[0] already"),
        ({"sources": [{"repoURL": GIT, "ref": "v", "chart": "c", "targetRevision": "1"}]}, "cannot be referred to"),
        ({"sources": [{"repoURL": GIT, "path": ".", "helm": {"valueFiles": ["$v/x.yaml"]}}]}, "which no source has"),
        ({"sourceHydrator": {"drySource": {}}}, "sourceHydrator is not supported"),
        ({"destination": {}}, "neither server nor name"),
        ({"destination": {**OWN, "name": "in-cluster"}}, "both server"),
        ({"destination": {"name": "moon"}}, "no cluster 'moon'"),
        ({"syncPolicy": {"retry": {"backoff": {"duration": "soon"}}}}, "retry.backoff.duration"),
    ],
)  # fmt: skip
def test_each_mistake_is_named(spec: dict[str, Any], said: str) -> None:
    assert any(said in message for message in found(**spec)), found(**spec)


def test_a_project_that_is_not_there() -> None:
    assert "there is no project 'team'" in found(None, project="team")[0]


def test_a_namespace_the_project_does_not_permit() -> None:
    assert "sourceNamespaces" in found(namespace="elsewhere")[0]


def test_what_the_project_refuses() -> None:
    narrow = Project({"metadata": {"name": "narrow"}, "spec": {"sourceRepos": ["https://x"], "destinations": []}})
    assert [message.split(" ")[2] for message in found(narrow)] == ["spec.sourceRepos", "spec.destinations"]


def test_a_retry_block_has_argo_cds_defaults() -> None:
    assert Retry.of({"limit": 3}) == Retry(3, 5.0, 2.0, 180.0)
    assert Retry.of({"limit": -1, "backoff": {"duration": "1m", "factor": 3, "maxDuration": "1h"}}).longest == 3600
