"""What a Service is given: its IP families."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster.apiserver.allocation import Allocator
from seatrial.kube.model.status import StatusError


def assigned(spec: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, Any]:
    service = {"metadata": {"name": "s", "uid": "1"}, "spec": {"ports": [{"port": 80}], **spec}}
    before = {"metadata": {"name": "s", "uid": "1"}, "spec": old} if old is not None else None
    Allocator().assign(service, before)
    return service["spec"]


def families(spec: dict[str, Any]) -> tuple[list[str] | None, str | None]:
    return spec.get("ipFamilies"), spec.get("ipFamilyPolicy")


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {"app": "a"}},
        {},
        {"clusterIP": "None", "selector": {"app": "a"}},
    ],
)
def test_a_service_has_the_one_family_there_is(spec: dict[str, Any]) -> None:
    assert families(assigned(spec)) == (["IPv4"], "SingleStack")


def test_a_preference_for_two_families_is_kept_and_gets_one() -> None:
    assert families(assigned({"ipFamilyPolicy": "PreferDualStack"})) == (["IPv4"], "PreferDualStack")


def test_a_headless_service_without_selector_may_have_both() -> None:
    assert families(assigned({"clusterIP": "None"})) == (["IPv4", "IPv6"], "RequireDualStack")
    assert families(assigned({"clusterIP": "None", "ipFamilyPolicy": "SingleStack"})) == (["IPv4"], "SingleStack")


def test_an_external_name_has_none() -> None:
    assert families(assigned({"type": "ExternalName"})) == (None, None)


def test_a_service_that_stops_being_an_external_name_gets_a_family() -> None:
    spec = assigned({"type": "ClusterIP"}, {"type": "ExternalName", "externalName": "example.com"})
    assert families(spec) == (["IPv4"], "SingleStack")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": '
            "this cluster is not configured for dual-stack services",
        ),
        ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
    ],
)
def test_what_needs_another_family_is_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(StatusError) as refused:
        assigned(spec)
    assert message in refused.value.message


def _node_port(uid: str, **port: int) -> dict[str, Any]:
    return {"metadata": {"name": uid, "uid": uid}, "spec": {"type": "NodePort", "ports": [{"port": 80, **port}]}}


def test_what_is_assigned_is_taken_only_when_it_is_stored() -> None:
    """Creating what exists already, or drily, must not use up what there is little of."""
    allocator = Allocator()
    for attempt in range(3_000):  # more than there are node ports
        allocator.assign(_node_port(str(attempt)), None)
    stored = _node_port("stored", nodePort=30_000)
    allocator.assign(stored, None)
    allocator.hold(stored)
    with pytest.raises(StatusError, match="already allocated"):
        allocator.assign(_node_port("other", nodePort=30_000), None)


def test_what_a_service_gives_up_is_free_again() -> None:
    allocator = Allocator()
    service = _node_port("a", nodePort=30_000)
    allocator.assign(service, None)
    allocator.hold(service)
    allocator.hold(_node_port("a", nodePort=30_001))
    allocator.assign(_node_port("b", nodePort=30_000), None)
    allocator.release(service)
    allocator.assign(_node_port("b", nodePort=30_001), None)
