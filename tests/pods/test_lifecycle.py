"""Pods from creation to their end: order, restarts, what the status says (research 3.2 and 3.3)."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.pods.conftest import Kubectl

LOOP = "trap 'echo asked; exit 0' TERM; while true; do sleep 0.1 & wait $!; done"


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in status["conditions"] if item["type"] == kind)
    return found


def waits(container: dict[str, Any], reason: str) -> bool:
    return bool(container["state"].get("waiting", {}).get("reason") == reason)


def test_a_pod_runs_and_says_so(kubectl: Kubectl) -> None:
    kubectl.pod("web", LOOP)
    kubectl.ready("web")
    status = kubectl.status("web")
    assert status["phase"] == "Running" and status["podIP"].startswith("10.244.") and status["hostIP"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == dict.fromkeys(
        ("PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"), "True"
    )
    assert not any("reason" in c or "message" in c for c in status["conditions"])
    container = status["containerStatuses"][0]
    assert (container["ready"], container["started"], container["restartCount"]) == (True, True, 0)
    assert container["containerID"].startswith("oci://") and container["imageID"]
    assert [reason for reason, _ in kubectl.events("web")] == ["Scheduled", "Pulled", "Created", "Started"]


def test_init_containers_run_in_order_before_the_others(kubectl: Kubectl) -> None:
    shared: list[dict[str, Any]] = [{"name": "d", "mountPath": "/d"}]

    def step(name: str, script: str, **more: Any) -> dict[str, Any]:
        command = ["sh", "-c", script]
        return {"name": name, "image": "test/busybox:1", "command": command, "volumeMounts": shared, **more}

    kubectl.pod(
        "ordered",
        "cat /d/order",
        restartPolicy="Never",
        main={"volumeMounts": shared},
        volumes=[{"name": "d", "emptyDir": {}}],
        initContainers=[step("one", "sleep 0.3; echo one >> /d/order"), step("two", "echo two >> /d/order")],
    )
    status = kubectl.ends("ordered")
    assert kubectl("logs", "ordered", "-c", "main") == "one\ntwo\n"
    assert [c["state"]["terminated"]["exitCode"] for c in status["initContainerStatuses"]] == [0, 0]


def test_an_init_container_that_fails_for_good_fails_the_pod(kubectl: Kubectl) -> None:
    init = [{"name": "bad", "image": "test/busybox:1", "command": ["false"]}]
    kubectl.pod("stuck", "true", restartPolicy="Never", initContainers=init)
    status = kubectl.ends("stuck", "Failed")
    assert condition(status, "Initialized")["message"] == "containers with incomplete status: [bad]"


def test_a_sidecar_starts_first_is_restarted_and_does_not_keep_a_job_alive(kubectl: Kubectl) -> None:
    sidecar = {
        "name": "side",
        "image": "test/busybox:1",
        "command": ["sh", "-c", LOOP],
        "restartPolicy": "Always",
        "startupProbe": {"exec": {"command": ["true"]}},
    }
    kubectl.pod("job", "sleep 0.5", restartPolicy="Never", initContainers=[sidecar])
    status = kubectl.ends("job")
    side, main = status["initContainerStatuses"][0]["state"]["terminated"], status["containerStatuses"][0]["state"]
    assert side["exitCode"] == 0 and side["startedAt"] <= main["terminated"]["startedAt"]
    assert side["finishedAt"] >= main["terminated"]["finishedAt"]


def test_the_phase_is_what_the_containers_ends_make_it(kubectl: Kubectl) -> None:
    bad = {"name": "bad", "image": "test/busybox:1", "command": ["sh", "-c", "exit 7"]}
    kubectl.pod("good", "true", restartPolicy="Never")
    kubectl.pod("mixed", "true", restartPolicy="Never", containers=[bad])
    assert kubectl.ends("good")["phase"] == "Succeeded"
    ended = kubectl.ends("mixed", "Failed")["containerStatuses"]
    assert [c["state"]["terminated"]["exitCode"] for c in ended] == [0, 7]
    assert [c["state"]["terminated"]["reason"] for c in ended] == ["Completed", "Error"]


def test_restarts_come_at_once_and_then_after_ten_seconds(kubectl: Kubectl) -> None:
    kubectl.pod("crash", "echo why > /dev/termination-log; exit 3")
    kubectl.until(lambda: waits(kubectl.container("crash"), "CrashLoopBackOff"), "a back-off")
    found = kubectl.container("crash")
    assert found["restartCount"] == 1  # the first restart came without a wait
    waiting, last = found["state"]["waiting"], found["lastState"]["terminated"]
    assert waiting["reason"] == "CrashLoopBackOff" and waiting["message"].startswith("back-off 10s restarting failed")
    assert (last["exitCode"], last["reason"], last["message"]) == (3, "Error", "why\n")
    kubectl.until(lambda: kubectl.container("crash")["restartCount"] == 2, "the next restart")
    second = kubectl.container("crash")["lastState"]["terminated"]
    assert 9 <= _seconds(second["startedAt"]) - _seconds(last["finishedAt"]) <= 14


def _seconds(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def test_on_failure_restarts_only_what_failed(kubectl: Kubectl) -> None:
    fails_once = "test -e /d/been || { touch /d/been; exit 1; }"
    kubectl.pod(
        "retry",
        fails_once,
        restartPolicy="OnFailure",
        main={"volumeMounts": [{"name": "d", "mountPath": "/d"}]},
        containers=[{"name": "well", "image": "test/busybox:1", "command": ["true"]}],
        volumes=[{"name": "d", "emptyDir": {}}],
    )
    status = kubectl.ends("retry")
    assert {c["name"]: c["restartCount"] for c in status["containerStatuses"]} == {"main": 1, "well": 0}


def test_what_cannot_start_says_why(kubectl: Kubectl) -> None:
    kubectl.pod("nocommand", main={"command": ["nosuch"]}, restartPolicy="Never")
    kubectl.pod("noimage", main={"image": "127.0.0.1:1/none:1"})
    kubectl.pod("never", main={"image": "none:2", "imagePullPolicy": "Never"})
    reference = {"configMapKeyRef": {"name": "settings", "key": "colour"}}
    kubectl.pod("noconfig", "echo $COLOUR; sleep 100", main={"env": [{"name": "COLOUR", "valueFrom": reference}]})
    ended = kubectl.ends("nocommand", "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128) and "nosuch" in ended["message"]

    def reason(name: str) -> str:
        return str(kubectl.container(name)["state"].get("waiting", {}).get("reason"))

    kubectl.until(lambda: reason("noimage") in ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"), "no image")
    kubectl.until(lambda: reason("never") == "ErrImageNeverPull", "never pulled")
    kubectl.until(lambda: reason("noconfig") == "CreateContainerConfigError", "no configuration")
    kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
    kubectl.ready("noconfig")
    assert kubectl("logs", "noconfig") == "blue\n"


def test_memory_that_runs_out_is_oomkilled(kubectl: Kubectl) -> None:
    greedy = {"resources": {"limits": {"memory": "16Mi"}}}
    kubectl.pod("greedy", "x=a; while true; do x=$x$x$x; done", restartPolicy="Never", main=greedy)
    ended = kubectl.ends("greedy", "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_a_deadline_ends_the_pod(kubectl: Kubectl) -> None:
    kubectl.pod("slow", LOOP, activeDeadlineSeconds=1)
    status = kubectl.ends("slow", "Failed")
    assert status["reason"] == "DeadlineExceeded"


def test_termination_hook_then_signal_then_the_object_goes(kubectl: Kubectl) -> None:
    hook = {"exec": {"command": ["sh", "-c", "echo hook > /proc/1/fd/1"]}}
    kubectl.pod("polite", LOOP, main={"lifecycle": {"preStop": hook}})
    kubectl.ready("polite")
    following = kubectl.command("logs", "-f", "polite")
    with subprocess.Popen(following, stdout=subprocess.PIPE, text=True, env=kubectl.environment) as process:
        kubectl("delete", "pod", "polite")
        said, _ = process.communicate(timeout=30)
    assert said.split() == ["hook", "asked"]
    assert kubectl.result("get", "pod", "polite").returncode != 0


def test_what_ignores_its_signal_is_killed_when_its_grace_is_over(kubectl: Kubectl) -> None:
    kubectl.pod("deaf", "trap '' TERM; echo deaf; while true; do sleep 0.1; done", terminationGracePeriodSeconds=3)
    kubectl.ready("deaf")
    kubectl.until(lambda: kubectl("logs", "deaf"), "it is deaf")
    begun = time.monotonic()
    kubectl("delete", "pod", "deaf")
    assert 2.5 <= time.monotonic() - begun <= 10


def test_a_changed_image_restarts_the_container(kubectl: Kubectl) -> None:
    kubectl.pod("changing", LOOP)
    kubectl.ready("changing")
    kubectl("set", "image", "pod/changing", "main=docker.io/test/busybox:1")
    kubectl.until(lambda: kubectl.container("changing")["restartCount"] == 1, "a restart")
    assert kubectl.container("changing")["lastState"]["terminated"]["exitCode"] == 0


def test_users_groups_capabilities_and_a_read_only_root(kubectl: Kubectl) -> None:
    secured = {"runAsUser": 1000, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    kubectl.pod(
        "secured",
        "id -u; id -g; id -G; touch /x 2>&1; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status",
        restartPolicy="Never",
        securityContext={"supplementalGroups": [2000], "fsGroup": 3000},
        main={"securityContext": {**secured, "allowPrivilegeEscalation": False}},
    )
    kubectl.ends("secured")
    lines = kubectl("logs", "secured").splitlines()
    assert lines[:2] == ["1000", "1001"] and set(lines[2].split()) == {"1001", "1002", "2000", "3000"}
    assert lines[3:] == ["touch: /x: Read-only file system", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"]


def test_root_is_refused_to_who_says_non_root(kubectl: Kubectl) -> None:
    kubectl.pod("rooted", "true", securityContext={"runAsNonRoot": True})
    kubectl.until(lambda: "waiting" in kubectl.container("rooted")["state"], "a state")
    waits = kubectl.until(lambda: kubectl.container("rooted")["state"]["waiting"].get("message"), "why it waits")
    assert "runAsNonRoot" in waits


def test_the_environment_is_complete(kubectl: Kubectl) -> None:
    kubectl("create", "secret", "generic", "keys", "--from-literal=token=s3cret")
    kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
    env = [
        {"name": "GREETING", "value": "hello $(NAME) $$(NAME)"},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LATER", "value": "$(NAME)"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "nosuch", "key": "x", "optional": True}}},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    ]
    main = {
        "env": env,
        "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "MY_"}],
        "resources": {"limits": {"memory": "32Mi"}},
    }
    kubectl.pod("full", "env", restartPolicy="Never", main=main)
    kubectl.ends("full")
    found = dict(line.split("=", 1) for line in kubectl("logs", "full").splitlines())
    assert found["GREETING"] == "hello $(NAME) $(NAME)" and found["LATER"] == "full"
    assert (found["TOKEN"], found["MY_colour"], found["LIMIT"]) == ("s3cret", "blue", "32")
    assert "NONE" not in found and found["FROM_IMAGE"] == "1" and found["HOSTNAME"] == "full"
    assert found["KUBERNETES_SERVICE_HOST"] == "10.96.0.1" and found["HOME"] == "/root"
