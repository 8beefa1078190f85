"""Each claim: bound to a volume that is there, or to one made for it; kept while pods use it.

One worker: two claims must not be given the same volume. A claim that cannot be bound says why in an event, once, and
is looked at again when a volume, a class or a pod changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers.persistentvolume import match, names, provision
from seatrial.cluster.controllers.persistentvolume.standard import DEFAULT_CLASS, PROVISIONER
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.events import EventType
    from seatrial.kube.model.objects import Object

_COMPONENT = "persistentvolume-controller"
_BY_CLAIM = "claim"
_NO_PROVISIONER = "kubernetes.io/no-provisioner"
_CLAIMS = resources.for_plural("persistentvolumeclaims")
_VOLUMES = resources.for_plural("persistentvolumes")


class Claims:
    def __init__(self, context: ControlContext, directory: Path) -> None:
        self._context = context
        self._client = context.client
        self._directory = directory
        self._claims = context.informers.get(_CLAIMS)
        self._volumes = context.informers.get(_VOLUMES)
        self._classes = context.informers.get(resources.for_plural("storageclasses", "storage.k8s.io"))
        self._pods = context.informers.get(resources.for_plural("pods"))
        self._pods.add_index(_BY_CLAIM, _used_claims)
        self._said: dict[str, tuple[str, str]] = {}
        """The last event of each claim that waits, by uid."""
        self.controller = Controller("persistentvolumeclaim", self._reconcile, clock=context.clock, workers=1)
        self.controller.watches(self._claims)
        self.controller.watches(self._volumes, self._concerned)
        self.controller.watches(self._classes, lambda _: self._unbound())
        self.controller.watches(self._pods, _used_keys)
        self._claims.on_change(self._claim_changed)

    def _concerned(self, volume: Object) -> Iterable[Key]:
        """The claim it is reserved for; every one that waits, if it is free."""
        reference = names.claim_reference(volume)
        if reference:
            return ((reference.get("namespace") or "", reference.get("name") or ""),)
        return self._unbound()

    def _unbound(self) -> Iterator[Key]:
        for claim in self._claims.list():
            if not names.is_bound(claim):
                yield objects.namespace(claim), objects.name(claim)

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._said.pop(objects.uid(old or {}), None)

    # one claim

    async def _reconcile(self, key: Key) -> Outcome:
        claim = self._claims.get(*key)
        if claim is None:
            return DONE
        try:
            if objects.is_deleting(claim):
                await self._unprotect(claim)
            elif names.is_bound(claim):
                await self._keep(claim)
            else:
                await self._bind_or_wait(claim)
        except StatusError as error:
            if error.code == 404:  # gone meanwhile
                return DONE
            raise
        return DONE

    async def _unprotect(self, claim: Object) -> None:
        if names.CLAIM_PROTECTION in objects.finalizers(claim) and not self._is_used(claim):
            changed = objects.clone(claim)
            changed["metadata"]["finalizers"].remove(names.CLAIM_PROTECTION)
            await self._client.update(_CLAIMS, changed)

    def _is_used(self, claim: Object) -> bool:
        """A pod that runs nowhere yet does not count: no node starts one whose claim is going."""
        users = self._pods.by_index(_BY_CLAIM, f"{objects.namespace(claim)}/{objects.name(claim)}")
        return any(pod["spec"].get("nodeName") for pod in users)

    async def _bind_or_wait(self, claim: Object) -> None:
        if not await self._bound_now(claim) and names.CLAIM_PROTECTION not in objects.finalizers(claim):
            changed = objects.clone(claim)
            _protect(changed)
            await self._client.update(_CLAIMS, changed)

    async def _bound_now(self, claim: Object) -> bool:
        """True if the claim has been written."""
        if claim["spec"].get("volumeName"):
            return await self._bind_named(claim)
        if not names.names_class(claim) and (default := self._default_class()):
            changed = objects.clone(claim)
            changed["spec"]["storageClassName"] = default
            _protect(changed)
            await self._client.update(_CLAIMS, changed)
            return True
        storage_class = self._classes.get("", names.class_of(claim))
        waits = self._waits(claim, storage_class)
        volume = match.best(claim, self._volumes.list(), reserved_only=bool(waits))
        if volume is None:
            if waits:
                self._say(claim, "Normal", *waits)
                return False
            volume = await self._provide(claim, storage_class)
        if volume is None:
            return False
        await self._bind(claim, volume)
        return True

    def _default_class(self) -> str:
        """The newest of those marked, then the first by name: as at admission."""
        marked = [found for found in self._classes.list() if objects.annotations(found).get(DEFAULT_CLASS) == "true"]
        if not marked:
            return ""
        newest = max(found["metadata"]["creationTimestamp"] for found in marked)
        return min(objects.name(found) for found in marked if found["metadata"]["creationTimestamp"] == newest)

    def _waits(self, claim: Object, storage_class: Object | None) -> tuple[str, str] | None:
        """Reason and message, if its class binds only once a node is known."""
        if storage_class is None or storage_class.get("volumeBindingMode") != "WaitForFirstConsumer":
            return None
        if names.SELECTED_NODE in objects.annotations(claim) or self._is_used(claim):
            return None
        users = self._pods.by_index(_BY_CLAIM, f"{objects.namespace(claim)}/{objects.name(claim)}")
        if users:
            return "WaitForPodScheduled", f"waiting for pod {objects.name(users[0])} to be scheduled"
        return "WaitForFirstConsumer", "waiting for first consumer to be created before binding"

    async def _bind_named(self, claim: Object) -> bool:
        """To the very volume it names."""
        name = claim["spec"]["volumeName"]
        volume = self._volumes.get("", name)
        if volume is None:
            self._say(claim, "Warning", "FailedBinding", f'volume "{name}" not found')
        elif not names.is_for(volume, claim) and names.claim_reference(volume):
            self._say(claim, "Warning", "FailedBinding", f'volume "{name}" already bound to a different claim.')
        elif objects.is_deleting(volume):
            self._say(claim, "Warning", "FailedBinding", f'volume "{name}" is being deleted')
        elif problem := match.mismatch(claim, volume):
            self._say(claim, "Warning", "VolumeMismatch", f'Cannot bind to requested volume "{name}": {problem}')
        else:
            await self._bind(claim, volume)
            return True
        return False

    async def _provide(self, claim: Object, storage_class: Object | None) -> Object | None:
        """A new volume; None if there is none to be had, or not from us."""
        name = names.class_of(claim)
        provisioner = (storage_class or {}).get("provisioner")
        if not name:
            text = "no persistent volumes available for this claim and no storage class is set"
            self._say(claim, "Normal", "FailedBinding", text)
        elif storage_class is None:
            self._say(claim, "Warning", "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found')
        elif provisioner == _NO_PROVISIONER:
            text = f"no persistent volumes available for this claim, and storage class {name} makes none"
            self._say(claim, "Normal", "FailedBinding", text)
        elif provisioner != PROVISIONER:
            text = f"waiting for a volume from the external provisioner '{provisioner}': nothing in here makes one"
            self._say(claim, "Normal", "ExternalProvisioning", text)
        elif problem := provision.refusal(claim):
            text = f'failed to provision volume with StorageClass "{name}": {problem}'
            self._say(claim, "Warning", "ProvisioningFailed", text, PROVISIONER)
        else:
            return await self._provision(claim, storage_class)
        return None

    async def _provision(self, claim: Object, storage_class: Object) -> Object:
        wanted = provision.volume(claim, storage_class, self._directory)
        name = objects.name(wanted)
        try:
            made = await self._client.create(_VOLUMES, wanted)
        except StatusError as error:
            if error.code != 409:
                raise
            return await self._client.get(_VOLUMES, name)  # made before, which the watch has not told yet
        self._say(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}", PROVISIONER)
        return made

    # binding

    async def _bind(self, claim: Object, volume: Object) -> None:
        """First the volume, so that nobody else takes it; a crash in between is completed by the next pass."""
        volume = await self._reserve(claim, volume)
        volume = await self._set_volume_bound(volume)
        changed = objects.clone(claim)
        annotations = changed["metadata"].setdefault("annotations", {})
        annotations[names.BIND_COMPLETED] = "yes"
        if not changed["spec"].get("volumeName"):
            annotations[names.BOUND_BY_CONTROLLER] = "yes"
            if names.is_ours(volume):
                annotations |= dict.fromkeys(names.STORAGE_PROVISIONER, PROVISIONER)
        changed["spec"]["volumeName"] = objects.name(volume)
        _protect(changed)
        claim = await self._client.update(_CLAIMS, changed)
        await self._set_claim_bound(claim, volume)
        self._said.pop(objects.uid(claim), None)

    async def _reserve(self, claim: Object, volume: Object) -> Object:
        reference = names.claim_reference(volume)
        if reference.get("uid") == objects.uid(claim):
            return volume
        changed = objects.clone(volume)
        if not reference:
            changed["metadata"].setdefault("annotations", {})[names.BOUND_BY_CONTROLLER] = "yes"
        changed["spec"]["claimRef"] = provision.reference(claim)
        return await self._client.update(_VOLUMES, changed)

    async def _set_volume_bound(self, volume: Object) -> Object:
        if names.phase(volume) == "Bound":
            return volume
        return await self._client.update(
            _VOLUMES, names.in_phase(volume, "Bound", self._context.clock), subresource="status"
        )

    async def _set_claim_bound(self, claim: Object, volume: Object) -> None:
        status = {
            **(claim.get("status") or {}),
            "phase": "Bound",
            "accessModes": volume["spec"].get("accessModes"),
            "capacity": volume["spec"].get("capacity"),
        }
        if status != claim.get("status"):
            await self._client.update(_CLAIMS, {**claim, "status": status}, subresource="status")

    # what has been bound

    async def _keep(self, claim: Object) -> None:
        name = claim["spec"].get("volumeName")
        volume = await self._volume(name) if name else None
        reference = names.claim_reference(volume) if volume is not None else {}
        if volume is None:
            lost = "volume" if name else "reference to its volume"
            await self._lose(claim, "ClaimLost", f"Bound claim has lost its {lost}. Data on the volume is lost!")
        elif not reference or names.is_for(volume, claim):
            await self._bind_again(claim, volume)
        else:
            await self._lose(claim, "ClaimMisbound", f'its volume "{name}" is bound to another claim')

    async def _volume(self, name: str) -> Object | None:
        """As the API has it, where the watch has nothing yet."""
        found = self._volumes.get("", name)
        if found is not None:
            return found
        try:
            return await self._client.get(_VOLUMES, name)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def _bind_again(self, claim: Object, volume: Object) -> None:
        """What an interrupted binding left, and what was asked for since: more room."""
        volume = await self._reserve(claim, volume)
        if match.requested(claim) > match.capacity(volume) and names.is_ours(volume):
            changed = objects.clone(volume)
            changed["spec"]["capacity"] = {"storage": claim["spec"]["resources"]["requests"]["storage"]}
            volume = await self._client.update(_VOLUMES, changed)
        volume = await self._set_volume_bound(volume)
        if names.CLAIM_PROTECTION not in objects.finalizers(claim):
            changed = objects.clone(claim)
            _protect(changed)
            claim = await self._client.update(_CLAIMS, changed)
        await self._set_claim_bound(claim, volume)

    async def _lose(self, claim: Object, reason: str, message: str) -> None:
        if names.phase(claim) != "Lost":
            self._say(claim, "Warning", reason, message)
            status = {**(claim.get("status") or {}), "phase": "Lost"}
            await self._client.update(_CLAIMS, {**claim, "status": status}, subresource="status")

    def _say(self, claim: Object, type_: EventType, reason: str, message: str, who: str = _COMPONENT) -> None:
        """Once, though many passes come to the same."""
        if self._said.get(objects.uid(claim)) != (reason, message):
            self._said[objects.uid(claim)] = (reason, message)
            self._context.recorder.event(claim, type_, reason, message, component=who)


def _protect(claim: Object) -> None:
    finalizers = claim["metadata"].setdefault("finalizers", [])
    if names.CLAIM_PROTECTION not in finalizers:
        finalizers.append(names.CLAIM_PROTECTION)


def _used_claims(pod: Object) -> Iterator[str]:
    for namespace, name in _used_keys(pod):
        yield f"{namespace}/{name}"


def _used_keys(pod: Object) -> Iterator[Key]:
    for volume in pod["spec"].get("volumes") or []:
        claimed, ephemeral = volume.get("persistentVolumeClaim"), volume.get("ephemeral")
        if claimed:
            yield objects.namespace(pod), claimed["claimName"]
        elif ephemeral:
            yield objects.namespace(pod), f"{objects.name(pod)}-{volume['name']}"
