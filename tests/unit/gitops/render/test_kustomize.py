"""Kustomizations: the files they reach, and the settings of an Application edited into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.gitops.render.request import RenderFailed

if TYPE_CHECKING:
    from tests.unit.gitops.render.conftest import Ask

    from seatrial.gitops.render.renderer import Renderer
    from seatrial.kube.model.objects import Object

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1.0"}]}
"""
FILES = {
    "base/kustomization.yaml": "resources: [web.yaml]\n",
    "base/web.yaml": DEPLOYMENT,
    "extra/kustomization.yml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    "configMapGenerator: [{name: extra, files: [from=data.txt], options: {disableNameSuffixHash: true}}]\n",
    "extra/data.txt": "content",
    "prod/Kustomization": "resources: [../base]\nnamePrefix: p-\ncommonLabels: {tier: prod}\n"
    "patches: [{path: patch.yaml}]\nimages: [{name: nginx, newTag: '1.1'}]\n",
    "prod/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {paused: true}\n",
}


async def one(renderer: Renderer, ask: Ask, settings: dict[str, Any]) -> Object:
    (obj,) = (await renderer.render(ask(FILES, path="prod", kustomize=settings))).objects
    return obj


def image(obj: Object) -> str:
    found: str = obj["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


async def test_bases_patches_and_images_of_the_kustomization_itself(renderer: Renderer, ask: Ask) -> None:
    obj = await one(renderer, ask, {})
    assert (obj["metadata"]["name"], obj["spec"]["paused"], image(obj)) == ("p-web", True, "nginx:1.1")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("nginx:2", "nginx:2"),
        ("nginx=other.example.com:5000/web:3", "other.example.com:5000/web:3"),
        ("nginx=mine", "mine:1.0"),
        ("nginx@sha256:" + "a" * 64, "nginx@sha256:" + "a" * 64),
        ("nginx=mine:*", "mine:1.1"),
        ("nginx:$ARGOCD_APP_REVISION_SHORT", "nginx:0123456"),
    ],
)
async def test_images(renderer: Renderer, ask: Ask, given: str, expected: str) -> None:
    assert image(await one(renderer, ask, {"images": [given]})) == expected


async def test_names_namespace_and_replicas(renderer: Renderer, ask: Ask) -> None:
    settings = {
        "namePrefix": "x-", "nameSuffix": "-y", "namespace": "there", "replicas": [{"name": "web", "count": "4"}],
    }  # fmt: skip
    obj = await one(renderer, ask, settings)
    assert obj["metadata"] | {"labels": 0} == {"name": "x-web-y", "namespace": "there", "labels": 0}
    assert obj["spec"]["replicas"] == 4


async def test_labels_and_annotations(renderer: Renderer, ask: Ask) -> None:
    settings = {
        "commonLabels": {"app.name": "${ARGOCD_APP_NAME}"},
        "commonAnnotations": {"raw": "$ARGOCD_APP_NAME"},
    }
    obj = await one(renderer, ask, settings)
    assert obj["spec"]["selector"]["matchLabels"] == {"app": "web", "app.name": "demo", "tier": "prod"}
    assert obj["metadata"]["annotations"] == {"raw": "$ARGOCD_APP_NAME"}
    substituted = await one(renderer, ask, {**settings, "commonAnnotationsEnvsubst": True})
    assert substituted["metadata"]["annotations"] == {"raw": "demo"}


async def test_labels_that_leave_selectors_alone(renderer: Renderer, ask: Ask) -> None:
    plain = await one(renderer, ask, {"commonLabels": {"a": "b"}, "labelWithoutSelector": True})
    assert plain["metadata"]["labels"]["a"] == "b"
    assert "a" not in plain["spec"]["selector"]["matchLabels"] | plain["spec"]["template"]["metadata"]["labels"]
    settings = {"commonLabels": {"a": "b"}, "labelWithoutSelector": True, "labelIncludeTemplates": True}
    templates = await one(renderer, ask, settings)
    assert templates["spec"]["template"]["metadata"]["labels"]["a"] == "b"


async def test_a_label_that_is_there_needs_force(renderer: Renderer, ask: Ask) -> None:
    with pytest.raises(RenderFailed, match=r"tier: in the kustomization already: set kustomize\.forceCommonLabels"):
        await one(renderer, ask, {"commonLabels": {"tier": "test"}})
    forced = await one(renderer, ask, {"commonLabels": {"tier": "test"}, "forceCommonLabels": True})
    assert forced["metadata"]["labels"]["tier"] == "test"


async def test_patches_and_components(renderer: Renderer, ask: Ask) -> None:
    patch = [{"op": "replace", "path": "/spec/replicas", "value": 9}]
    settings = {
        "patches": [{"target": {"kind": "Deployment"}, "patch": orjson.dumps(patch).decode()}],
        "components": ["../extra", "../missing"],
        "ignoreMissingComponents": True,
    }
    rendered = (await renderer.render(ask(FILES, path="prod", kustomize=settings))).objects
    by_kind = {obj["kind"]: obj for obj in rendered}
    assert by_kind["Deployment"]["spec"]["replicas"] == 9
    assert by_kind["ConfigMap"]["data"] == {"from": "content"}


@pytest.mark.parametrize(
    ("kustomization", "says"),
    [
        ("resources: ['https://github.com/a/b//base?ref=v1']", "is remote: remote bases are not fetched"),
        ("resources: ['github.com/a/b']", "is remote"),
        ("resources: ['git@github.com:a/b.git']", "is remote"),
        ("resources: [../../out]", "leads out of the repository"),
        ("resources: [missing.yaml]", "missing.yaml"),
        ("helmCharts: [{name: a}]", "helmCharts are not inflated"),
        ("resources: [a\n", "it/kustomization.yaml: line"),
        ("resources: [.]", "cycle"),
        ("nonsense: 1", 'unknown field "nonsense"'),
        ("configMapGenerator: [{name: a, files: [../secret.txt]}]", "secret.txt' is not in or below"),
    ],
)
async def test_what_is_wrong_is_said(renderer: Renderer, ask: Ask, kustomization: str, says: str) -> None:
    files = {"it/kustomization.yaml": kustomization, "secret.txt": "x"}
    with pytest.raises(RenderFailed, match=says) as caught:
        await renderer.render(ask(files, path="it"))
    assert "/dev/shm" not in caught.value.message


async def test_only_what_it_reaches_is_an_input(renderer: Renderer, ask: Ask) -> None:
    first = ask(FILES, path="prod")
    await renderer.render(first)
    assert renderer.would_hit(ask(FILES | {"other/a.yaml": "x", "extra/data.txt": "new"}, path="prod", revision="2"))
    assert not renderer.would_hit(ask(FILES | {"base/web.yaml": DEPLOYMENT + "# x\n"}, path="prod", revision="3"))
    assert not renderer.would_hit(ask(FILES | {"prod/kustomization.yaml": ""}, path="prod", revision="4"))
