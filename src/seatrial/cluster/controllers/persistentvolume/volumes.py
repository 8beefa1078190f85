"""Each volume: its phase, its protection while it is bound, and what becomes of it when its claim is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers.persistentvolume import names
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object

_COMPONENT = "persistentvolume-controller"
_CLAIMS = resources.for_plural("persistentvolumeclaims")
_VOLUMES = resources.for_plural("persistentvolumes")


class Volumes:
    def __init__(self, context: ControlContext) -> None:
        self._context = context
        self._client = context.client
        self._claims = context.informers.get(_CLAIMS)
        self._volumes = context.informers.get(_VOLUMES)
        self.controller = Controller("persistentvolume", self._reconcile, clock=context.clock)
        self.controller.watches(self._volumes)
        self.controller.watches(self._claims, _claimed)

    async def _reconcile(self, key: Key) -> Outcome:
        volume = self._volumes.get(*key)
        if volume is not None:
            try:
                await self._step(await self._protected(volume))
            except StatusError as error:
                if error.code != 404:
                    raise
        return DONE

    async def _protected(self, volume: Object) -> Object:
        """Nobody loses the volume of a claim by deleting it: it goes after its claim."""
        has = names.VOLUME_PROTECTION in objects.finalizers(volume)
        wanted = not objects.is_deleting(volume) or names.phase(volume) == "Bound"
        if has == wanted or (wanted and objects.is_deleting(volume)):  # a deletion takes no new finalizers
            return volume
        changed = objects.clone(volume)
        finalizers = changed["metadata"].setdefault("finalizers", [])
        if wanted:
            finalizers.append(names.VOLUME_PROTECTION)
        else:
            finalizers.remove(names.VOLUME_PROTECTION)
        return await self._client.update(_VOLUMES, changed)

    async def _step(self, volume: Object) -> None:
        reference = names.claim_reference(volume)
        if not reference.get("uid"):  # free, or reserved for a claim that is to come
            await self._set(volume, "Available")
            return
        claim = await self._claim(reference["namespace"], reference["name"])
        if claim is None or objects.uid(claim) != reference["uid"]:
            await self._release(volume)
        elif claim["spec"].get("volumeName") == objects.name(volume):
            await self._set(volume, "Bound")
        elif claim["spec"].get("volumeName"):
            await self._let_go(volume)
        # else its claim is about to be bound

    async def _claim(self, namespace: str, name: str) -> Object | None:
        """The API is asked before a claim counts as gone: the watch may be behind."""
        found = self._claims.get(namespace, name)
        if found is not None:
            return found
        try:
            return await self._client.get(_CLAIMS, name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def _release(self, volume: Object) -> None:
        if names.phase(volume) not in ("Released", "Failed"):
            await self._set(volume, "Released")
            return  # that change brings the next pass
        policy = volume["spec"].get("persistentVolumeReclaimPolicy") or "Retain"
        provisioner = objects.annotations(volume).get(names.PROVISIONED_BY)
        if policy == "Retain" or objects.is_deleting(volume) or names.phase(volume) == "Failed":
            return
        if policy == "Delete" and names.is_ours(volume):
            await self._client.delete(_VOLUMES, objects.name(volume), uid=objects.uid(volume))
        elif policy == "Recycle":
            await self._fail(volume, "VolumeFailedRecycle", "no recycler here: use the reclaim policy Delete or Retain")
        elif not provisioner:
            text = "nothing in here deletes a volume somebody made by hand: use the reclaim policy Retain"
            await self._fail(volume, "VolumeFailedDelete", text)

    async def _let_go(self, volume: Object) -> None:
        """Its claim was bound to another: a volume made for nothing goes, any other is free again."""
        if names.is_ours(volume):
            await self._release(volume)
            return
        changed = objects.clone(volume)
        if changed["metadata"].get("annotations", {}).pop(names.BOUND_BY_CONTROLLER, None):
            del changed["spec"]["claimRef"]
        else:
            del changed["spec"]["claimRef"]["uid"]
        await self._client.update(_VOLUMES, changed)

    async def _fail(self, volume: Object, reason: str, message: str) -> None:
        self._context.recorder.event(volume, "Warning", reason, message, component=_COMPONENT)
        changed = names.in_phase(volume, "Failed", self._context.clock, message=message)
        await self._client.update(_VOLUMES, changed, subresource="status")

    async def _set(self, volume: Object, phase: str) -> None:
        if names.phase(volume) != phase:
            changed = names.in_phase(volume, phase, self._context.clock)
            await self._client.update(_VOLUMES, changed, subresource="status")


def _claimed(claim: Object) -> Iterable[Key]:
    """The volume it names."""
    name = claim["spec"].get("volumeName")
    return (("", name),) if name else ()
