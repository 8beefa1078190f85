"""Files that SOPS encrypted: decrypted for one render, and seen nowhere else."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import SystemClock
from seatrial.gitops.render.renderer import Renderer
from seatrial.gitops.render.request import RenderFailed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.gitops.render.conftest import Ask

CANARY = "canary-4711-plaintext"
SEALED = "password: ENC[AES256_GCM,data:xxxx,iv:yyyy,tag:zzzz,type:str]\nsops:\n  version: 3.9.0\n"


def decrypt(content: bytes, path: str) -> bytes:
    assert path.rpartition("/")[2].startswith("sealed")
    return content.split(b"sops:")[0].replace(b"ENC[AES256_GCM,data:xxxx,iv:yyyy,tag:zzzz,type:str]", CANARY.encode())


def open_renderer(directory: Path, **given: Any) -> Renderer:
    return Renderer(directory, SystemClock(), decrypt=decrypt, **given)


def everywhere(directory: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in directory.rglob("*") if path.is_file())


SECRET = SEALED.replace("password", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  password", 1)
SOURCES: list[dict[str, Any]] = [
    {"content": {"sealed.yaml": SECRET}},
    {
        "content": {
            "kustomization.yaml": "secretGenerator: [{name: a, files: [sealed.yaml]}]\n",
            "sealed.yaml": SEALED,
        }
    },
    {
        "content": {
            "Chart.yaml": "apiVersion: v2\nname: a\nversion: 0.1.0\n",
            "templates/a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
            "data: {a: {{ .Values.password | b64enc }}}\n",
            "sealed.yaml": SEALED,
        },
        "helm": {"valueFiles": ["sealed.yaml"]},
    },
]


@pytest.mark.parametrize("source", SOURCES)
async def test_what_was_decrypted_reaches_the_manifests_and_nothing_else(
    tmp_path: Path, ask: Ask, source: dict[str, Any]
) -> None:
    async with open_renderer(tmp_path) as renderer:
        rendered = await renderer.render(ask(**source))
        assert rendered.objects[0]["kind"] == "Secret"
        assert not renderer.would_hit(ask(**source))
        assert CANARY not in everywhere(tmp_path)
        assert not any(tmp_path.rglob("*-*")), "nothing is cached"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ('a: {{ fail (printf "is %s" .Values.password) }}\n', r"is \*\*\*"),
        ('a: {{ fail (printf "is %s" (.Values.password | b64enc)) }}\n', r"is \*\*\*"),
        ("apiVersion: v1\nkind: [{{ .Values.password }}\n", "line"),
    ],
)
async def test_errors_do_not_tell_it(tmp_path: Path, ask: Ask, template: str, says: str) -> None:
    source = dict(SOURCES[2])
    source["content"] = source["content"] | {"templates/b.yaml": template}
    async with open_renderer(tmp_path) as renderer:
        with pytest.raises(RenderFailed, match=says) as caught:
            await renderer.render(ask(**source))
    told = caught.value.message + caught.value.detail
    assert CANARY not in told
    assert base64.b64encode(CANARY.encode()).decode() not in told


@pytest.mark.parametrize("source", SOURCES)
async def test_without_a_key_it_is_said(renderer: Renderer, ask: Ask, source: dict[str, Any]) -> None:
    with pytest.raises(RenderFailed, match=r"sealed.yaml is encrypted with SOPS, and there is no age key"):
        await renderer.render(ask(**source))


async def test_a_file_that_only_talks_about_it_is_left_alone(renderer: Renderer, ask: Ask) -> None:
    files = {"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {sops: talk}\n"}
    assert (await renderer.render(ask(files))).objects
