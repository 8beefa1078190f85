"""The one Endpoints object of a Service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers import endpoints

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def service(**spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "admin", "port": 81, "targetPort": 9000}]
    return {
        "metadata": {"name": "web", "namespace": "shop", "labels": {"team": "shop"}},
        "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.9", "ports": ports, **spec},
    }


def pod(name: str, number: int, *, port: int = 8080, ready: bool = True, deleting: bool = False) -> Object:
    metadata = {"name": name, "namespace": "shop", "uid": name}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "main", "ports": [{"name": "http", "containerPort": port}]}]},
        "status": {"podIP": f"10.0.{number // 200}.{number % 200}", "conditions": [_ready(ready)]},
    }


def _ready(value: bool) -> Object:
    return {"type": "Ready", "status": str(value)}


def shown(subsets: list[Object]) -> list[tuple[list[str], list[str], list[int]]]:
    def ips(subset: Object, kind: str) -> list[str]:
        return [address["ip"] for address in subset.get(kind, [])]

    return [
        (ips(item, "addresses"), ips(item, "notReadyAddresses"), [port["port"] for port in item.get("ports", [])])
        for item in subsets
    ]


def test_ready_and_not_ready_share_a_subset() -> None:
    found = endpoints.subsets(service(), [pod("a", 2), pod("b", 1, ready=False)])
    assert shown(found) == [(["10.0.0.2"], ["10.0.0.1"], [9000, 8080])]


def test_ports_open_at_different_pods_are_in_different_subsets() -> None:
    found = endpoints.subsets(service(), [pod("a", 1), pod("b", 2, port=8081)])
    assert sorted(shown(found)) == [
        (["10.0.0.1"], [], [8080]),
        (["10.0.0.1", "10.0.0.2"], [], [9000]),
        (["10.0.0.2"], [], [8081]),
    ]


def test_a_pod_being_deleted_is_left_out_unless_unready_ones_are_wanted() -> None:
    going = pod("a", 1, ready=False, deleting=True)
    assert endpoints.subsets(service(), [going]) == []
    assert shown(endpoints.subsets(service(publishNotReadyAddresses=True), [going]))[0][0] == ["10.0.0.1"]


def test_a_headless_service_needs_no_ports() -> None:
    found = endpoints.subsets(service(clusterIP="None", ports=[]), [pod("a", 1)])
    assert shown(found) == [(["10.0.0.1"], [], [])]
    assert endpoints.subsets(service(ports=[]), [pod("a", 1)]) == []


def test_no_more_than_a_thousand_addresses_ready_ones_first() -> None:
    many = [pod(f"p{n}", n, ready=n >= 200) for n in range(1300)]
    made = endpoints.desired(service(), many, None)
    assert made is not None
    (subset,) = made["subsets"]
    assert len(subset["addresses"]) == 1000
    assert "notReadyAddresses" not in subset
    assert made["metadata"]["annotations"][endpoints.OVER_CAPACITY] == "truncated"


def test_what_is_right_is_not_written() -> None:
    made = endpoints.desired(service(), [pod("a", 1)], None)
    assert made is not None
    assert endpoints.desired(service(), [pod("a", 1)], made) is None
    assert endpoints.desired(service(), [pod("a", 2)], made) is not None


def test_labels_are_the_services_and_the_mark_of_the_controller() -> None:
    made = endpoints.desired(service(clusterIP="None"), [], None)
    assert made is not None
    assert made["metadata"]["labels"] == {
        "team": "shop",
        "endpoints.kubernetes.io/managed-by": "endpoint-controller",
        "service.kubernetes.io/headless": "",
    }
    assert "subsets" not in made


def test_a_pod_that_waits_for_its_routes_is_listed_as_ready() -> None:
    waiting = pod("a", 1, ready=False)
    waiting["status"]["conditions"][0]["reason"] = "AwaitingRoutes"
    assert all("notReadyAddresses" not in subset for subset in endpoints.subsets(service(), [waiting]))
