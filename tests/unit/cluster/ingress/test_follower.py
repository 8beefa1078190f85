"""What of the proxy's own account, and of Ingresses, says where requests go."""

from __future__ import annotations

from typing import Any

from seatrial.cluster.ingress.follower import is_ours, listing, services_of, takes_requests


def _listed(name: str, *servers: dict[str, Any]) -> dict[str, Any]:
    about = {"metadata": {"kubernetes": {"namespace": "shop", "name": name, "port": "80"}}}
    return {"loadBalancer": {"servers": list(servers)}, "observability": about}


def test_an_address_is_listed_by_services_that_send_new_requests_to_it() -> None:
    services = {
        "one": _listed("one", {"url": "http://10.244.0.2:8080"}, {"url": "http://10.244.0.3:8080"}),
        "two": _listed("two", {"url": "http://10.244.0.2:9090", "fenced": True}),
        "api@internal": {"status": "enabled"},
    }
    assert listing(services, "10.244.0.2") == {("shop", "one")}
    assert listing(services, "10.244.0.3") == {("shop", "one")}
    assert listing(services, "10.244.0.4") == set()


def test_a_prefix_of_an_address_is_another_address() -> None:
    assert listing({"one": _listed("one", {"url": "http://10.244.0.20:80"})}, "10.244.0.2") == set()


def _ingress(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def test_an_ingress_is_ours_by_its_class_or_the_older_annotation() -> None:
    assert is_ours(_ingress(ingressClassName="traefik"))
    assert not is_ours(_ingress(ingressClassName="nginx"))
    assert not is_ours(_ingress())
    older = _ingress()
    older["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "traefik"}
    assert is_ours(older)


def test_an_ingress_leads_to_the_services_of_its_paths_and_of_its_default() -> None:
    path = {"path": "/", "backend": {"service": {"name": "web", "port": {"number": 80}}}}
    bucket = {"path": "/files", "backend": {"resource": {"kind": "Bucket", "name": "files"}}}
    found = _ingress(
        defaultBackend={"service": {"name": "rest", "port": {"name": "http"}}},
        rules=[{"host": "a.example", "http": {"paths": [path, bucket]}}, {"host": "b.example"}],
    )
    assert list(services_of(found)) == ["rest", "web"]


def test_unknown_readiness_takes_requests_and_an_end_takes_none() -> None:
    assert takes_requests({})
    assert takes_requests({"ready": True, "terminating": False})
    assert not takes_requests({"ready": False})
    assert not takes_requests({"ready": True, "terminating": True})
