"""A renderer of its own for each test, and files made of a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import SystemClock
from seatrial.gitops.api.source import Source
from seatrial.gitops.render.renderer import Renderer
from seatrial.gitops.render.request import Request
from seatrial.gitops.sources.helm.archive import ChartFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

URL = "https://git.example.com/repo"
REVISION = "0123456789abcdef0123456789abcdef01234567"

Ask = Callable[..., Request]


def files_of(content: dict[str, str], revision: str = REVISION, url: str = URL) -> ChartFiles:
    return ChartFiles({path: text.encode() for path, text in content.items()}, url, revision)


@pytest.fixture
async def renderer(tmp_path: Path) -> AsyncIterator[Renderer]:
    async with Renderer(tmp_path / "render", SystemClock(), workers=1) as made:
        yield made


@pytest.fixture
def ask() -> Ask:
    """`ask(files, path=..., helm=..., revision=..., references=...)`."""

    def made(content: dict[str, str], *, path: str = ".", application: str = "demo", **given: Any) -> Request:
        revision = given.pop("revision", REVISION)
        references = {name: files_of(of, url=f"{URL}-{name}") for name, of in given.pop("references", {}).items()}
        kube_version = given.pop("kube_version", "1.31.0")
        api_versions = given.pop("api_versions", ())
        source = Source.of({"repoURL": URL, "path": path, "targetRevision": "main", **given})
        return Request(
            source, files_of(content, revision), application, "argocd", "team", "shop", kube_version, api_versions,
            references,
        )  # fmt: skip

    return made


@pytest.fixture
def chart() -> dict[str, str]:
    """A chart that prints what it is given."""
    return {
        "Chart.yaml": "apiVersion: v2\nname: printing\nversion: 0.1.0\n",
        "values.yaml": "a: default\n",
        "templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: printed}\n"
        "data: {values: {{ .Values | toJson | quote }}, release: {{ .Release.Name }}, to: {{ .Release.Namespace }}}\n",
    }
