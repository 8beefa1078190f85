"""The downward API's values."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster.node.fields import UnknownField, field_value, resource_value

POD: dict[str, Any] = {
    "metadata": {
        "name": "web-0",
        "namespace": "shop",
        "uid": "u-1",
        "labels": {"b": "2", "app.kubernetes.io/name": "web"},
        "annotations": {"note": 'two\nlines "quoted" \u00e9\u200b\x01'},
    },
    "spec": {"nodeName": "n1", "serviceAccountName": "builder"},
}
NODE = {"cpu": "3500m", "memory": "2Gi", "ephemeral-storage": "10Gi"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web-0"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app.kubernetes.io/name']", "web"),
        ("metadata.labels['absent']", ""),
        ("metadata.annotations['note']", 'two\nlines "quoted" \u00e9\u200b\x01'),
        ("metadata.labels", 'app.kubernetes.io/name="web"\nb="2"'),
        ("metadata.annotations", 'note="two\\nlines \\"quoted\\" \u00e9\\u200b\\x01"'),
        ("spec.nodeName", "n1"),
        ("spec.serviceAccountName", "builder"),
        ("status.podIP", "10.0.0.9"),
        ("status.podIPs", "10.0.0.9"),
        ("status.hostIP", "10.0.0.1"),
        ("status.hostIPs", "10.0.0.1"),
    ],
)
def test_a_field_is_told_as_the_kubelet_tells_it(path: str, value: str) -> None:
    assert field_value(POD, path, pod_address="10.0.0.9", host_address="10.0.0.1") == value


@pytest.mark.parametrize("path", ["status.phase", "spec.containers", "metadata.labels[x]", "spec['nodeName']", ""])
def test_another_field_is_refused(path: str) -> None:
    with pytest.raises(UnknownField, match="unsupported fieldPath") as raised:
        field_value(POD, path)
    assert raised.value.reason == "CreateContainerConfigError"


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "0", "1"),
        ("limits.cpu", "1m", "250"),
        ("limits.memory", "1Mi", "64"),
        ("limits.memory", "1Gi", "1"),
        ("limits.memory", "0", str(64 * 1024**2)),
        ("requests.cpu", "1m", "100"),
        ("requests.memory", "1Mi", "0"),
        ("limits.ephemeral-storage", "1Gi", "10"),
        ("limits.hugepages-2Mi", "1Mi", "4"),
    ],
)
def test_a_resource_is_counted_in_its_divisor_and_rounded_up(resource: str, divisor: str, value: str) -> None:
    container = {
        "resources": {
            "limits": {"cpu": "250m", "memory": "64Mi", "hugepages-2Mi": "4Mi"},
            "requests": {"cpu": "100m"},
        }
    }
    assert resource_value(container, resource, divisor, NODE) == value


def test_a_limit_that_is_not_set_is_what_the_node_can_give() -> None:
    assert resource_value({}, "limits.cpu", "", NODE) == "4"
    assert resource_value({}, "limits.memory", "1Mi", NODE) == "2048"
    assert resource_value({}, "requests.cpu", "", NODE) == "0"


@pytest.mark.parametrize("resource", ["limits.pods", "cpu", "status.cpu"])
def test_another_resource_is_refused(resource: str) -> None:
    with pytest.raises(UnknownField, match="unsupported container resource"):
        resource_value({}, resource, "", NODE)
