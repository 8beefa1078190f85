"""A pod's place in the network: its address and its link. What the kubelet calls `PodNetwork`.

Nothing is kept across a restart of the node: links and namespaces end with it, and every pod gets a new address.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from seatrial.cluster.network.addresses import AddressPool
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.cluster.network.enforcer import Enforcer
    from seatrial.cluster.network.links import Links
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object


class Pods:
    """Satisfies `cluster.node.podnetwork.PodNetwork`."""

    def __init__(self, links: Links, pods: Informer | None = None, policies: Enforcer | None = None) -> None:
        """`pods`: of all nodes; their addresses are left alone."""
        self._links = links
        self._policies = policies
        self._pool = AddressPool()
        self._attached: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        if pods is not None:
            pods.on_change(self._note)

    def _note(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        address = (pod.get("status") or {}).get("podIP") or ""
        if objects.uid(pod) in self._attached or not address:
            return
        if new is None:
            self._pool.release(objects.uid(pod), address)
        elif not pod["spec"].get("hostNetwork"):
            self._pool.avoid(objects.uid(pod), address)

    async def attach(self, uid: str, namespace: str) -> str:
        """Raises LinkFailed, AddressesExhausted."""
        async with self._locks.setdefault(uid, asyncio.Lock()):
            address = self._pool.of(uid)
            if self._attached.get(uid) != namespace:
                if uid in self._attached:  # a new sandbox of the same pod
                    await self._links.unplug(link_name(uid))
                if self._policies is not None:  # before its first packet
                    await self._policies.admit(uid, address)
                await self._links.plug(link_name(uid), namespace, address)
                self._attached[uid] = namespace
            return address

    async def detach(self, uid: str) -> None:
        lock = self._locks.setdefault(uid, asyncio.Lock())
        async with lock:
            await self._links.unplug(link_name(uid))
            self._attached.pop(uid, None)
            if self._policies is not None:
                self._policies.dismiss(uid)
            self._pool.release(uid)
            if self._locks.get(uid) is lock:
                del self._locks[uid]


def link_name(uid: str) -> str:
    """At most 15 characters, the kernel's limit."""
    return "p" + hashlib.sha256(uid.encode()).hexdigest()[:12]
