"""The pods behind a Service."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster.controllers import backends


def service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"app": "web"}, **spec}}


def pod(name: str = "a", *, ip: str = "10.0.0.1", phase: str = "Running", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": "web"}},
        "spec": {"containers": [], **spec},
        "status": {"phase": phase, "podIP": ip},
    }


@pytest.mark.parametrize("spec", [{"selector": None}, {"selector": {}}, {"type": "ExternalName"}])
def test_services_others_look_after(spec: dict[str, Any]) -> None:
    assert not backends.is_ours(service(**spec))


@pytest.mark.parametrize("left_out", [{"ip": ""}, {"phase": "Succeeded"}, {"phase": "Failed"}])
def test_pods_that_cannot_serve_are_left_out(left_out: dict[str, Any]) -> None:
    assert backends.selected(service(), [pod(**left_out)]) == []


def test_pods_are_in_the_order_of_their_names() -> None:
    assert [item["metadata"]["name"] for item in backends.selected(service(), [pod("b"), pod("a")])] == ["a", "b"]


def test_a_pods_services_are_those_that_select_it() -> None:
    other = {"metadata": {"name": "other", "namespace": "shop"}, "spec": {"selector": {"app": "other"}}}
    assert list(backends.services_of(pod(), [service(), other])) == [("shop", "web")]


@pytest.mark.parametrize(
    ("target", "number"), [(8080, 8080), ("http", 8000), ("side", 7000), ("init", 0), ("none", 0), (None, 80)]
)
def test_a_target_port_is_a_number_or_a_name_in_the_pod(target: int | str | None, number: int) -> None:
    found = pod(
        containers=[{"name": "main", "ports": [{"name": "http", "containerPort": 8000}]}],
        initContainers=[
            {"name": "init", "ports": [{"name": "init", "containerPort": 1}]},
            {"name": "side", "restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 7000}]},
        ],
    )
    assert backends.port_number({"port": 80, "targetPort": target}, found) == number


def test_a_named_port_must_have_the_same_protocol() -> None:
    found = pod(containers=[{"name": "main", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]}])
    assert backends.port_number({"port": 53, "targetPort": "dns", "protocol": "TCP"}, found) == 0
    assert backends.port_number({"port": 53, "targetPort": "dns", "protocol": "UDP"}, found) == 53


def test_the_host_name_counts_only_below_the_pods_own_subdomain() -> None:
    assert backends.hostname(service(), pod(hostname="db-0", subdomain="web")) == "db-0"
    assert backends.hostname(service(), pod(hostname="db-0", subdomain="other")) == ""


def test_the_trigger_is_the_latest_change_of_readiness() -> None:
    early, late = pod("a"), pod("b")
    for item, time in ((early, "2026-01-01T00:00:00Z"), (late, "2026-01-02T00:00:00Z")):
        item["status"]["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": time}]
    assert backends.trigger_time(service(), [late, early]) == "2026-01-02T00:00:00Z"
