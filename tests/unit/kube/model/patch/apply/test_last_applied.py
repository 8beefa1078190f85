from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.kube.model.patch.apply import last_applied, managed
from seatrial.kube.model.schema.builtin import type_for

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def config_map(annotations: dict[str, str] | None = None, **data: str) -> Object:
    metadata: dict[str, Any] = {"name": "c", "namespace": "default"}
    if annotations is not None:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def applied(live: Object, config: Object) -> Object:
    type_ = type_for("v1", "ConfigMap")
    assert type_ is not None
    return managed.apply(
        live, config, type_, manager="kubectl", force=False, subresource="", now="2026-01-01T00:00:00Z"
    )


def client_side(config: Object) -> Object:
    type_ = type_for("v1", "ConfigMap")
    assert type_ is not None
    text = orjson.dumps(config).decode()
    new = config_map({last_applied.ANNOTATION: text}, **config["data"])
    who = {"manager": "kubectl-client-side-apply", "subresource": "", "now": "2026-01-01T00:00:00Z"}
    return managed.updated(None, new, type_, **who)


def test_kubectl_may_change_what_it_applied_from_the_client() -> None:
    assert applied(client_side(config_map(a="1")), config_map(a="2"))["data"] == {"a": "2"}


def test_the_annotation_follows_the_server_side_apply() -> None:
    after = applied(client_side(config_map(a="1")), config_map(a="2"))
    assert orjson.loads(after["metadata"]["annotations"][last_applied.ANNOTATION]) == config_map(a="2")


def test_an_annotation_that_would_be_too_long_goes() -> None:
    after = applied(client_side(config_map(a="1")), config_map(a="x" * last_applied.MAX_ANNOTATIONS_BYTES))
    assert last_applied.ANNOTATION not in after["metadata"]["annotations"]
