"""What a Service is given: its IP families."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.cluster.apiserver.allocation import Allocator
from seatrial.kube.model.status import StatusError


def assigned(spec: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, Any]:
    service = {"metadata": {"name": "s", "uid": "1"}, "spec": {"ports": [{"port": 80}], **spec}}
    before = {"metadata": {"name": "s", "uid": "1"}, "spec": old} if old is not None else None
    Allocator().assign(service, before, dry_run=False)
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
