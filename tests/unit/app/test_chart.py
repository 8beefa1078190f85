"""The chart of AI TestOps: what each profile makes, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from seatrial.base.clock import SystemClock
from seatrial.gitops.api.source import Source
from seatrial.gitops.render.renderer import Renderer
from seatrial.gitops.render.request import RenderFailed, Request
from seatrial.gitops.sources.helm.archive import ChartFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Render = Callable[..., Awaitable[list[dict[str, Any]]]]

APP = Path(__file__).resolve().parents[3] / "apps" / "ai-testops"
URL = "https://git.example.com/ai-testops.git"
SEALED = dict.fromkeys(("SECRET_KEY", "CREDENTIALS_KEY", "POSTGRES_PASSWORD", "ADMIN_PASSWORD"), "AgByC4phx")
SEALED_VALUES: dict[str, Any] = {"sealedSecret": {"encryptedData": SEALED}}


@pytest.fixture(scope="module")
def files() -> ChartFiles:
    root = APP / "helm"
    found = {str(path.relative_to(APP)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return ChartFiles(found, URL, "0" * 40)


@pytest.fixture
async def render(tmp_path: Path, files: ChartFiles) -> AsyncIterator[Render]:
    """`render(values, file...)`: with these files of the chart, and then these values."""
    async with Renderer(tmp_path, SystemClock(), workers=1) as renderer:

        async def made(values: dict[str, Any] = SEALED_VALUES, *value_files: str) -> list[dict[str, Any]]:
            helm = {"valueFiles": list(value_files), "valuesObject": values}
            source = Source.of({"repoURL": URL, "path": "helm/ai-testops", "targetRevision": "main", "helm": helm})
            request = Request(source, files, "shop", "argocd", "default", "shop", "1.37.2", ())
            return list((await renderer.render(request)).objects)

        yield made


def of_kind(objects: list[dict[str, Any]], kind: str, name: str = "") -> list[dict[str, Any]]:
    return [item for item in objects if item["kind"] == kind and name in item["metadata"]["name"]]


PROFILES = [(), ("values-embedded.yaml",)]


@pytest.mark.parametrize("profile", PROFILES, ids=["production", "embedded"])
async def test_every_object_is_one_that_kubernetes_knows(render: Render, profile: tuple[str, ...]) -> None:
    objects = await render(SEALED_VALUES, *profile)
    for item in objects:
        if item["apiVersion"] != "bitnami.com/v1alpha1":
            kubernetes_validate.validate(item, "1.37", strict=True)
    assert len({(item["kind"], item["metadata"]["name"]) for item in objects}) == len(objects)


@pytest.mark.parametrize("profile", PROFILES, ids=["production", "embedded"])
async def test_releases_take_nothing_away_before_there_is_more(render: Render, profile: tuple[str, ...]) -> None:
    objects = await render(SEALED_VALUES, *profile)
    web, consumer = of_kind(objects, "Deployment", "web")[0], of_kind(objects, "Deployment", "consumer")[0]
    for deployment in (web, consumer):
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert consumer["spec"]["replicas"] >= 2
    (scaler,) = of_kind(objects, "HorizontalPodAutoscaler")
    assert "replicas" not in web["spec"] and scaler["spec"]["minReplicas"] >= 2
    assert scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    assert {item["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
            for item in of_kind(objects, "PodDisruptionBudget")} >= {"web", "consumer"}  # fmt: skip


async def test_the_profiles_differ_in_the_broker_and_the_database(render: Render) -> None:
    for profile, flavour, images in (
        ((), "kafka", {"apache/kafka:3.9.1", "postgres:15-bookworm"}),
        (("values-embedded.yaml",), "tansu", {"docker.io/seatrial/broker:1", "docker.io/seatrial/postgres:15"}),
    ):
        stateful = of_kind(await render(SEALED_VALUES, *profile), "StatefulSet")
        assert {item["spec"]["template"]["spec"]["containers"][0]["image"] for item in stateful} == images, flavour
        claiming = {item["metadata"]["name"] for item in stateful if item["spec"].get("volumeClaimTemplates")}
        # tansu keeps its topics in the database.
        assert claiming == ({"shop-kafka", "shop-postgres"} if flavour == "kafka" else {"shop-postgres"})


async def test_the_ingress_is_where_the_values_say(render: Render) -> None:
    (ingress,) = of_kind(await render(), "Ingress")
    assert ingress["spec"]["rules"][0]["host"] == "ai-testops.example.com"
    assert "tls" not in ingress["spec"]
    values = {**SEALED_VALUES, "ingress": {"enabled": True, "host": "shop.example.com", "tlsSecret": "cert"}}
    (ingress,) = of_kind(await render(values), "Ingress")
    assert ingress["spec"]["tls"] == [{"hosts": ["shop.example.com"], "secretName": "cert"}]


async def test_changed_settings_restart_the_pods(render: Render) -> None:
    def template(objects: list[dict[str, Any]]) -> Any:
        return of_kind(objects, "Deployment", "web")[0]["spec"]["template"]["metadata"]["annotations"]

    before, again = template(await render()), template(await render())
    after = template(await render({**SEALED_VALUES, "config": {"LOG_LEVEL": "DEBUG"}}))
    sealed = template(await render({"sealedSecret": {"encryptedData": {**SEALED, "ADMIN_PASSWORD": "AgOther"}}}))
    assert before == again != after
    assert sealed != before


async def test_the_database_is_migrated_before_the_rest_is_synced(render: Render) -> None:
    (job,) = of_kind(await render(), "Job")
    assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PreSync"


async def test_pods_are_confined_and_scraped(render: Render) -> None:
    objects = await render()
    for deployment in of_kind(objects, "Deployment"):
        template = deployment["spec"]["template"]
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert template["metadata"]["annotations"]["prometheus.io/scrape"] == "true"


async def test_without_its_secrets_it_says_which_is_missing(render: Render) -> None:
    with pytest.raises(RenderFailed, match=r"sealedSecret\.encryptedData\.SECRET_KEY is missing"):
        await render({})
    objects = await render({"existingSecret": "mine"})
    assert not of_kind(objects, "SealedSecret")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"web": {"replicas": "two"}}, "/web/replicas"),
        ({"kafka": {"flavour": "rabbit"}}, "/kafka/flavour"),
        ({"config": {"WEB_CONCURRENCY": 2}}, "/config/WEB_CONCURRENCY"),
        ({"sealedSecret": {"encryptedData": {"PASSWORD": "x"}}}, "/sealedSecret/encryptedData"),
        ({"imagee": {}}, "imagee"),
        ({"image": {"web": {"repository": "a/b", "tag": "no tag"}}}, "/image/web/tag"),
    ],
)
async def test_values_of_another_shape_are_refused_with_their_place(
    render: Render, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(RenderFailed) as caught:
        await render({**SEALED_VALUES, **values})
    assert says in caught.value.message + caught.value.detail


def test_the_application_is_automated_and_leaves_replicas_to_the_autoscaler() -> None:
    application = yaml.safe_load((APP / "argocd" / "application.yaml").read_text())
    policy = application["spec"]["syncPolicy"]
    assert policy["automated"] == {"prune": True, "selfHeal": True} and policy["retry"]["limit"] > 0
    assert "/spec/replicas" in application["spec"]["ignoreDifferences"][0]["jsonPointers"]
