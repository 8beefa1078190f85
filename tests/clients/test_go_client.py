"""client-go, unmodified, in a small program of ours: informers by WatchList, protobuf writes, leader election."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BINARY = Path(__file__).resolve().parents[2] / ".peers" / "clientgo"
pytestmark = pytest.mark.skipif(not BINARY.exists(), reason="not built: run tools/peers/clientgo/build (needs Go)")


class Program:
    """A running program and the JSON lines it has printed."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [str(BINARY), *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
        )
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self.errors.extend(self._process.stderr)

    def wait(self) -> int:
        """Until it ends by itself."""
        code = self._process.wait(30)
        for reader in self._readers:
            reader.join(10)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return code

    def end(self) -> int:
        """Close its input, by which it is told to end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.wait()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()


@pytest.fixture
def start(client_environment: dict[str, str]) -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def run(*arguments: str) -> Program:
        started.append(Program(client_environment, *arguments))
        return started[-1]

    yield run
    for program in started:
        program.kill()


@pytest.fixture
def boats(kubectl: Any) -> Iterator[str]:
    """`group/version/resource` of a definition of the test's own."""
    group = f"{kubectl.namespace}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "boats", "singular": "boat", "kind": "Boat"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"boats.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    kubectl.apply(json.dumps(definition))
    kubectl("wait", "--for=condition=Established", f"crd/boats.{group}", "--timeout=15s")
    yield f"{group}/v1/boats"
    kubectl("delete", "crd", f"boats.{group}")


def told(program: Program, informer: str, event: str, name: str) -> list[dict[str, Any]]:
    wanted = {"informer": informer, "event": event, "name": name}
    return [line for line in program.lines if wanted.items() <= line.items()]


