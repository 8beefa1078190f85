"""Real pods of a normal user: everything in a user namespace, and nothing left behind either."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.node.conftest import SUBORDINATE, USER, as_user, missing
from tests.pods.conftest import seatrial, started
from tests.pods.test_machine import SERVICE, WEB, machine_state, processes_of
from tests.pods.test_volumes import claim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pods.conftest import Machine


@pytest.fixture
def users_machine(archive: Path) -> Iterator[Machine]:
    """Where every user may look: pytest's own directories are for root alone."""
    reason = missing(user=True)
    if reason is not None:
        pytest.skip(reason)
    place = Path(tempfile.mkdtemp(prefix="seatrial-user-", dir="/var/tmp"))
    place.chmod(0o755)
    try:
        (place / "instance").mkdir()
        image = shutil.copy(archive, place / "image.tar")
        with started(place / "instance", Path(image), tuple(as_user(place))) as machine:
            yield machine
    finally:
        shutil.rmtree(place)


def test_a_user_runs_pods_and_leaves_nothing(users_machine: Machine) -> None:
    kubectl = users_machine.kubectl("default")
    kubectl.apply(WEB, SERVICE)
    kubectl("rollout", "status", "deployment/web", "--timeout=40s")
    pods = kubectl.json("get", "pods", "-l", "app=web")["items"]
    name = pods[0]["metadata"]["name"]
    fetched = kubectl("exec", name, "--", "sh", "-c", "echo hello > /m/index.html; cat /m/index.html; id -u")
    assert fetched.split() == ["hello", "0"]
    kubectl("create", "configmap", "page", "--from-literal=index.html=by name")
    kubectl.pod(
        "page",
        "exec httpd -f -p 8080 -h /page",
        labels={"app": "web"},
        main={"volumeMounts": [{"name": "page", "mountPath": "/page"}]},
        volumes=[{"name": "page", "configMap": {"name": "page"}}],
    )
    kubectl.ready("page")
    kubectl("scale", "deployment/web", "--replicas=0")
    kubectl("wait", "--for=delete", f"pod/{name}", "--timeout=30s")
    kubectl.pod("client", "wget -qO- http://web", restartPolicy="Never")
    kubectl.ends("client")
    assert kubectl("logs", "client") == "by name"
    users_machine.down()
    assert not processes_of(users_machine)
    after = machine_state(users_machine)
    assert not after["groups"]
    assert not [mount for mount in after["mounts"] if str(users_machine.directory) in mount]


def test_a_user_deletes_what_pods_wrote_as_other_users(users_machine: Machine) -> None:
    kubectl = users_machine.kubectl("default")
    kubectl.apply(claim("data"))
    kubectl.pod(
        "writer",
        "mkdir -m 700 /data/private && echo kept > /data/private/file",
        restartPolicy="Never",
        main={"volumeMounts": [{"name": "data", "mountPath": "/data"}], "securityContext": {"runAsUser": 999}},
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    )
    kubectl.ends("writer")
    users_machine.down()
    shutil.rmtree(users_machine.directory / ".kube")  # of this process, which is root
    owners = {entry.stat().st_uid for entry in users_machine.directory.rglob("*")}
    assert owners == {USER, SUBORDINATE + 998}
    said = seatrial("down", "--delete", directory=users_machine.directory, prefix=users_machine.prefix)
    assert f"deleted {users_machine.directory}" in said
    assert not users_machine.directory.exists()
