from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seatrial.cluster.node.runtime.spec import Machine, container_spec
from seatrial.cluster.node.runtime.types import ContainerConfig, Limits, Mount, Sandbox, SandboxConfig, Security

MACHINE = Machine(
    capabilities=frozenset({"CAP_CHOWN", "CAP_MKNOD", "CAP_KILL"}),
    open_files=20000,
    oom_score_adj=0,
    user_namespace=False,
    cgroups=True,
    swap_limits=True,
)
SANDBOX = SandboxConfig("uid", "default", "web", "web")
CONTAINER = ContainerConfig(
    id="c" * 64,
    sandbox="uid",
    name="main",
    layers=(Path("/layers/a"),),
    layer_directory=Path("/layers"),
    arguments=("serve", "--port=80"),
    environment=("A=1",),
)


def made(
    config: ContainerConfig = CONTAINER, *, sandbox: SandboxConfig = SANDBOX, machine: Machine = MACHINE, **more: Any
) -> dict[str, Any]:
    held = Sandbox(sandbox, "" if sandbox.host_network else "/proc/77/ns/net", 77)
    return container_spec(config, held, files=Path("/files"), cgroups_path="/x/uid/c", machine=machine, **more)


def namespaces(spec: dict[str, Any]) -> dict[str, str | None]:
    return {entry["type"]: entry.get("path") for entry in spec["linux"]["namespaces"]}


def mounts(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in spec["mounts"]}


def test_a_container_joins_its_pods_namespaces_and_has_mounts_and_processes_of_its_own() -> None:
    assert namespaces(made()) == {
        "mount": None,
        "pid": None,
        "cgroup": None,
        "network": "/proc/77/ns/net",
        "ipc": "/proc/77/ns/ipc",
        "uts": "/proc/77/ns/uts",
    }


def test_the_nodes_namespaces_are_shared_by_not_naming_any() -> None:
    host = replace(SANDBOX, host_network=True, host_pid=True, host_ipc=True)
    assert set(namespaces(made(sandbox=host))) == {"mount", "uts", "cgroup"}


def test_a_shared_process_namespace_is_the_pods() -> None:
    shared = replace(SANDBOX, share_process_namespace=True)
    assert namespaces(made(sandbox=shared))["pid"] == "/proc/77/ns/pid"


def test_capabilities_are_those_asked_for_that_the_node_has() -> None:
    asked = replace(CONTAINER, security=Security(capabilities=("CAP_CHOWN", "CAP_SYS_ADMIN")))
    capabilities = made(asked)["process"]["capabilities"]
    assert capabilities == {kind: ["CAP_CHOWN"] for kind in ("bounding", "effective", "permitted")}


def test_a_privileged_container_has_all_the_node_has_and_nothing_masked_or_filtered() -> None:
    spec = made(replace(CONTAINER, security=Security(privileged=True)))
    assert spec["process"]["capabilities"]["effective"] == ["CAP_CHOWN", "CAP_KILL", "CAP_MKNOD"]
    assert not {"maskedPaths", "readonlyPaths", "seccomp"} & set(spec["linux"])
    assert "rw" in mounts(spec)["/sys"]["options"]


def test_without_control_groups_root_of_the_machine_makes_no_devices() -> None:
    asked = replace(CONTAINER, security=Security(capabilities=("CAP_CHOWN", "CAP_MKNOD")))
    bare = replace(MACHINE, cgroups=False)
    assert made(asked, machine=bare)["process"]["capabilities"]["effective"] == ["CAP_CHOWN"]
    assert made(asked, machine=bare)["linux"]["resources"] == {}
    assert "/sys/fs/cgroup" not in mounts(made(asked, machine=bare))


@pytest.mark.parametrize(
    ("asked", "own", "given"), [(-997, 0, 0), (-997, -1000, -997), (1000, 0, 1000), (5000, 0, 1000)]
)
def test_the_score_for_memory_is_never_better_than_we_may_give(asked: int, own: int, given: int) -> None:
    config = replace(CONTAINER, limits=Limits(oom_score_adj=asked))
    assert made(config, machine=replace(MACHINE, oom_score_adj=own))["process"]["oomScoreAdj"] == given


@pytest.mark.parametrize(("own", "given"), [(20000, 20000), (1 << 30, 1024 * 1024)])
def test_open_files_are_bounded_by_the_nodes_own(own: int, given: int) -> None:
    limits = made(machine=replace(MACHINE, open_files=own))["process"]["rlimits"]
    assert limits == [{"type": "RLIMIT_NOFILE", "soft": given, "hard": given}]


def test_limits_become_resources() -> None:
    limits = Limits(cpu_shares=1, cpu_quota_microseconds=50_000, memory_bytes=1 << 20, pids=9)
    resources = made(replace(CONTAINER, limits=limits))["linux"]["resources"]
    assert resources["cpu"] == {"shares": 2, "quota": 50_000, "period": 100_000}
    assert resources["memory"] == {"limit": 1 << 20, "swap": 1 << 20}
    assert resources["pids"] == {"limit": 9}
    assert resources["devices"][0] == {"allow": False, "access": "rwm"}


def test_no_limit_of_swap_where_swap_is_not_counted() -> None:
    config = replace(CONTAINER, limits=Limits(memory_bytes=1 << 20))
    resources = made(config, machine=replace(MACHINE, swap_limits=False))["linux"]["resources"]
    assert resources["memory"] == {"limit": 1 << 20}


def test_outer_mounts_come_before_inner_ones() -> None:
    config = replace(CONTAINER, mounts=(Mount("/v/b", "/data/deep/b"), Mount("/v/a", "data/")))
    assert [mount["destination"] for mount in made(config)["mounts"]][-2:] == ["/data", "/data/deep/b"]


def test_a_mount_of_the_kubelet_replaces_ours_in_the_same_place() -> None:
    spec = made(
        replace(CONTAINER, mounts=(Mount("/v/shm", "/dev/shm"), Mount("/v/hosts", "/etc/hosts", read_only=True)))
    )
    assert [mount["source"] for mount in spec["mounts"] if mount["destination"] == "/dev/shm"] == ["/v/shm"]
    assert mounts(spec)["/etc/hosts"]["options"] == ["rbind", "rprivate", "ro"]


def test_the_primary_group_is_among_the_groups() -> None:
    config = replace(CONTAINER, security=Security(uid=1, gid=5, groups=(9, 7)))
    assert made(config)["process"]["user"] == {"uid": 1, "gid": 5, "additionalGids": [5, 7, 9]}


def test_a_profile_of_the_user_is_taken_as_it_is() -> None:
    profile = {"defaultAction": "SCMP_ACT_ERRNO"}
    assert made(profile=profile)["linux"]["seccomp"] == profile
    unconfined = replace(CONTAINER, security=Security(seccomp="Unconfined"))
    assert "seccomp" not in made(unconfined)["linux"]
