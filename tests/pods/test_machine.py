"""The machine is as it was, whatever becomes of an instance (item 8 and 9 of what real pods promise)."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pods.conftest import eventually, seatrial

if TYPE_CHECKING:
    from tests.pods.conftest import Kubectl, Machine

WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "main",
                        "image": "test/busybox:1",
                        "command": ["httpd", "-f", "-p", "8080"],
                        "volumeMounts": [{"name": "m", "mountPath": "/m"}],
                    }
                ],
                "volumes": [{"name": "m", "emptyDir": {"medium": "Memory"}}],
            },
        },
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


def machine_state(machine: Machine) -> dict[str, list[str]]:
    """Links, addresses, routes, firewall and mounts of the machine; of its control groups those of the instance."""

    def lines(*command: str) -> list[str]:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return sorted(done.stdout.splitlines())

    name = hashlib.sha256(str(machine.directory).encode()).hexdigest()[:12]
    groups = [str(path) for path in Path("/sys/fs/cgroup").rglob(f"*{name}*") if path.is_dir()]
    return {
        "links": lines("ip", "-o", "link", "show"),
        "addresses": lines("ip", "-o", "-4", "addr", "show"),
        "routes": lines("ip", "route", "show", "table", "all"),
        "rules": lines("nft", "list", "ruleset"),
        "mounts": sorted(Path("/proc/self/mountinfo").read_text().splitlines()),
        "groups": groups,
    }


def processes_of(machine: Machine) -> list[int]:
    """Every process whose command line names the instance, and what they started."""
    known: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            known[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if str(machine.directory).encode() in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    while grown := {pid for pid, parent in known.items() if parent in found} - found:
        found |= grown
    return sorted(found - {os.getpid()})


def restarts(kubectl: Kubectl) -> list[int]:
    """Of each container that is ready."""
    pods = kubectl.json("get", "pods")["items"]
    return [c["restartCount"] for pod in pods for c in pod["status"].get("containerStatuses", []) if c["ready"]]


def test_after_down_the_machine_is_as_it_was(tmp_path: Path, new_machine: Machine) -> None:
    kubectl = new_machine.kubectl("default")
    kubectl.apply(WEB, SERVICE)
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    running = processes_of(new_machine)
    assert len(running) > 6  # ours, and the pods'
    new_machine.down()
    before = machine_state(new_machine)
    assert not before["groups"]
    assert not [mount for mount in before["mounts"] if str(new_machine.directory) in mount]
    assert not processes_of(new_machine)
    new_machine.up()
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    during = machine_state(new_machine)
    assert during["groups"]
    assert {key: during[key] for key in before if key != "groups"} == {
        key: before[key] for key in before if key != "groups"
    }
    new_machine.down()
    assert machine_state(new_machine) == before
    assert not processes_of(new_machine)


def test_killed_as_a_whole_it_starts_again_and_leaves_nothing(new_machine: Machine) -> None:
    kubectl = new_machine.kubectl("default")
    kubectl.apply(WEB, SERVICE)
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    for pid in processes_of(new_machine):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    eventually(lambda: not processes_of(new_machine), "every process has ended")
    new_machine.up()
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    eventually(lambda: restarts(kubectl) == [1, 1, 1], "each container runs again")
    new_machine.down()
    assert not processes_of(new_machine)
    assert not machine_state(new_machine)["groups"]
    assert not [mount for mount in machine_state(new_machine)["mounts"] if str(new_machine.directory) in mount]


def test_a_node_that_is_killed_is_restarted_with_its_pods(new_machine: Machine) -> None:
    kubectl = new_machine.kubectl("default")
    kubectl.apply(WEB, SERVICE)
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    os.kill(new_machine.parts()["node"]["pid"], signal.SIGKILL)
    eventually(lambda: new_machine.parts()["node"]["restarts"] == 1, "the node is started again")
    new_machine.until_all_run()

    eventually(lambda: restarts(kubectl) == [1, 1, 1], "its pods run again")


def test_a_simulated_instance_may_become_a_real_one(new_machine: Machine) -> None:
    new_machine.down()
    seatrial("up", "--detach", "--runtime", "simulated", "--api-port", "0", directory=new_machine.directory)
    kubectl = new_machine.kubectl("default")
    kubectl.apply(WEB)
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    new_machine.down()
    new_machine.up()
    eventually(
        lambda: all(
            c["ready"] and c["containerID"].startswith("oci://")
            for pod in kubectl.json("get", "pods")["items"]
            for c in pod["status"]["containerStatuses"]
        ),
        "real containers in the place of simulated ones",
    )
