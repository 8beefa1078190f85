"""Bodies of sub-resources and deletions that are not what they should be: refused, never a failure of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.cluster.apiserver.answer import Answer
from seatrial.cluster.apiserver.auth.user import loopback
from seatrial.kube.client.transport import Request
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scenarios.conftest import Scene

JUNK: list[Any] = [1, True, "text", [], {}, [1], ["a"], [None], {"a": 1}]

NAMESPACE = "/api/v1/namespaces/default"
BODIES: list[tuple[str, str, dict[str, Any]]] = [
    (
        "POST",
        f"{NAMESPACE}/pods/p/binding",
        {"kind": "Binding", "metadata": {"name": "p", "labels": {"a": "b"}}, "target": {"kind": "Node", "name": "n"}},
    ),
    (
        "POST",
        f"{NAMESPACE}/pods/p/eviction",
        {"kind": "Eviction", "metadata": {"name": "p"}, "deleteOptions": {"preconditions": {"uid": "u"}}},
    ),
    (
        "POST",
        f"{NAMESPACE}/serviceaccounts/default/token",
        {"kind": "TokenRequest", "spec": {"audiences": ["a"], "boundObjectRef": {"kind": "Pod", "name": "p"}}},
    ),
    (
        "PUT",
        "/apis/apps/v1/namespaces/default/deployments/d/scale",
        {"kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 0}},
    ),
    ("PUT", "/api/v1/namespaces/default/finalize", {"kind": "Namespace", "spec": {"finalizers": ["a"]}}),
    (
        "DELETE",
        f"{NAMESPACE}/pods/p",
        {"kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}, "dryRun": ["All"]},
    ),
]


def _spoiled(value: Any) -> Iterator[Any]:
    """The value with each of its parts, one at a time, replaced by junk."""
    yield from JUNK
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ({**value, key: other} for other in _spoiled(item))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in _spoiled(item))


async def _asked(scene: Scene, method: str, path: str, body: Any) -> int:
    headers = {"content-type": "application/json"}
    request = Request(method, path, [("dryRun", "All")], headers, orjson.dumps(body))
    try:
        answer = await scene.cluster.api.handle(request, loopback("tester"))
    except StatusError as error:
        return error.code
    assert isinstance(answer, Answer)
    return answer.status


@pytest.mark.parametrize(("method", "path", "body"), BODIES, ids=[f"{method} {path}" for method, path, _ in BODIES])
async def test_a_spoiled_body_is_refused(scene: Scene, method: str, path: str, body: dict[str, Any]) -> None:
    await scene.create(scene.pod("p", nodeSelector={"fits": "nowhere"}))
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    metadata = {"name": "d", "namespace": "default"}
    await scene.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    for spoiled in _spoiled(body):
        code = await _asked(scene, method, path, spoiled)
        assert code < 500, spoiled


async def test_finalizing_dry_changes_nothing(scene: Scene) -> None:
    before = await scene.get("namespaces", "default", "")
    assert await _asked(scene, "PUT", "/api/v1/namespaces/default/finalize", {"kind": "Namespace", "spec": {}}) == 200
    assert await scene.get("namespaces", "default", "") == before
