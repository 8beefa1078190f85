"""Where the images of pods come from: a registry that asks for a password, and a base made of Debian's archive."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from tests.pods.conftest import eventually, image_of, pod

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pods.conftest import Kubectl, Machine

USER, PASSWORD = "puller", "correct horse"

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("docker-registry", "skopeo")), reason="needs docker-registry and skopeo"
)


@dataclass(frozen=True)
class Registry:
    host: str

    def push(self, archive: Path, name: str) -> str:
        """The image's name with its registry."""
        image = f"{self.host}/{name}"
        credentials = ["--dest-creds", f"{USER}:{PASSWORD}", "--dest-tls-verify=false"]
        command = ["skopeo", "copy", "--quiet", *credentials, f"docker-archive:{archive}", f"docker://{image}"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return image

    def secret(self, password: str = PASSWORD) -> dict[str, Any]:
        found = {"auths": {self.host: {"username": USER, "password": password}}}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "registry"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps(found)},
        }


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Debian's, for those who know the password."""
    directory = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (directory / "users").write_text(f"{USER}:{hashed}\n")
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "test", "path": str(directory / "users")}},
    }
    (directory / "config.yml").write_text(json.dumps(config))
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", str(directory / "config.yml")], stdout=log, stderr=log)
    try:
        eventually(lambda: answers(port), "the registry answers")
        yield Registry(f"127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(10)


def answers(port: int) -> bool:
    with socket.socket() as made:
        return made.connect_ex(("127.0.0.1", port)) == 0


def waits_for(kubectl: Kubectl, name: str) -> dict[str, str]:
    found: dict[str, str] = kubectl.container(name)["state"].get("waiting", {})
    return found


def test_an_image_pull_secret_opens_the_registry(kubectl: Kubectl, registry: Registry, archive: Path) -> None:
    image = registry.push(archive, "shop/secret:1")
    kubectl.apply(registry.secret())
    kubectl.pod("opened", main={"image": image}, imagePullSecrets=[{"name": "registry"}])
    kubectl.ready("opened")
    status = kubectl.container("opened")
    assert status["image"] == image and status["imageID"].startswith(f"{registry.host}/shop/secret@sha256:")
    assert "Pulled" in [reason for reason, _ in kubectl.events("opened")]


def test_the_secret_of_the_service_account_opens_it_too(kubectl: Kubectl, registry: Registry, archive: Path) -> None:
    image = registry.push(archive, "shop/account:1")
    kubectl.apply(registry.secret())
    kubectl("patch", "serviceaccount", "default", "-p", '{"imagePullSecrets": [{"name": "registry"}]}')
    kubectl.pod("opened", main={"image": image})
    kubectl.ready("opened")


@pytest.mark.parametrize("password", [None, "wrong horse"])
def test_without_the_password_the_pod_waits_and_says_why(
    kubectl: Kubectl, registry: Registry, archive: Path, password: str | None
) -> None:
    image = registry.push(archive, f"shop/closed:{uuid.uuid4().hex[:8]}")
    if password is not None:
        kubectl.apply(registry.secret(password))
    kubectl.pod("closed", main={"image": image}, imagePullSecrets=[{"name": "registry"}] if password else [])
    eventually(lambda: waits_for(kubectl, "closed").get("reason") == "ImagePullBackOff", "a back-off")
    said = [message for reason, message in kubectl.events("closed") if reason == "Failed"]
    wanted = "give credentials (imagePullSecrets)" if password is None else f"refuses user '{USER}'"
    assert any(image in message and "authentication required" in message and wanted in message for message in said)
    assert not any("horse" in message for message in said)


def test_a_pull_that_failed_is_tried_again_once_the_image_is_there(
    kubectl: Kubectl, registry: Registry, archive: Path
) -> None:
    name = f"shop/late:{uuid.uuid4().hex[:8]}"
    kubectl.apply(registry.secret())
    main = {"image": f"{registry.host}/{name}"}
    kubectl.pod("late", main=main, imagePullSecrets=[{"name": "registry"}])
    seen = eventually(lambda: waits_for(kubectl, "late").get("message"), "a reason")
    repository, tag = name.split(":")
    assert f"has no tag or digest '{tag}' in repository {repository}" in seen
    registry.push(archive, name)
    kubectl.ready("late")


def test_the_policy_decides_whether_the_registry_is_asked(
    kubectl: Kubectl, registry: Registry, archive: Path, tmp_path: Path
) -> None:
    """The tag moves on: who pulls always has the new image, who pulls if it is absent the old one."""
    name = f"shop/moving:{uuid.uuid4().hex[:8]}"
    image = registry.push(archive, name)
    kubectl.apply(registry.secret())
    secrets = {"imagePullSecrets": [{"name": "registry"}]}
    kubectl.pod("first", main={"image": image, "imagePullPolicy": "IfNotPresent"}, **secrets)
    kubectl.ready("first")
    registry.push(image_of(tmp_path / "new.tar", {"etc/new": b"new"}), name)
    kubectl.pod("kept", main={"image": image, "imagePullPolicy": "IfNotPresent"}, **secrets)
    kubectl.ready("kept")
    kubectl.pod("moved", main={"image": image, "imagePullPolicy": "Always"}, **secrets)
    kubectl.ready("moved")
    old, new = kubectl.container("kept")["imageID"], kubectl.container("moved")["imageID"]
    assert old == kubectl.container("first")["imageID"] != new
    assert kubectl("exec", "moved", "--", "cat", "/etc/new") == "new"
    kubectl.pod("never", main={"image": f"{registry.host}/shop/absent:1", "imagePullPolicy": "Never"})
    eventually(lambda: waits_for(kubectl, "never").get("reason") == "ErrImageNeverPull", "a refusal")


def test_a_digest_names_one_image_for_ever(kubectl: Kubectl, registry: Registry, archive: Path, tmp_path: Path) -> None:
    image = registry.push(archive, "shop/pinned:1")
    command = ["skopeo", "inspect", "--tls-verify=false", "--creds", f"{USER}:{PASSWORD}", f"docker://{image}"]
    digest = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)["Digest"]
    registry.push(image_of(tmp_path / "new.tar", {"etc/new": b"new"}), "shop/pinned:1")
    kubectl.apply(registry.secret())
    pinned = f"{registry.host}/shop/pinned@{digest}"
    kubectl.pod("pinned", main={"image": pinned}, imagePullSecrets=[{"name": "registry"}])
    kubectl.ready("pinned")
    assert kubectl.container("pinned")["imageID"] == pinned
    assert kubectl.result("exec", "pinned", "--", "cat", "/etc/new").returncode == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap")
def test_a_base_of_the_distribution_s_archive_runs_programs(machine: Machine, kubectl: Kubectl, tmp_path: Path) -> None:
    layer = tmp_path / "base.tar"
    command = ["mmdebstrap", "--quiet", "--variant=essential", "--include=python3-minimal", "bookworm", str(layer)]
    subprocess.run(command, check=True, capture_output=True, timeout=500)
    machine.load(image_of(tmp_path / "image.tar", layer.read_bytes(), name="test/debian:1"))
    says = "import os, sys; print(sys.version_info[0], os.getuid(), os.path.exists('/etc/debian_version'))"
    context = {"runAsUser": 1000, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    main = {"image": "test/debian:1", "command": ["python3", "-c", says], "securityContext": context}
    kubectl.apply(pod("debian", main=main, restartPolicy="Never"))
    kubectl.ends("debian")
    assert kubectl("logs", "debian").split() == ["3", "1000", "True"]
