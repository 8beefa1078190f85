"""Keeps the policy rules as policies, pods and namespaces are; applies only what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.network import policy
from seatrial.cluster.network.policy import DNS, TABLE, World, compile_policies
from seatrial.cluster.network.proxy import Applier
from seatrial.cluster.network.rules import Table
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from collections.abc import Hashable

    from seatrial.base.clock import Clock
    from seatrial.cluster.network.nft import Nft
    from seatrial.cluster.network.rules import Fragment
    from seatrial.kube.control.controller import Key
    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

_ALL: Key = ("", "")


class Enforcer(Applier):
    """`admit` puts a pod under its policies before its first packet: its address is in no object yet."""

    name = "network policies"

    def __init__(self, nft: Nft, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(clock)
        self._table = Table(nft, TABLE, policy.BASE)
        self.policies = informers.get(resources.for_plural("networkpolicies", "networking.k8s.io"))
        self._pods = informers.get(resources.for_plural("pods"))
        self._namespaces = informers.get(resources.for_plural("namespaces"))
        self._applied: dict[str, Fragment] = {}
        self._attached: dict[str, str] = {}
        """Address by uid of pods whose status may not say it yet."""
        self.policies.on_change(lambda _old, _new: self.mark(_ALL))
        self._namespaces.on_change(self._namespace_changed)
        self._pods.on_change(self._pod_changed)

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or objects.labels(old) != objects.labels(new):
            self.mark(_ALL)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        before, after = (policy.target(item) if item is not None else None for item in (old, new))
        if before != after and self.policies.list():
            self.mark(_ALL)

    async def admit(self, uid: str, address: str) -> None:
        """Return once the rules know the pod by this address."""
        self._attached[uid] = address
        await self._synced()
        if self.policies.list():
            self.mark(_ALL)
            await self.settled()

    def dismiss(self, uid: str) -> None:
        if self._attached.pop(uid, None) is not None and self.policies.list():
            self.mark(_ALL)

    async def run(self) -> None:
        await self._synced()
        await self.apply(set())
        await self.follow()

    async def _synced(self) -> None:
        for informer in (self.policies, self._pods, self._namespaces):
            await informer.wait_synced()

    async def apply(self, dirty: set[Key]) -> None:
        wanted = compile_policies(self.policies.list(), self._world())
        changes: dict[Hashable, Fragment | None] = {
            key: fragment for key, fragment in wanted.items() if self._applied.get(key) != fragment
        }
        changes.update(dict.fromkeys(self._applied.keys() - wanted.keys()))
        await self._table.apply(changes)
        self._applied = wanted

    def _world(self) -> World:
        targets = [DNS]
        for pod in self._pods.list():
            address = self._attached.get(objects.uid(pod))
            seen = pod
            if address and (pod.get("status") or {}).get("podIP") != address:
                seen = {**pod, "status": {**(pod.get("status") or {}), "podIP": address}}
            found = policy.target(seen)
            if found is not None:
                targets.append(found)
        return World(targets, {objects.name(item): objects.labels(item) for item in self._namespaces.list()})