def test_informers_sync_and_follow_every_change(
    start: Callable[..., Program], kubectl: Any, boats: str, eventually: Callable[..., Any]
) -> None:
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=1")
    kubectl("rollout", "status", "deployment/web", "--timeout=15s")
    program = start("inform", kubectl.namespace, boats)

    def synced() -> dict[str, int]:
        return {line["informer"]: line["count"] for line in program.lines if line["event"] == "synced"}

    eventually(lambda: len(synced()) == 4, "all four have synced")
    assert synced() == {"pods": 1, "deployments": 1, "metadata": 1, "custom": 0}
    (first,) = told(program, "deployments", "add", "web")
    assert first["initial"] and first["type"] == "*v1.Deployment"
    assert told(program, "metadata", "add", "web")[0]["type"] == "*v1.PartialObjectMetadata"

    kubectl("label", "deployment", "web", "colour=blue")
    for informer in ("deployments", "metadata"):
        eventually(
            lambda informer=informer: [
                line for line in told(program, informer, "update", "web") if line["labels"].get("colour") == "blue"
            ],
            f"{informer} sees the label",
        )
    group = boats.split("/")[0]
    boat = {"apiVersion": f"{group}/v1", "kind": "Boat", "metadata": {"name": "a"}, "spec": {"size": 1}}
    kubectl.apply(json.dumps(boat))
    eventually(lambda: told(program, "custom", "add", "a"), "the custom object is added")
    kubectl("label", "boats", "a", "on=water")
    eventually(lambda: told(program, "custom", "update", "a"), "the custom object is changed")
    kubectl("delete", "boats", "a")
    eventually(lambda: told(program, "custom", "delete", "a"), "the custom object is deleted")

    kubectl("scale", "deployment", "web", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=15s")
    kubectl("delete", "deployment", "web")
    eventually(lambda: told(program, "deployments", "delete", "web"), "the deployment is deleted")
    eventually(
        lambda: len([line for line in program.lines if line["informer"] == "pods" and line["event"] == "delete"]) == 3,
        "its three pods are deleted",
    )
    for informer in ("pods", "deployments", "metadata", "custom"):
        versions = [
            int(line["version"]) for line in program.lines if line["informer"] == informer and "version" in line
        ]
        assert versions == sorted(set(versions)), f"{informer}: each change once, and in order"
    assert program.end() == 0
    assert program.errors == []  # no fall-back from WatchList, no failed watch


def test_an_informer_loses_nothing_while_much_is_written(
    start: Callable[..., Program], kubectl: Any, eventually: Callable[..., Any]
) -> None:
    program = start("inform", kubectl.namespace)
    eventually(lambda: [line for line in program.lines if line["event"] == "synced"], "it has synced")
    kubectl("create", "deployment", "many", "--image=nginx", "--replicas=50")
    kubectl("rollout", "status", "deployment/many", "--timeout=30s")
    pods = {item["metadata"]["name"] for item in kubectl.json("get", "pods")["items"]}
    assert len(pods) == 50
    kubectl("delete", "deployment", "many", "--cascade=foreground", "--timeout=30s")
    kubectl("wait", "--for=delete", "pods", "-l", "app=many", "--timeout=30s")

    def names(event: str) -> list[str]:
        return [line["name"] for line in program.lines if line["informer"] == "pods" and line["event"] == event]

    eventually(lambda: len(names("delete")) == 50, "every pod is gone")
    assert sorted(names("add")) == sorted(pods) == sorted(names("delete"))
    assert names("lost") == []
    assert program.end() == 0
    assert program.errors == []


def test_protobuf_writes_arrive_whole(
    start: Callable[..., Program], kubectl: Any, eventually: Callable[..., Any]
) -> None:
    program = start("write", kubectl.namespace)
    assert program.wait() == 0, program.errors
    said = {line["step"]: line for line in program.lines}
    made = said["create"]["object"]
    assert (made["data"], made["binaryData"]) == ({"word": "grüß"}, {"blob": "AAH+/w=="})
    (owner,) = made["metadata"]["managedFields"]
    assert (owner["manager"], owner["operation"], owner["apiVersion"]) == ("clientgo", "Update", "v1")
    assert said["stale"]["conflict"] and said["apply conflict"]["conflict"] and said["delete another"]["conflict"]
    assert said["apply"]["object"]["data"] == {"word": "grüß", "more": "yes", "applied": "1"}
    assert said["delete"]["gone"]

    spec = said["deployment"]["object"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "50%", "maxUnavailable": "25%"}
    (container,) = spec["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 80, "protocol": "TCP"}]
    assert container["resources"] == {"requests": {"cpu": "250m"}}
    assert (said["scale"]["replicas"], said["scale"]["selector"]) == (1, "app=web")
    kubectl("rollout", "status", "deployment/web", "--timeout=15s")

    assert said["missing"]["message"] == 'pods "nobody" not found'
    assert said["invalid"] == {"step": "invalid", "invalid": True, "causes": ["metadata.name"]}
    assert said["pages"]["names"] == ["a=a", "b=b", "c=c"]
    assert said["collection"]["left"] == 0
    assert program.errors == []


def test_a_leader_that_steps_back_is_followed_at_once(
    start: Callable[..., Program], kubectl: Any, eventually: Callable[..., Any]
) -> None:
    first = start("lead", kubectl.namespace, "first")
    eventually(lambda: {"name": "first", "event": "leads"} in first.lines, "the first leads")
    second = start("lead", kubectl.namespace, "second")
    eventually(lambda: {"name": "second", "event": "follows", "leader": "first"} in second.lines, "the second follows")
    spec = kubectl.json("get", "lease", "leader")["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("first", 4, 0)
    assert first.end() == 0
    assert first.lines[-1] == {"name": "first", "event": "stopped"}
    eventually(lambda: {"name": "second", "event": "leads"} in second.lines, "the second leads")
    spec = kubectl.json("get", "lease", "leader")["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("second", 1)
    assert second.end() == 0


def test_a_leader_that_dies_is_replaced_after_its_lease(
    start: Callable[..., Program], kubectl: Any, eventually: Callable[..., Any]
) -> None:
    first = start("lead", kubectl.namespace, "first")
    eventually(lambda: {"name": "first", "event": "leads"} in first.lines, "the first leads")
    second = start("lead", kubectl.namespace, "second")
    eventually(lambda: {"name": "second", "event": "follows", "leader": "first"} in second.lines, "the second follows")
    first.kill()
    assert {"name": "second", "event": "leads"} not in second.lines
    eventually(lambda: {"name": "second", "event": "leads"} in second.lines, "the second leads", 20)
    assert kubectl.json("get", "lease", "leader")["spec"]["holderIdentity"] == "second"
    assert second.end() == 0
