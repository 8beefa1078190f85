"""Charts rendered by the library in a worker are, object by object, what `helm template` makes of them."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.base.clock import SystemClock
from seatrial.gitops.api.source import Source
from seatrial.gitops.render import renderer as renderers
from seatrial.gitops.render.renderer import Renderer
from seatrial.gitops.render.request import RenderFailed, Request
from seatrial.gitops.sources.helm.archive import ChartFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.kube.model.objects import Object

CHARTS = Path(__file__).parent / "charts"
FOUND = shutil.which("helm") or str(Path(__file__).resolve().parents[2] / ".peers" / "helm")
pytestmark = pytest.mark.skipif(not Path(FOUND).exists(), reason="no helm on PATH or in .peers")


@dataclass(frozen=True)
class Case:
    chart: str
    settings: dict[str, Any] = field(default_factory=dict)
    kube_version: str = "1.31.4"
    fails: bool = False

    def __str__(self) -> str:
        said = orjson.dumps(self.settings).decode() if self.settings else "defaults"
        return f"{self.chart} {said} {self.kube_version}"[:120]


def set_(**values: str) -> dict[str, Any]:
    return {"parameters": [{"name": name.replace("__", "."), "value": value} for name, value in values.items()]}


def texts(**values: str) -> list[dict[str, Any]]:
    return [{"name": name.replace("__", "."), "value": value, "forceString": True} for name, value in values.items()]


INDEXES = [
    {"name": "list[1].v", "value": "9"},
    {"name": "args[0]", "value": "first"},
    {"name": "args[3]", "value": "fourth"},
    {"name": "map.drop", "value": "null"},
]
CASES = [
    *(
        Case(chart)
        for chart in (
            "web", "hooks", "crds", "subcharts", "uses-library", "functions", "schema", "files", "capabilities",
            "overrides", "odd", "legacy", "umbrella",
        )
    ),
    Case("web", {"valueFiles": ["values-prod.yaml"]}),
    Case("web", {"valueFiles": ["values-prod.yaml"], "values": "replicaCount: 4\nimage:\n  tag: v9\n"}),
    Case("web", {"valuesObject": {"replicaCount": 5, "env": {"A": "1", "B": 2, "C": True}}, "releaseName": "other"}),
    Case("web", set_(replicaCount="10", service__port="1000000", big="12345678901234567")),
    Case("web", {"parameters": texts(service__port="81", env__A="1,2", image__tag="0012")}),
    Case("web", set_(env__LIST="a,b", env__ESCAPED="a\\,b", env__EMPTY="", env__BOOL="true", env__DOTS="1.20")),
    Case("web", {**set_(nameOverride="x"), "namespace": "elsewhere", "kubeVersion": "1.25.0"}),
    Case("web", kube_version="1.19.0", fails=True),
    Case("hooks", {"skipTests": True}),
    Case("crds", {"skipCrds": True}),
    Case("subcharts", set_(database__enabled="false")),
    Case("subcharts", set_(tags__reading="true", tags__fast="false", replica__port="1000000")),
    Case("subcharts", set_(global__count="2000000", cache__size="3000000", database__user__id="4000000")),
    Case("subcharts", {"values": "tags: {reading: true}\nglobal: {zone: us, extra: [1, 2]}\ncache: {size: null}\n"}),
    Case("functions", set_(template="x {{ .Chart.Name }}", inner="y")),
    Case("functions", {"values": "needed: null"}, fails=True),
    Case("functions", set_(broken="true"), fails=True),
    Case("schema", set_(port="443", mode="slow")),
    Case("schema", set_(port="0"), fails=True),
    Case("schema", set_(mode="wrong"), fails=True),
    Case("schema", {**set_(mode="wrong"), "skipSchemaValidation": True}),
    Case("files", set_(pattern="config/a*")),
    Case("files", {"fileParameters": [{"name": "pattern", "path": "pattern.txt"}]}),
    Case("capabilities", kube_version="1.24.17"),
    Case("capabilities", {"kubeVersion": "v1.33.0", "apiVersions": ["monitoring.coreos.com/v1/ServiceMonitor"]}),
    Case("overrides", {"valueFiles": ["one.yaml", "two.yaml"]}),
    Case("overrides", {"valueFiles": ["two.yaml", "one.yaml"], **set_(plain="1", map__deep__x="7", new__deep="8")}),
    Case("overrides", {"parameters": INDEXES}),
    Case("overrides", {"parameters": [*INDEXES, {"name": "args", "value": "{1,two,3000000}"}]}),
    Case("overrides", set_(exact="3", zero="0", padded="007", negative="-5", float="1.50", huge="99999999999")),
    Case("overrides", {"parameters": [{"name": "a\\.b/c", "value": "x=y"}, {"name": "args", "value": "{}"}]}),
    Case("overrides", {"parameters": [{"name": "list[0", "value": "1"}]}),
    Case("overrides", {"values": "list: nothing\n  wrong: [\n"}, fails=True),
    Case("legacy", set_(inner__on="true")),
    Case("umbrella", set_(part3__enabled="true", part1__enabled="false", part4__replicas="2")),
    Case("umbrella", {"valuesObject": {"global": {"domain": "example.org"}}}),
    Case("broken", fails=True),
    Case("too-new", fails=True),
    Case("lacking", fails=True),
    Case("only-library", fails=True),
    Case("web", {"releaseName": "Not_A_Name"}, fails=True),
]  # fmt: skip


@pytest.fixture(scope="module")
def charts() -> ChartFiles:
    content = {str(path.relative_to(CHARTS)): path.read_bytes() for path in CHARTS.rglob("*") if path.is_file()}
    return ChartFiles(content, "https://git.example.com/charts", "0" * 40)


@pytest.fixture
async def renderer(tmp_path: Path) -> AsyncIterator[Renderer]:
    async with Renderer(tmp_path, SystemClock(), helm_binary=Path(FOUND)) as made:
        yield made


async def test_the_library_and_the_binary_render_the_same(
    renderer: Renderer, charts: ChartFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_library = {str(case): await outcome(renderer, case, charts) for case in CASES}
    monkeypatch.setattr(renderers, "has_library", lambda: False)
    for case in CASES:
        await renderer.forget(request(case, charts))
    answers = await asyncio.gather(*(outcome(renderer, case, charts) for case in CASES))
    by_binary = {str(case): answer for case, answer in zip(CASES, answers, strict=True)}
    wrong = {
        name: (by_library[name], by_binary[name]) for name in by_library if by_library[name][0] != by_binary[name][0]
    }
    assert not wrong
    for case in CASES:
        assert (by_library[str(case)][0] is None) == case.fails, (str(case), by_library[str(case)])


def request(case: Case, charts: ChartFiles) -> Request:
    source = Source.of({"repoURL": charts.origin, "path": case.chart, "helm": case.settings or None})
    return Request(source, charts, "demo", "argocd", "default", "shop", case.kube_version, ("apps/v1/Deployment",))


async def outcome(renderer: Renderer, case: Case, charts: ChartFiles) -> tuple[list[Object] | None, str]:
    """The objects in an order of their own, or what the failure says."""
    try:
        found = (await renderer.render(request(case, charts))).objects
    except RenderFailed as error:
        return None, error.message
    return sorted(found, key=lambda obj: orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)), ""
