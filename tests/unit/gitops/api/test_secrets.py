"""Repositories, clusters and webhook secrets from Secrets in Argo CD's form."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from seatrial.gitops.api.application import Destination
from seatrial.gitops.api.clusters import Clusters, UnknownDestination
from seatrial.gitops.api.repositories import Repositories
from seatrial.gitops.api.settings import WebhookSecrets

CANARY = "hunter2-canary"


def secret(kind: str, **data: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "s", "labels": {"argocd.argoproj.io/secret-type": kind}},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def test_a_repository_by_any_spelling_of_its_url() -> None:
    found = Repositories.of([secret("repository", url="https://git.example.com/a.git", username="u", password="p")])
    credential = found.find("https://GIT.example.com/a")
    assert credential is not None
    assert (credential.username, credential.password) == ("u", "p")
    assert found.find("https://git.example.com/b") is None


def test_the_longest_template_wins() -> None:
    found = Repositories.of(
        [
            secret("repo-creds", url="https://git.example.com", username="all"),
            secret("repo-creds", url="https://git.example.com/team", username="team"),
        ]
    )
    credential = found.find("https://git.example.com/team/app")
    assert credential is not None
    assert (credential.username, credential.url) == ("team", "https://git.example.com/team/app")


def test_a_repository_without_credentials_takes_its_templates() -> None:
    found = Repositories.of(
        [
            secret("repository", url="https://charts.example.com/x", type="helm", name="x"),
            secret("repo-creds", url="https://charts.example.com", username="u", password=CANARY),
        ]
    )
    credential = found.find("https://charts.example.com/x")
    assert credential is not None
    assert (credential.type, credential.name, credential.password) == ("helm", "x", CANARY)


def test_another_projects_repository_is_nobody_elses() -> None:
    found = Repositories.of([secret("repository", url="https://git.example.com/a", username="u", project="team")])
    assert found.find("https://git.example.com/a", "other") is None
    assert found.find("https://git.example.com/a", "team") is not None


@pytest.mark.parametrize(
    "data",
    [
        {"type": "oci"},
        {"type": "helm", "enableOCI": "true"},
        {"githubAppID": "7"},
        {"gcpServiceAccountKey": CANARY},
        {"url": ""},
    ],
)
def test_what_is_not_supported_says_so(data: dict[str, str]) -> None:
    found = Repositories.of([secret("repository", **{"url": "https://git.example.com/a", **data})]).repositories[0]
    assert found.problem.startswith("Secret s:")
    assert CANARY not in found.problem


def test_nothing_secret_shows() -> None:
    shown = repr(
        Repositories.of(
            [secret("repository", url="https://g/a", username=CANARY, password=CANARY, sshPrivateKey=CANARY,
                    bearerToken=CANARY, tlsClientCertKey=CANARY)]
        ).repositories
    )  # fmt: skip
    config = json.dumps({"bearerToken": CANARY})
    shown += repr(Clusters.of([secret("cluster", server="https://a", config=config)]).all)
    shown += repr(WebhookSecrets.of(secret("x", **{"webhook.github.secret": CANARY})))
    assert CANARY not in shown


def test_what_is_not_base64_counts_as_not_there() -> None:
    broken = secret("repository", url="https://git.example.com/a")
    broken["data"]["password"] = "%%%"
    assert Repositories.of([broken]).repositories[0].password == ""


def test_webhook_secrets() -> None:
    found = WebhookSecrets.of(secret("x", **{"webhook.github.secret": "a", "webhook.gogs.secret": "b"}))
    assert (found.github, found.gitea, found.gitlab) == ("a", "b", "")


def test_a_cluster_by_server_and_by_name() -> None:
    pem = base64.b64encode(b"PEM").decode()
    found = Clusters.of(
        [
            {
                **secret("cluster"),
                "stringData": {
                    "name": "east",
                    "server": "https://a:6443/",
                    "namespaces": "web, db",
                    "clusterResources": "true",
                    "config": json.dumps(
                        {"bearerToken": "t", "tlsClientConfig": {"caData": pem, "serverName": "kubernetes"}}
                    ),
                },
            }
        ]
    )
    east = found.resolve(Destination("https://a:6443", "", "web"))
    assert east == found.resolve(Destination("", "east", "web"))
    assert east.connection is not None
    assert (east.connection.token, east.connection.ca, east.connection.tls_server_name) == ("t", "PEM", "kubernetes")
    assert (east.namespaces, east.cluster_resources) == (("web", "db"), True)


@pytest.mark.parametrize(
    "destination", [Destination("https://kubernetes.default.svc", "", ""), Destination("", "in-cluster", "")]
)
def test_its_own_cluster_needs_no_secret(destination: Destination) -> None:
    assert Clusters().resolve(destination).is_own


@pytest.mark.parametrize(
    ("destination", "said"),
    [
        (Destination("https://a", "east", ""), "both server"),
        (Destination("", "", ""), "neither server nor name"),
        (Destination("https://b", "", ""), "no cluster 'https://b'"),
        (Destination("", "west", ""), "no cluster 'west'"),
    ],
)
def test_a_destination_that_means_no_cluster(destination: Destination, said: str) -> None:
    with pytest.raises(UnknownDestination, match=said):
        Clusters().resolve(destination)


def test_two_clusters_of_one_name() -> None:
    one = {**secret("cluster"), "stringData": {"name": "east", "server": "https://a"}}
    two = {**secret("cluster"), "stringData": {"name": "east", "server": "https://b"}}
    with pytest.raises(UnknownDestination, match="2 clusters are called 'east'"):
        Clusters.of([one, two]).resolve(Destination("", "east", ""))


@pytest.mark.parametrize(
    "config",
    [
        "not json " + CANARY,
        json.dumps({"username": "u", "password": CANARY}),
        json.dumps({"tlsClientConfig": {"caData": "%%" + CANARY}}),
        json.dumps({"tlsClientConfig": {"insecure": True, "caData": "YQ=="}, "bearerToken": CANARY}),
        json.dumps({"awsAuthConfig": {"clusterName": "x"}}),
        json.dumps({"execProviderConfig": {"args": ["x"]}}),
        json.dumps([CANARY]),
    ],
)
def test_a_cluster_that_cannot_be_used_says_why_and_nothing_secret(config: str) -> None:
    found = Clusters.of([secret("cluster", server="https://a", config=config)])
    with pytest.raises(UnknownDestination, match="Secret s:") as caught:
        found.resolve(Destination("https://a", "", ""))
    assert CANARY not in caught.value.message
