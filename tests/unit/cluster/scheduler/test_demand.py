"""What a pod asks of a node."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.cluster.scheduler.making import asking, pod

from seatrial.cluster.scheduler import demand


def cpu(**spec: Any) -> int:
    return demand.requests(pod(**spec))["cpu"]


def test_containers_add_up() -> None:
    wanted = demand.requests(pod(containers=[asking("250m", "1Gi"), asking("1", "64Mi")]))
    assert wanted == {"cpu": 1250, "memory": 1088 * 2**20}


def test_a_pod_that_requests_nothing_needs_nothing() -> None:
    assert not demand.requests(pod())


def test_an_init_container_counts_only_where_it_is_larger() -> None:
    assert cpu(containers=[asking("1")], initContainers=[asking("3"), asking("2")]) == 3000
    assert cpu(containers=[asking("4")], initContainers=[asking("3"), asking("2")]) == 4000


def test_each_resource_has_its_own_maximum() -> None:
    wanted = demand.requests(pod(containers=[asking("1", "2Gi")], initContainers=[asking("2", "1Gi")]))
    assert wanted == {"cpu": 2000, "memory": 2 * 2**30}


def test_sidecars_run_beside_the_containers() -> None:
    assert cpu(containers=[asking("1")], initContainers=[asking("500m", restartPolicy="Always")]) == 1500


def test_an_init_container_runs_beside_the_sidecars_started_before_it_only() -> None:
    sidecar = asking("1", restartPolicy="Always")
    assert cpu(initContainers=[sidecar, asking("3")], containers=[asking("1")]) == 4000
    assert cpu(initContainers=[asking("3"), sidecar], containers=[asking("1")]) == 3000


def test_overhead_comes_on_top() -> None:
    assert cpu(containers=[asking("1")], initContainers=[asking("2")], overhead={"cpu": "100m"}) == 2100


def test_what_the_pod_asks_for_as_a_whole_counts_instead_of_its_containers() -> None:
    wanted = pod(
        containers=[asking("1", "1Gi"), asking("1")], resources={"requests": {"cpu": "3"}}, overhead={"cpu": "1"}
    )
    assert demand.requests(wanted) == {"cpu": 4000, "memory": 2**30}


def test_only_shared_resources_may_be_asked_for_as_a_whole() -> None:
    gpu = {"name": "c", "image": "i", "resources": {"requests": {"example.com/gpu": "2"}}}
    wanted = pod(containers=[gpu], resources={"requests": {"example.com/gpu": "1", "hugepages-2Mi": "4Mi"}})
    assert demand.requests(wanted) == {"example.com/gpu": 2, "hugepages-2Mi": 4 * 2**20}


def test_fractions_are_rounded_up() -> None:
    assert demand.amounts({"cpu": "0.1m", "memory": "1500m"}) == {"cpu": 1, "memory": 2}


def test_host_ports_are_those_of_containers_that_last() -> None:
    def with_port(port: int, **more: Any) -> dict[str, Any]:
        return asking(ports=[{"containerPort": port, "hostPort": port}, {"containerPort": 1}], **more)

    wanted = pod(containers=[with_port(80)], initContainers=[with_port(90), with_port(100, restartPolicy="Always")])
    assert demand.host_ports(wanted) == {("0.0.0.0", "TCP", 80), ("0.0.0.0", "TCP", 100)}


@pytest.mark.parametrize(
    ("other", "clash"),
    [
        (("0.0.0.0", "TCP", 80), True),
        (("10.0.0.1", "TCP", 80), True),
        (("10.0.0.2", "TCP", 80), False),
        (("10.0.0.1", "UDP", 80), False),
        (("10.0.0.1", "TCP", 81), False),
    ],
)
def test_a_port_clashes_with_the_same_one_on_the_same_or_every_address(
    other: tuple[str, str, int], clash: bool
) -> None:
    mine = ("10.0.0.1", "TCP", 80)
    assert demand.ports_clash({mine}, {other}) is clash
    assert demand.ports_clash({other}, {mine}) is clash
