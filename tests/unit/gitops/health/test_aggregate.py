"""The health of an Application from those of its resources."""

from __future__ import annotations

from typing import Any

from seatrial.gitops.health.aggregate import Resource, aggregate
from seatrial.gitops.health.health import Health, Status
from seatrial.kube.model import objects


def resource(name: str, status: Status | None, *, kind: str = "ConfigMap", live: bool = True, **named: str) -> Resource:
    version = "argoproj.io/v1alpha1" if kind == "Application" else "v1"
    metadata: dict[str, Any] = {"name": name, "namespace": "n", "annotations": named}
    obj = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return Resource(obj, obj if live else None, Health(status) if status and live else None)


def prefixed(annotation: str, value: str) -> dict[str, Any]:
    return {f"argocd.argoproj.io/{annotation}": value}


def test_the_worst_counts_and_names_its_causes() -> None:
    resources = [resource("a", "Healthy"), resource("b", "Progressing"), resource("c", "Degraded"), resource("d", None)]
    assert aggregate(resources) == Health("Degraded", "because of ConfigMap n/c")


def test_three_causes_are_named_and_the_others_counted() -> None:
    found = aggregate([resource(name, "Progressing") for name in "abcde"])
    assert found.message == "because of ConfigMap n/a, ConfigMap n/b, ConfigMap n/c and 2 more"


def test_nothing_is_healthy() -> None:
    assert aggregate([]) == Health("Healthy")


def test_a_missing_resource_does_not_count_unless_all_are_missing() -> None:
    missing = resource("a", None, live=False)
    assert aggregate([missing, resource("b", "Healthy")]).status == "Healthy"
    assert aggregate([missing]).status == "Missing"


def test_hooks_skipped_and_ignored_resources_do_not_count() -> None:
    for annotation, value in (("hook", "PreSync"), ("hook", "Skip"), ("ignore-healthcheck", "true")):
        found = aggregate([resource("a", "Degraded", **prefixed(annotation, value)), resource("b", "Healthy")])
        assert found.status == "Healthy"


def test_a_child_that_is_unknown_does_not_count_and_a_degraded_one_does() -> None:
    assert aggregate([resource("a", "Unknown", kind="Application")]).status == "Healthy"
    assert aggregate([resource("a", "Degraded", kind="Application")]).status == "Degraded"


def test_an_application_is_no_cause_of_its_own_health() -> None:
    itself = resource("a", "Degraded", kind="Application")
    assert itself.live is not None
    assert aggregate([itself], objects.ref(itself.live)).status == "Healthy"
