"""Helm sources: where values come from, and in which order they beat each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.gitops.render.request import RenderFailed, Request
from seatrial.gitops.sources.helm.dependencies import Dependency

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.gitops.render.conftest import Ask

    from seatrial.gitops.render.renderer import Renderer

Chart = dict[str, str]


async def printed(renderer: Renderer, request: Request) -> dict[str, Any]:
    (obj,) = (await renderer.render(request)).objects
    values: dict[str, Any] = orjson.loads(obj["data"]["values"])
    return values


async def test_each_place_of_values_beats_those_before_it(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    names = ("a", "one", "two", "inline", "set", "text", "file")
    files = {
        **chart,
        "values.yaml": "".join(f"{name}: default\n" for name in names),
        "one.yaml": "".join(f"{name}: one\n" for name in names[1:]),
        "two.yaml": "".join(f"{name}: two\n" for name in names[2:]),
        "file.txt": "file",
    }
    helm = {
        "valueFiles": ["one.yaml", "two.yaml"],
        "values": "".join(f"{name}: inline\n" for name in names[3:]),
        "parameters": [
            {"name": "text", "value": "text", "forceString": True},
            {"name": "file", "value": "text", "forceString": True},
            *({"name": name, "value": "set"} for name in names[4:]),
        ],
        "fileParameters": [{"name": "file", "path": "file.txt"}],
    }
    values = await printed(renderer, ask(files, helm=helm))
    assert values == {"a": "default", **{name: name for name in names[1:]}}


async def test_values_object_stands_before_values(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    helm = {"values": "a: text\nb: text\n", "valuesObject": {"a": "object"}}
    assert await printed(renderer, ask(chart, helm=helm)) == {"a": "object"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["*.yaml"], "why"),
        (["*.yaml", "x.yaml"], "ex"),
        (["../../env/**/*.yaml"], "deep"),
        (["/env/{a,b}.yaml"], "b"),
        (["/env/?.yaml", "../../env/a.yaml"], "a"),
        (["x.yaml", "../../env/a.yaml", "x.yaml"], "a"),
    ],
)
async def test_value_files_are_found_by_name_and_by_pattern(
    renderer: Renderer, ask: Ask, chart: Chart, names: list[str], expected: str
) -> None:
    others = {"env/a.yaml": "a: a\n", "env/b.yaml": "a: b\n", "env/in/deep.yaml": "a: deep\n"}
    own = {"x.yaml": "a: ex\n", "y.yaml": "a: why\n"}
    files = {f"charts/it/{path}": text for path, text in (chart | own).items() if path != "values.yaml"} | others
    values = await printed(renderer, ask(files, path="charts/it", helm={"valueFiles": names}))
    assert values["a"] == expected


async def test_value_files_of_another_source(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    helm = {
        "valueFiles": ["$values/envs/$ARGOCD_APP_NAME.yaml"],
        "fileParameters": [{"name": "b", "path": "$values/note.txt"}],
    }
    request = ask(chart, helm=helm, references={"values": {"envs/demo.yaml": "a: theirs\n", "note.txt": "x,y"}})
    assert await printed(renderer, request) == {"a": "theirs", "b": "x,y"}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["missing.yaml"], "valueFiles: 'missing.yaml' is not a file"),
        (["none-*.yaml"], "'none-\\*.yaml' matches no file"),
        (["../out.yaml"], "leads out of"),
        (["$other/a.yaml"], "no source has `ref: other`"),
        (["https://example.com/values.yaml"], "remote files are not fetched"),
        (["templates"], "'templates' is not a file"),
    ],
)
async def test_value_files_that_cannot_be_had(
    renderer: Renderer, ask: Ask, chart: Chart, names: list[str], says: str
) -> None:
    with pytest.raises(RenderFailed, match=says):
        await renderer.render(ask(chart, helm={"valueFiles": names}))


async def test_missing_value_files_may_be_ignored(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    helm = {"valueFiles": ["missing.yaml", "none-*.yaml"], "ignoreMissingValueFiles": True}
    assert await printed(renderer, ask(chart, helm=helm)) == {"a": "default"}


async def test_the_build_environment_is_substituted(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    names = ("APP_NAME", "APP_NAMESPACE", "APP_PROJECT_NAME", "APP_REVISION_SHORT", "APP_REVISION_SHORT_8",
             "APP_SOURCE_PATH", "APP_SOURCE_REPO_URL", "APP_SOURCE_TARGET_REVISION")  # fmt: skip
    parameters = [{"name": name, "value": f"<${{ARGOCD_{name}}}>", "forceString": True} for name in names]
    parameters.append({"name": "rest", "value": "$KUBE_VERSION $NOTHING $$HOME", "forceString": True})
    values = await printed(renderer, ask(chart, helm={"parameters": parameters}))
    assert [values[name] for name in names] == [
        "<demo>", "<shop>", "<team>", "<0123456>", "<01234567>", "<.>", "<https://git.example.com/repo>", "<main>",
    ]  # fmt: skip
    assert values["rest"] == "1.31.0  $HOME"


async def test_release_name_and_namespace(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    (own,) = (await renderer.render(ask(chart))).objects
    (other,) = (await renderer.render(ask(chart, helm={"releaseName": "x", "namespace": "there"}))).objects
    assert (own["data"]["release"], own["data"]["to"]) == ("demo", "shop")
    assert (other["data"]["release"], other["data"]["to"]) == ("x", "there")


async def test_dependencies_are_brought_along(tmp_path: Path, renderer: Renderer, ask: Ask, chart: Chart) -> None:
    files = chart | {
        "Chart.yaml": "apiVersion: v2\nname: printing\nversion: 0.1.0\n"
        "dependencies: [{name: lib, version: 1.0.0, repository: 'file://../lib'}]\n",
    }
    content = {f"main/{path}": text for path, text in files.items()}
    content |= {
        "lib/Chart.yaml": "apiVersion: v2\nname: lib\nversion: 1.0.0\n",
        "lib/templates/a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: lib}\n",
    }
    with pytest.raises(RenderFailed, match="missing in charts/ directory: lib"):
        await renderer.render(ask(content, path="main"))

    async def dependencies(_files: object, path: str) -> list[Dependency]:
        assert path == "main"
        return [Dependency("lib", "1.0.0", path="lib")]

    renderer._dependencies = dependencies
    rendered = await renderer.render(ask(content, path="main"))
    assert sorted(obj["kind"] for obj in rendered.objects) == ["ConfigMap", "Secret"]


async def test_errors_say_file_and_line_and_nothing_of_this_machine(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    files = chart | {"templates/b.yaml": "\n\na: {{ .Values.x.y }}\n"}
    with pytest.raises(RenderFailed, match=r"printing/templates/b\.yaml:3") as caught:
        await renderer.render(ask(files))
    assert "seatrial-render" not in caught.value.message
    assert "/dev/shm" not in caught.value.message


async def test_output_that_is_no_manifest_is_shown(renderer: Renderer, ask: Ask, chart: Chart) -> None:
    files = chart | {"templates/b.yaml": "apiVersion: v1\nkind: A\nmetadata: {name: [}\n"}
    with pytest.raises(RenderFailed, match=r"(?s)printing/templates/b\.yaml: line 3.*3: metadata: {name: \[}"):
        await renderer.render(ask(files))
