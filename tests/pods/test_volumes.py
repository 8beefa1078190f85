"""Volumes of real pods: what containers find in them, how it changes, and what outlives them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.pods.conftest import Kubectl, Machine

IDLE = "sleep 1000 & trap 'kill $!' TERM; wait"
TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def claim(name: str, **spec: Any) -> dict[str, Any]:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": asked}


def at(*places: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": name, "mountPath": path} for name, path in places], **more}


def sh(kubectl: Kubectl, pod: str, script: str) -> str:
    return kubectl("exec", pod, "--", "sh", "-c", script)


def test_files_of_the_api_change_under_a_running_container(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("conf", color="red", size="1"), secret("pass", key="s3"))
    volumes = [
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "pass", "secret": {"secretName": "pass", "defaultMode": 0o400}},
        {"name": "me", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    mounts = at(("conf", "/conf"), ("pass", "/pass"), ("me", "/me"))
    mounts["volumeMounts"].append({"name": "conf", "mountPath": "/fixed", "subPath": "color"})
    kubectl.pod("web", IDLE, labels={"app": "web"}, volumes=volumes, main=mounts)
    kubectl.ready("web")
    assert sh(kubectl, "web", "cat /conf/color /pass/key /me/l /fixed; stat -Lc %a /pass/key") == (
        'reds3app="web"red400\n'
    )
    kubectl.apply(config_map("conf", color="blue", new="x"), secret("pass", key="s4"))
    kubectl("label", "pod", "web", "tier=front")
    wanted = 'blue s4 app="web"\ntier="front" red color new\n'
    script = 'echo $(cat /conf/color) $(cat /pass/key) "$(cat /me/l)" $(cat /fixed) $(ls /conf)'
    kubectl.until(lambda: sh(kubectl, "web", script) == wanted, "every file is as its object")
    assert kubectl.result("exec", "web", "--", "touch", "/conf/x").returncode != 0


def test_the_token_of_a_pod_is_good_for_the_api(kubectl: Kubectl) -> None:
    kubectl.pod("web", IDLE)
    kubectl.ready("web")
    token = sh(kubectl, "web", f"cat {TOKENS}/token")
    assert sh(kubectl, "web", f"cat {TOKENS}/namespace") == kubectl.namespace
    assert "BEGIN CERTIFICATE" in sh(kubectl, "web", f"cat {TOKENS}/ca.crt")
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert claims["kubernetes.io"]["pod"]["name"] == "web"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review)))["status"]
    assert status["user"]["username"] == f"system:serviceaccount:{kubectl.namespace}:default"


def test_a_pod_waits_for_what_its_volumes_are_made_of(kubectl: Kubectl) -> None:
    kubectl.pod("web", IDLE, volumes=[{"name": "c", "configMap": {"name": "late"}}], main=at(("c", "/c")))
    text = 'MountVolume.SetUp failed for volume "c" : configmap "late" not found'
    kubectl.until(lambda: ("FailedMount", text) in kubectl.events("web"), "an event")
    assert kubectl.container("web")["state"]["waiting"]["reason"] == "ContainerCreating"
    kubectl.apply(config_map("late", a="1"))
    kubectl.ready("web")


def test_a_user_writes_where_the_group_of_the_pod_may(kubectl: Kubectl) -> None:
    kubectl.apply(claim("data"))
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "t", "emptyDir": {}}]
    context = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000}
    script = f"touch /d/f /t/f; stat -c %u:%g /d/f /t/f; stat -Lc %u:%g:%a {TOKENS}/token; cat {TOKENS}/token | wc -l"
    main = at(("d", "/d"), ("t", "/t"))
    kubectl.pod("web", script, restartPolicy="Never", volumes=volumes, main=main, securityContext=context)
    kubectl.ends("web")
    assert kubectl("logs", "web").splitlines() == ["1000:2000", "1000:2000", "1000:2000:640", "0"]


def test_a_claim_keeps_its_data_until_it_is_deleted(kubectl: Kubectl, machine: Machine) -> None:
    kubectl.apply(claim("data"))
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    kubectl.pod("one", "echo kept > /d/file", restartPolicy="Never", volumes=volumes, main=at(("d", "/d")))
    kubectl.ends("one")
    kubectl("delete", "pod", "one")
    kubectl.pod("two", "cat /d/file", restartPolicy="Never", volumes=volumes, main=at(("d", "/d")))
    kubectl.ends("two")
    assert kubectl("logs", "two") == "kept\n"
    found = kubectl.json("get", "pvc", "data")
    directory = machine.directory / "volumes" / found["metadata"]["uid"]
    assert (directory / "file").read_text() == "kept\n"
    kubectl("delete", "pod", "two")
    kubectl("delete", "pvc", "data")
    kubectl("wait", "--for=delete", "--timeout=20s", f"pv/{found['spec']['volumeName']}")
    assert not directory.exists()


def test_a_stateful_set_has_its_data_again_after_a_restart_of_its_pod(kubectl: Kubectl) -> None:
    container = {
        "name": "main",
        "image": "test/busybox:1",
        "command": ["sh", "-c", f"echo start >> /d/log; {IDLE}"],
        "volumeMounts": [{"name": "d", "mountPath": "/d"}],
    }
    labels = {"app": "db"}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    spec = {
        "serviceName": "db",
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
        "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": claim("d")["spec"]}],
    }
    kubectl.apply({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec})
    kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    kubectl("delete", "pod", "db-0")
    kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    kubectl.ready("db-0")
    assert sh(kubectl, "db-0", "cat /d/log") == "start\nstart\n"


def test_sub_paths_are_made_and_never_lead_out(kubectl: Kubectl) -> None:
    volumes = [{"name": "d", "emptyDir": {}}]
    env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    mounts = [{"name": "d", "mountPath": "/logs", "subPathExpr": "logs/$(POD)"}]
    all_of_it = {
        "name": "other",
        "image": "test/busybox:1",
        "command": ["sh", "-c", IDLE],
        "volumeMounts": [{"name": "d", "mountPath": "/d"}],
    }
    main = {"volumeMounts": mounts, "env": env}
    kubectl.pod("web", IDLE, volumes=volumes, main=main, containers=[all_of_it])
    kubectl.ready("web")
    sh(kubectl, "web", "echo hello > /logs/a")
    assert kubectl("exec", "web", "-c", "other", "--", "cat", "/d/logs/web/a") == "hello\n"
    kubectl("exec", "web", "-c", "other", "--", "sh", "-c", "mv /d/logs /d/old; ln -s / /d/logs")
    kubectl.result("exec", "web", "--", "sh", "-c", "kill 1")  # the shell may die with its container: any exit code
    kubectl.until(
        lambda: kubectl.container("web")["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError",
        "the link is refused",
    )
    message = kubectl.container("web")["state"]["waiting"]["message"]
    assert message == "subPath 'logs/web': a symbolic link leads out of the volume"


def test_memory_is_limited_and_gone_with_its_pod(kubectl: Kubectl) -> None:
    volumes = [{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
    script = "dd if=/dev/zero of=/m/x bs=64k count=32 2>/dev/null || du -k /m/x; grep ' /m ' /proc/mounts"
    kubectl.pod("mem", script, restartPolicy="Never", volumes=volumes, main=at(("m", "/m")))
    kubectl.ends("mem")
    lines = kubectl("logs", "mem").splitlines()
    assert lines[0] == "1024\t/m/x" and lines[1].startswith("tmpfs /m tmpfs rw,")
