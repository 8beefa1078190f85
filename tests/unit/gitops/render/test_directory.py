"""Plain directories: which files count, and what is said of bad ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.gitops.render.request import RenderFailed

if TYPE_CHECKING:
    from tests.unit.gitops.render.conftest import Ask

    from seatrial.gitops.render.renderer import Renderer


def manifest(name: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"


FILES = {
    "a.yaml": manifest("a"),
    "b.yml": manifest("b1") + "---\n" + manifest("b2"),
    "c.json": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}',
    "README.md": "kind: nothing",
    "skipped.yaml": "# +argocd:skip-file-rendering\n{{ whatever\n",
    "values.yaml": "replicas: 1\n",
    "in/d.yaml": manifest("d"),
    "in/deeper/e.yaml": manifest("e"),
}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["a", "b1", "b2", "c"]),
        ({"recurse": True}, ["a", "b1", "b2", "c", "d", "e"]),
        ({"recurse": True, "include": "in/**"}, ["d", "e"]),
        ({"recurse": True, "include": "{a,in/d}.yaml"}, ["a", "d"]),
        ({"recurse": True, "exclude": "{*.json,in/*}"}, ["a", "b1", "b2"]),
        ({"recurse": True, "include": "*.yaml", "exclude": "a.*"}, ["d", "e"]),
        ({"include": "c.json"}, ["c"]),
    ],
)
async def test_include_and_exclude(renderer: Renderer, ask: Ask, settings: dict[str, Any], expected: list[str]) -> None:
    rendered = await renderer.render(ask(FILES, directory=settings))
    assert sorted(obj["metadata"]["name"] for obj in rendered.objects) == expected
    assert rendered.source_type == "Directory"


async def test_a_path_below_is_where_patterns_begin(renderer: Renderer, ask: Ask) -> None:
    rendered = await renderer.render(ask(FILES, path="in", directory={"recurse": True, "include": "deeper/*"}))
    assert [obj["metadata"]["name"] for obj in rendered.objects] == ["e"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.jsonnet": "{}"}, "a.jsonnet: Jsonnet is not built in"),
        (
            {"a.yaml": "apiVersion: v1\nkind: A\nmetadata: {}\nkind: B\n"},
            "a.yaml: line 4: the key 'kind' is given twice",
        ),
        ({"a.yaml": "apiVersion: v1\nkind: A\nmetadata: {}\n---\n7\n"}, "a.yaml: document 2: expected an object"),
        ({"a.yaml": "#" * (6 << 20), "b.yaml": "#" * (6 << 20)}, "larger than 10 MiB together"),
    ],
)
async def test_what_is_wrong_is_named(renderer: Renderer, ask: Ask, files: dict[str, str], says: str) -> None:
    with pytest.raises(RenderFailed, match=says):
        await renderer.render(ask(files))


@pytest.mark.parametrize(
    ("path", "says"),
    [("nowhere", "path 'nowhere' does not exist"), ("a.yaml", "is a file"), ("/in", "begins with /")],
)
async def test_a_path_that_is_no_directory(renderer: Renderer, ask: Ask, path: str, says: str) -> None:
    with pytest.raises(RenderFailed, match=says):
        await renderer.render(ask(FILES, path=path))


async def test_the_type_is_recognised(renderer: Renderer, ask: Ask, chart: dict[str, str]) -> None:
    kustomization = FILES | {"kustomization.yaml": "resources: [a.yaml]\n"}
    assert (await renderer.render(ask(chart))).source_type == "Helm"
    assert (await renderer.render(ask(kustomization))).source_type == "Kustomize"
    assert (await renderer.render(ask(kustomization, directory={"include": "a.yaml"}))).source_type == "Directory"
    with pytest.raises(RenderFailed, match="rendered by one tool only"):
        await renderer.render(ask(FILES, directory={"recurse": True}, helm={"releaseName": "x"}))


async def test_files_in_the_source_override_its_settings(renderer: Renderer, ask: Ask, chart: dict[str, str]) -> None:
    files = chart | {
        ".argocd-source.yaml": "helm: {releaseName: everybody, namespace: theirs}\n",
        ".argocd-source-demo.yaml": "helm: {releaseName: mine}\nrepoURL: https://ignored\n",
    }
    given = {"releaseName": "spec", "parameters": [{"name": "a", "value": "kept"}]}
    (mine,) = (await renderer.render(ask(files, helm=given))).objects
    (other,) = (await renderer.render(ask(files, helm=given, application="other"))).objects
    assert (mine["data"]["release"], mine["data"]["to"]) == ("mine", "theirs")
    assert (other["data"]["release"], "kept" in other["data"]["values"]) == ("everybody", True)
