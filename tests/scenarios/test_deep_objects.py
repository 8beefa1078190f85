"""Objects nested so deeply that somebody's stack or encoder gives up: refused on the way in, harmless when stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.cluster.apiserver.answer import Answer
from seatrial.cluster.apiserver.auth.user import loopback
from seatrial.kube.client.transport import Request
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

PATH = "/apis/example.com/v1/namespaces/default/deeps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
DEPTHS = (150, 195, 199, 205, 230, 250, 252, 254, 260, 500, 1000)


async def _asked(scene: Scene, method: str, path: str, body: bytes = b"", kind: str = "", **query: str) -> int:
    headers = {"content-type": kind or "application/json", "accept": "application/json"}
    if query.pop("table", ""):
        headers["accept"] = TABLE
    try:
        request = Request(method, path, list(query.items()), headers, body)
        answer = await scene.cluster.api.handle(request, loopback("tester"))
    except StatusError as error:
        return error.code
    assert isinstance(answer, Answer)
    assert answer.data
    return answer.status


def _nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def _named(name: str, spec: bytes) -> bytes:
    head = f'{{"apiVersion":"example.com/v1","kind":"Deep","metadata":{{"name":"{name}"}},"spec":'
    return head.encode() + spec + b"}"


@pytest.mark.parametrize("dry", ["", "All"])
async def test_whatever_the_depth_the_answer_is_no_failure(scene: Scene, dry: str) -> None:
    await scene.create(scene.definition("deeps", "Deep"))
    await _asked(scene, "POST", PATH, _named("base", b"{}"))
    options = {"dryRun": dry} if dry else {}
    for depth in DEPTHS:
        spec, name = _nested(depth), f"d{depth}"
        json_patch = b'[{"op":"add","path":"/spec/a","value":' + spec + b"}]"
        codes = [
            await _asked(scene, "POST", PATH, _named(name, spec), **options),
            await _asked(scene, "PATCH", f"{PATH}/base", b'{"spec":' + spec + b"}", "application/merge-patch+json"),
            await _asked(scene, "PATCH", f"{PATH}/base", json_patch, "application/json-patch+json", **options),
            await _asked(
                scene,
                "PATCH",
                f"{PATH}/{name}s",
                _named(f"{name}s", spec),
                "application/apply-patch+yaml",
                fieldManager="a",
                **options,
            ),
        ]
        assert set(codes) <= ({200, 201} if depth < 190 else {200, 201, 400}), (depth, codes)
        assert depth < 200 or set(codes) == {400}, (depth, codes)
    assert await _asked(scene, "GET", PATH) == 200
    assert await _asked(scene, "GET", PATH, table="yes", includeObject="Object") == 200


async def test_a_json_patch_cannot_make_an_object_deeper_than_allowed(scene: Scene) -> None:
    await scene.create(scene.definition("deeps", "Deep"))
    await _asked(scene, "POST", PATH, _named("base", b"{}"))
    place, deeper = "/spec" + "/a" * 60, _nested(60)
    codes = []
    for _ in range(6):
        patch = (
            b'[{"op":"move","from":"/spec","path":"/held"},{"op":"add","path":"/spec","value":' + deeper + b"},"
            b'{"op":"move","from":"/held","path":"' + place.encode() + b'"}]'
        )
        codes.append(await _asked(scene, "PATCH", f"{PATH}/base", patch, "application/json-patch+json"))
    assert codes == [200, 200, 200, 400, 400, 400]
