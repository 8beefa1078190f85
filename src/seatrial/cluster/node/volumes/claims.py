"""From a PersistentVolumeClaim to the directory that is its data on this node."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.errors import Retryable
from seatrial.cluster.node.volumes import hostpath
from seatrial.cluster.node.volumes.errors import VolumeNotReady
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

PROVISIONER = "seatrial.dev/local-path"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PATIENCE = 5.0
"""Seconds for a claim to be bound before the pod is told that it is not."""
_OURS = re.compile(r"pvc-([0-9a-f-]{36})")
_CLAIMS = resources.for_plural("persistentvolumeclaims")
_VOLUMES = resources.for_plural("persistentvolumes")
_NOT_A_SOURCE = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)


class Place(NamedTuple):
    path: Path
    takes_group: bool
    """Whether fsGroup is heeded: not for directories of the machine."""


def directory_of(volume: Object, directory: Path) -> Path | None:
    """Where the data of a volume of our provisioner lies, below `directory`; None for any other volume."""
    named = _OURS.fullmatch(objects.name(volume))
    if named is None or objects.annotations(volume).get(PROVISIONED_BY) != PROVISIONER:
        return None
    return directory / named[1]


class Claims:
    def __init__(self, client: Client, informers: InformerFactory, directory: Path) -> None:
        """`directory`: where the data of provisioned volumes lies."""
        self._client = client
        self._directory = directory
        self._claims = informers.get(_CLAIMS)
        self._volumes = informers.get(_VOLUMES)
        self._waiting: set[asyncio.Future[None]] = set()
        self._claims.on_change(self._changed)

    async def find(self, pod: Object, claim_name: str, *, owned: bool = False) -> Place:
        """Waits a moment for a claim that is not bound yet. `owned`: the claim must be the pod's own (ephemeral).

        Raises VolumeNotReady.
        """
        claim = await self._bound(objects.namespace(pod), claim_name)
        if owned and (objects.controller_of(claim) or {}).get("uid") != objects.uid(pod):
            raise VolumeNotReady(
                f'persistentvolumeclaim "{claim_name}" was not made for this pod: delete it or rename the pod'
            )
        name = claim["spec"]["volumeName"]
        volume = self._volumes.get("", name) or await self._ask(name)
        if (volume["spec"].get("claimRef") or {}).get("uid") != objects.uid(claim):
            raise VolumeNotReady(f'persistentvolume "{name}" is bound to another claim than "{claim_name}"')
        return await asyncio.to_thread(self._place, volume)

    async def _bound(self, namespace: str, name: str) -> Object:
        claim = self._claims.get(namespace, name)
        try:
            async with asyncio.timeout(PATIENCE):
                while claim is None or not (_is_bound(claim) or objects.is_deleting(claim)):
                    await self._change()
                    claim = self._claims.get(namespace, name)
        except TimeoutError:
            pass
        if claim is None:
            raise VolumeNotReady(f'persistentvolumeclaim "{name}" not found')
        if objects.is_deleting(claim):
            raise VolumeNotReady(f'persistentvolumeclaim "{name}" is being deleted')
        if not _is_bound(claim):
            phase = (claim.get("status") or {}).get("phase") or "Pending"
            raise VolumeNotReady(f'persistentvolumeclaim "{name}" is not bound: it is {phase}; its events say why')
        return claim

    async def _change(self) -> None:
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(wake)
        try:
            await wake
        finally:
            self._waiting.discard(wake)

    def _changed(self, _old: Object | None, _new: Object | None) -> None:
        for wake in self._waiting:
            if not wake.done():
                wake.set_result(None)

    async def _ask(self, name: str) -> Object:
        try:
            return await self._client.get(_VOLUMES, name)
        except (StatusError, Retryable) as error:
            raise VolumeNotReady(error.message) from error

    def _place(self, volume: Object) -> Place:
        spec, name = volume["spec"], objects.name(volume)
        if spec.get("volumeMode", "Filesystem") != "Filesystem":
            raise VolumeNotReady(f'persistentvolume "{name}" is a block device: this node has file systems only')
        own = directory_of(volume, self._directory)
        if own is not None:
            _make(own)
            return Place(own, takes_group=True)
        if "hostPath" in spec:
            return Place(hostpath.find(spec["hostPath"]), takes_group=False)
        if "local" in spec:
            path = Path(spec["local"]["path"])
            if not path.is_dir():
                raise VolumeNotReady(f'persistentvolume "{name}": local path {path} is no directory of the node')
            return Place(path, takes_group=True)
        kind = ", ".join(sorted(set(spec) - _NOT_A_SOURCE)) or "nothing"
        raise VolumeNotReady(f'persistentvolume "{name}" is made of {kind}: this node mounts only hostPath and local')


def _is_bound(claim: Object | None) -> bool:
    if claim is None or objects.is_deleting(claim):
        return False
    return (claim.get("status") or {}).get("phase") == "Bound" and bool(claim["spec"].get("volumeName"))


def _make(directory: Path) -> None:
    """Any user may write there, as many images run as another than root. Raises VolumeNotReady."""
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not directory.is_dir():
            directory.mkdir()
            directory.chmod(0o777)
    except OSError as error:
        raise VolumeNotReady(f"cannot make {error.filename}: {error.strerror}") from error
