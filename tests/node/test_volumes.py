"""Volumes in real containers: what is mounted, as root and in a user namespace, and that nothing is left behind."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.node.making import DEFAULT_CAPABILITIES, Pod

from seatrial.base.clock import SystemClock
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.node.runtime import kernel
from seatrial.cluster.node.runtime.types import Security
from seatrial.cluster.node.volumes.facts import PodFacts
from seatrial.cluster.node.volumes.volumes import Volumes
from seatrial.kube.client.client import Client
from seatrial.kube.client.transport import Request, Response, Transport
from seatrial.kube.control.informer import InformerFactory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.node.conftest import Node
    from tests.node.making import Runtime

OBJECTS: dict[str, Any] = {
    "/api/v1/namespaces/default/secrets/pass": {"data": {"key": "czM="}},
    "/api/v1/namespaces/default/configmaps/conf": {"data": {"a": "A", "b": "B"}},
}
DEFAULT = Security(capabilities=DEFAULT_CAPABILITIES)


class Canned:
    """An API of two objects."""

    async def send(self, request: Request) -> Response:
        return Response(200, {}, object=OBJECTS[request.path])


@asynccontextmanager
async def stage(runtime: Runtime, pod: Pod, volumes: list[Any], mounts: list[Any], **spec: Any) -> AsyncIterator[Any]:
    """The volumes, prepared, and a function that runs a script on them."""
    client, clock = Client(cast("Transport", Canned())), SystemClock()
    directory = Path(pod.layer.parents[1], "instance", pod.uid)
    container = {"name": "main", "volumeMounts": mounts}
    obj = {
        "metadata": {"name": "web", "namespace": "default", "uid": pod.uid},
        "spec": {"containers": [container], "volumes": volumes, **spec},
    }
    async with TaskGroup() as tasks:
        made = Volumes(client, InformerFactory(client, clock, tasks), clock, directory)
        await made.prepare(obj, PodFacts())

        async def sh(script: str, security: Security = DEFAULT, before: Any = None) -> tuple[int, str]:
            mounted = made.mounts(obj, container, {"NAME": "dir"})
            if before is not None:
                before(directory)
            end, text = await pod.sh(script, mounts=mounted, security=security)
            return end.code, text

        try:
            yield sh
        finally:
            await made.remove(pod.uid)
            if (memory := str(directory / "node" / "memory")) in _mounted():
                kernel.unmount(memory)
            shutil.rmtree(directory)


def _mounted() -> list[str]:
    return [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]


async def _kinds(runtime: Runtime) -> tuple[int, str]:
    volumes = [
        {"name": "pw", "secret": {"secretName": "pass"}},
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "mem", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    mounts.append({"name": "conf", "mountPath": "/etc/app/b.conf", "subPath": "b"})
    script = """
        cat /pw/key /conf/a /etc/app/b.conf; echo
        (echo x > /pw/key) 2>&1 | sed 's/.*: //'
        dd if=/dev/zero of=/mem/big bs=64k count=32 2>&1 | grep -o 'No space left on device'
        echo kept > /tmp/file && cat /tmp/file
    """
    async with Pod(runtime) as pod, stage(runtime, pod, volumes, mounts) as sh:
        code, text = await sh(script)
        return code, text


def test_each_kind_is_there(node: Node) -> None:
    code, text = node.run(_kinds)
    assert (code, text.splitlines()) == (0, ["s3AB", "Read-only file system", "No space left on device", "kept"])


async def _group(runtime: Runtime) -> tuple[int, str]:
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "pw", "secret": {"secretName": "pass", "defaultMode": 256}}]
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("tmp", "pw")]
    group = {"fsGroup": 4321}
    user = Security(uid=1000, gid=1000, groups=(4321,))
    async with Pod(runtime) as pod, stage(runtime, pod, volumes, mounts, securityContext=group) as sh:
        code, text = await sh("touch /tmp/f && stat -c %u:%g /tmp/f && cat /pw/key", security=user)
        return code, text


def test_a_user_of_the_group_has_the_volumes(node: Node) -> None:
    assert node.run(_group) == (0, "1000:4321\ns3")


async def _swapped(runtime: Runtime) -> tuple[int, str]:
    """Between the look at the volume and the start of the container somebody puts a link in place of the directory."""
    volumes = [{"name": "tmp", "emptyDir": {}}]
    mounts = [{"name": "tmp", "mountPath": "/mine", "subPathExpr": "$(NAME)"}]

    def swap(directory: Path) -> None:
        inner = next(directory.glob("node/pods/*/volumes/emptyDir/tmp/dir"))
        (inner / "own").write_text("x")
        inner.rename(inner.with_name("moved"))
        inner.symlink_to("/")

    async with Pod(runtime) as pod, stage(runtime, pod, volumes, mounts) as sh:
        code, text = await sh("ls /mine", before=swap)
        return code, text


def test_a_link_put_in_place_later_is_not_followed(node: Node) -> None:
    assert node.run(_swapped) == (0, "own\n")


async def _again(runtime: Runtime) -> tuple[list[str], list[str]]:
    before = _mounted()
    volumes = [
        {"name": "mem", "emptyDir": {"medium": "Memory"}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "pw", "secret": {"secretName": "pass"}},
    ]
    mounts = [{"name": "tmp", "mountPath": "/a", "subPath": "x"}, {"name": "pw", "mountPath": "/k", "subPath": "key"}]
    async with Pod(runtime) as pod:
        async with stage(runtime, pod, volumes, mounts) as sh:
            found = [(await sh(script))[1] for script in ("echo 1 > /a/n", "cat /a/n /k")]
        return found, [place for place in _mounted() if place not in before and "instance" in place]


def test_a_container_starts_again_on_the_same_places_and_nothing_stays_mounted(node: Node) -> None:
    assert node.run(_again) == (["", "1\ns3"], [])
