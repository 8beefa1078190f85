"""The files of volumes that come from the API."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from seatrial.cluster.node.volumes import payload
from seatrial.cluster.node.volumes.errors import VolumeNotReady
from seatrial.cluster.node.volumes.facts import PodFacts
from seatrial.cluster.node.volumes.payload import File

CONFIG = {"data": {"a.conf": "A", "b.conf": "B"}, "binaryData": {"raw": base64.b64encode(b"\xff").decode()}}
SECRET = {"data": {"key": base64.b64encode(b"s3").decode()}}
POD: dict[str, Any] = {
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "resources": {"limits": {"memory": "64Mi"}}}]},
}


def lookup(kind: str, name: str) -> dict[str, Any] | None:
    return {("ConfigMap", "conf"): CONFIG, ("Secret", "pass"): SECRET}.get((kind, name))


def test_every_key_is_a_file() -> None:
    made = payload.config_map({"name": "conf"}, lookup, 0o640)
    assert made == {"a.conf": File(b"A", 0o640), "b.conf": File(b"B", 0o640), "raw": File(b"\xff", 0o640)}


def test_items_choose_keys_paths_and_modes() -> None:
    items = [{"key": "a.conf", "path": "etc/x", "mode": 0o400}, {"key": "b.conf", "path": "y"}]
    made = payload.config_map({"name": "conf", "items": items}, lookup, 0o644)
    assert made == {"etc/x": File(b"A", 0o400), "y": File(b"B", 0o644)}


@pytest.mark.parametrize("key", ["secretName", "name"])
def test_a_secret_is_decoded(key: str) -> None:
    assert payload.secret({key: "pass"}, lookup, 0o600) == {"key": File(b"s3", 0o600)}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"name": "nope"}, 'configmap "nope" not found'),
        (
            {"name": "conf", "items": [{"key": "x", "path": "x"}]},
            'configmap "conf" references non-existent config key: x',
        ),
    ],
)
def test_what_is_missing_is_named(source: dict[str, Any], message: str) -> None:
    with pytest.raises(VolumeNotReady) as raised:
        payload.config_map(source, lookup, 0o644)
    assert raised.value.message == message


def test_what_is_optional_may_be_missing() -> None:
    assert payload.config_map({"name": "nope", "optional": True}, lookup, 0o644) == {}
    items = [{"key": "x", "path": "x"}, {"key": "a.conf", "path": "a"}]
    made = payload.config_map({"name": "conf", "optional": True, "items": items}, lookup, 0o644)
    assert list(made) == ["a"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "..data", "..2024", ""])
def test_a_file_cannot_leave_its_volume_or_take_our_names(path: str) -> None:
    with pytest.raises(VolumeNotReady, match="relative path"):
        payload.config_map({"name": "conf", "items": [{"key": "a.conf", "path": path}]}, lookup, 0o644)


def test_a_pod_tells_of_itself() -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "mem", "resourceFieldRef": {"containerName": "main", "resource": "limits.memory", "divisor": "1Mi"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}},
    ]
    made = payload.downward({"items": items}, POD, PodFacts(), {"cpu": "2"}, 0o644)
    assert {path: file.data for path, file in made.items()} == {"labels": b'app="web"', "mem": b"64", "cpu": b"2"}


def test_the_objects_of_a_volume_are_known() -> None:
    sources = [{"secret": {"name": "s"}}, {"configMap": {"name": "c"}}, {"downwardAPI": {"items": []}}]
    volume = {"name": "v", "projected": {"sources": sources}}
    assert list(payload.sources(volume)) == [("Secret", "s"), ("ConfigMap", "c")]
    assert list(payload.sources({"secret": {"secretName": "x"}})) == [("Secret", "x")]
