"""The Node object and its heartbeat: a Lease in kube-node-lease, renewed every ten seconds."""

from __future__ import annotations

import asyncio
import logging
import platform
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339, rfc3339_micro
from seatrial.base.errors import Retryable
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import conditions, objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

SIMULATION = "simulated://1"
SIMULATED = "seatrial.dev/simulated"
"""Label of nodes whose pods are simulated, whoever created the Node."""
_RENEW_SECONDS = 10.0
_LEASE_SECONDS = 40
_LEASE_NAMESPACE = "kube-node-lease"
_NODES = resources.for_plural("nodes")
_LEASES = resources.for_plural("leases", "coordination.k8s.io")
_KUBELET = "v1.37.2"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Heart:
    """Keeps the Node registered and its lease fresh until cancelled.

    A Node that somebody deletes is registered again at the next beat. A kubelet would do so at its next start; here
    that would be the start of the whole cluster, which has no other node of its own.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        name: str,
        capacity: dict[str, str],
        address: str,
        *,
        runtime: str = SIMULATION,
    ) -> None:
        """`runtime` as nodeInfo has it, such as `crun://1`."""
        self.name = f"node {name}"
        self._client = client
        self._clock = clock
        self._node_name = name
        self._capacity = capacity
        self._address = address
        self._runtime = runtime
        self._registered = asyncio.Event()
        self._uid = ""
        """Of the Node as last registered or seen."""

    async def run(self) -> None:
        """An API that refuses for a moment is asked again at the next beat."""
        while True:
            try:
                await self._beat()
            except (StatusError, Retryable) as error:
                log.warning("heartbeat failed", extra={"node": self._node_name, "error": error.message})
            await self._clock.sleep(_RENEW_SECONDS)

    async def registered(self) -> None:
        """The Node object is there."""
        await self._registered.wait()

    async def _beat(self) -> None:
        live = await self._live()
        if live is None or objects.uid(live) != self._uid:
            live = await self._register(live)
            self._uid = objects.uid(live)
        self._registered.set()
        await self._renew()

    async def _live(self) -> Object | None:
        try:
            return await self._client.get(_NODES, self._node_name)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def _register(self, live: Object | None) -> Object:
        now = rfc3339(self._clock.time())
        wanted = node_object(self._node_name, self._capacity, self._address, now, self._runtime)
        if live is None:
            live = await self._client.create(_NODES, wanted)
        elif (SIMULATED in objects.labels(live)) != (SIMULATED in objects.labels(wanted)):  # it ran with the other one
            labels = {**objects.labels(live), SIMULATED: objects.labels(wanted).get(SIMULATED)}
            live = await self._client.patch(
                _NODES, self._node_name, {"metadata": {"labels": labels}}, type=PatchType.MERGE
            )
        current = objects.clone(live)
        current["status"] = {**(current.get("status") or {}), **wanted["status"]}
        current["status"]["conditions"] = _merged((live.get("status") or {}).get("conditions"), wanted)
        return await self._client.update(_NODES, current, subresource="status")

    async def _renew(self) -> None:
        """The lease belongs to the Node and goes with it."""
        now = rfc3339_micro(self._clock.time())
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._node_name, "uid": self._uid}
        lease = {
            "metadata": {"ownerReferences": [owner]},
            "spec": {"holderIdentity": self._node_name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": now},
        }
        try:
            await self._client.patch(_LEASES, self._node_name, lease, _LEASE_NAMESPACE, type=PatchType.MERGE)
        except StatusError as error:
            if error.code != 404:
                raise
            await self._client.create(_LEASES, self._new(lease))

    def _new(self, lease: Object) -> Object:
        named = {**lease["metadata"], "name": self._node_name, "namespace": _LEASE_NAMESPACE}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": named, "spec": lease["spec"]}


def _merged(old: list[dict[str, Any]] | None, wanted: Object) -> list[dict[str, Any]]:
    """The Node's conditions: ours as they are now, those of others as they were; transitions where there is one."""
    found = [dict(condition) for condition in old or []]
    for ours in wanted["status"]["conditions"]:
        before = conditions.get(found, ours["type"])
        if before is None:
            found.append(ours)
        elif before["status"] == ours["status"]:
            found[found.index(before)] = {**ours, "lastTransitionTime": before["lastTransitionTime"]}
        else:
            found[found.index(before)] = ours
    return found


def node_object(name: str, capacity: dict[str, str], address: str, now: str, runtime: str = SIMULATION) -> Object:
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "node-role.kubernetes.io/control-plane": "",
    }
    if runtime == SIMULATION:
        labels[SIMULATED] = "true"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": _conditions(now),
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "architecture": architecture,
                "bootID": "",
                "containerRuntimeVersion": runtime,
                "kernelVersion": platform.release(),
                "kubeProxyVersion": "",
                "kubeletVersion": _KUBELET,
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "simulated" if runtime == SIMULATION else "linux",
                "systemUUID": "",
            },
        },
    }


def _conditions(now: str) -> list[dict[str, Any]]:
    healthy = {
        "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
    }
    return [
        {
            "type": kind,
            "status": state,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        for kind, (state, reason, message) in healthy.items()
    ]
