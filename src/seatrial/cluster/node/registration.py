"""The Node object and its heartbeat: a Lease in kube-node-lease, renewed every ten seconds."""

from __future__ import annotations

import logging
import platform
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339, rfc3339_micro
from seatrial.base.errors import Retryable
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

SIMULATED = "seatrial.dev/simulated"
"""Label of nodes whose pods are simulated, whoever created the Node."""
_RENEW_SECONDS = 10.0
_LEASE_SECONDS = 40
_LEASES = "kube-node-lease"
_KUBELET = "v1.37.2"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Heart:
    """Registers the node, then renews its lease until cancelled."""

    def __init__(self, client: Client, clock: Clock, name: str, capacity: dict[str, str], address: str) -> None:
        self.name = f"node {name}"
        self._client = client
        self._clock = clock
        self._node = node_object(name, capacity, address, rfc3339(clock.time()))
        self._lease = ""

    async def run(self) -> None:
        """Register, then renew; an API that refuses for a moment is asked again at the next beat."""
        registered = False
        while True:
            try:
                if not registered:
                    await self._register()
                    registered = True
                await self._renew()
            except (StatusError, Retryable) as error:
                log.warning("heartbeat failed", extra={"node": objects.name(self._node), "error": error.message})
            await self._clock.sleep(_RENEW_SECONDS)

    async def _register(self) -> None:
        nodes = resources.for_plural("nodes")
        name = objects.name(self._node)
        try:
            live = await self._client.get(nodes, name)
        except StatusError as error:
            if error.code != 404:
                raise
            live = await self._client.create(nodes, self._node)
        current = objects.clone(live)
        current["status"] = {**current.get("status", {}), **self._node["status"]}
        await self._client.update(nodes, current, subresource="status")

    async def _renew(self) -> None:
        leases = resources.for_plural("leases", "coordination.k8s.io")
        name = objects.name(self._node)
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": rfc3339_micro(self._clock.time()),
        }
        if self._lease:
            try:
                await self._client.patch(leases, name, {"spec": spec}, _LEASES, type=PatchType.MERGE)
            except StatusError as error:
                if error.code != 404:
                    raise
                self._lease = ""
        if not self._lease:
            self._lease = await self._create_lease(spec)

    async def _create_lease(self, spec: dict[str, Any]) -> str:
        leases = resources.for_plural("leases", "coordination.k8s.io")
        name = objects.name(self._node)
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": _LEASES},
            "spec": spec,
        }
        try:
            await self._client.create(leases, lease)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
        return name


def node_object(name: str, capacity: dict[str, str], address: str, now: str) -> Object:
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "node-role.kubernetes.io/control-plane": "",
        SIMULATED: "true",
    }
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
                "containerRuntimeVersion": "simulated://1",
                "kernelVersion": platform.release(),
                "kubeProxyVersion": "",
                "kubeletVersion": _KUBELET,
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "simulated",
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
