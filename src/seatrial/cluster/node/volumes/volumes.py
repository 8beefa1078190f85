"""Every volume of the node's pods: `prepare` before the first container, `mounts` for each, `remove` at the end.

`run` keeps those that come from the API current: a change reaches the files as soon as the watch tells of it, and
tokens are renewed before they expire. On disk a pod's volumes lie in `node/pods/<uid>/volumes/<kind>/<name>`, what must
not touch a disk in `node/memory/<uid>/<name>`, and the places that subPath names are bound in `node/subpaths/<uid>`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.base.errors import SeatrialError
from seatrial.cluster.node.runtime.types import Mount
from seatrial.cluster.node.volumes import hostpath, ownership, projection, subpath
from seatrial.cluster.node.volumes.claims import Claims
from seatrial.cluster.node.volumes.errors import NoSuchMount, VolumeNotReady
from seatrial.cluster.node.volumes.mounter import Mounter
from seatrial.cluster.node.volumes.projection import Projection, Projector
from seatrial.cluster.node.volumes.upkeep import Upkeep
from seatrial.kube.model import objects, quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.volumes.facts import PodFacts
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

_ANYBODY = 0o777


@dataclass(frozen=True, slots=True)
class _Made:
    path: Path
    read_only: bool = False


@dataclass(slots=True)
class _PodVolumes:
    pod: Object
    facts: PodFacts
    made: dict[str, _Made] = field(default_factory=dict)
    memory: list[Path] = field(default_factory=list)
    """File systems of memory, mounted."""
    bound: set[Path] = field(default_factory=set)
    """Places of subPaths, mounted."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Volumes:
    def __init__(
        self,
        client: Client,
        informers: InformerFactory,
        clock: Clock,
        directory: Path,
        *,
        allocatable: Mapping[str, str] | None = None,
        mounter: Mounter | None = None,
    ) -> None:
        """`directory`: the instance's. `allocatable`: what the node can give, for the downward API."""
        self._allocatable = allocatable or {}
        self._mounter = mounter or Mounter()
        self._pods_directory = directory / "node" / "pods"
        self._memory_directory = directory / "node" / "memory"
        self._subpaths = directory / "node" / "subpaths"
        self._has_memory = False
        self._upkeep = Upkeep(Projector(client, informers, clock, self._allocatable), informers, clock)
        self._claims = Claims(client, informers, directory / "volumes")
        self._pods: dict[str, _PodVolumes] = {}

    # making

    async def prepare(self, pod: Object, facts: PodFacts) -> None:
        """Make every volume of the pod that is not there yet. Raises VolumeNotReady."""
        uid = objects.uid(pod)
        known = self._pods.get(uid)
        if known is None:
            known = self._pods[uid] = _PodVolumes(pod, facts)
        async with known.lock:
            known.pod, known.facts = pod, facts
            missing = [volume for volume in pod["spec"].get("volumes") or [] if volume["name"] not in known.made]
            results = await asyncio.gather(*(self._make(known, volume) for volume in missing), return_exceptions=True)
        failed: list[str] = []
        for volume, result in zip(missing, results, strict=True):
            if isinstance(result, SeatrialError):
                failed.append(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {result.message}')
            elif isinstance(result, BaseException):
                raise result
        if failed:
            raise VolumeNotReady("; ".join(failed))

    async def _make(self, known: _PodVolumes, volume: Mapping[str, Any]) -> None:
        kind = next((key for key, value in volume.items() if key != "name" and value is not None), "")
        try:
            known.made[volume["name"]] = await self._kind(known, volume, kind)
        except OSError as error:
            raise VolumeNotReady(f"{error.filename or kind}: {error.strerror}") from error

    async def _kind(self, known: _PodVolumes, volume: Mapping[str, Any], kind: str) -> _Made:
        pod, name = known.pod, volume["name"]
        if kind in projection.KINDS:
            return await self._project(known, volume, kind)
        if kind == "emptyDir":
            return self._empty_directory(known, name, volume[kind])
        if kind == "hostPath":
            return _Made(await asyncio.to_thread(hostpath.find, volume[kind]))
        if kind == "persistentVolumeClaim":
            read_only = bool(volume[kind].get("readOnly"))
            return await self._claimed(pod, volume[kind]["claimName"], read_only=read_only)
        if kind == "ephemeral":
            return await self._claimed(pod, f"{objects.name(pod)}-{name}", owned=True)
        known_kinds = ", ".join((*projection.KINDS, "emptyDir", "hostPath", "persistentVolumeClaim", "ephemeral"))
        raise VolumeNotReady(f"this node has no volumes of kind {kind or '(none)'}: use one of {known_kinds}")

    async def _claimed(self, pod: Object, claim: str, *, owned: bool = False, read_only: bool = False) -> _Made:
        place = await self._claims.find(pod, claim, owned=owned)
        group = ownership.group_of(pod)
        if group is not None and place.takes_group and not read_only:
            only = ownership.only_on_mismatch(pod)
            await asyncio.to_thread(ownership.give, place.path, group, only_on_mismatch=only)
        return _Made(place.path, read_only)

    async def _project(self, known: _PodVolumes, volume: Mapping[str, Any], kind: str) -> _Made:
        name = volume["name"]
        if kind in projection.IN_MEMORY:
            directory = self._memory() / objects.uid(known.pod) / name
        else:
            directory = self._directory(known.pod, kind, name)
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(_ANYBODY)
        await self._upkeep.add(Projection(known.pod, known.facts, volume, directory))
        group = ownership.group_of(known.pod)
        if group is not None:
            ownership.give(directory, group, read_only=True)
        return _Made(directory, read_only=True)

    def _memory(self) -> Path:
        """One file system for the files of all pods that must not lie on a disk."""
        if not self._has_memory:
            self._memory_directory.mkdir(parents=True, exist_ok=True)
            self._mounter.memory(self._memory_directory, mode=0o700)
            self._has_memory = True
        return self._memory_directory

    def _empty_directory(self, known: _PodVolumes, name: str, source: Mapping[str, Any]) -> _Made:
        medium = source.get("medium") or ""
        if medium not in ("", "Memory"):
            raise VolumeNotReady(f'emptyDir medium "{medium}": this node has only "" (disk) and "Memory"')
        directory = self._directory(known.pod, "emptyDir", name)
        directory.mkdir(parents=True, exist_ok=True)
        if medium == "Memory":
            if directory not in known.memory:
                self._mounter.memory(directory, mode=_ANYBODY, size=self._memory_size(known.pod, source))
                known.memory.append(directory)
        else:
            directory.chmod(_ANYBODY)
        group = ownership.group_of(known.pod)
        if group is not None:
            ownership.give(directory, group)
        return _Made(directory)

    def _memory_size(self, pod: Object, source: Mapping[str, Any]) -> int | None:
        """The least of its own limit, what all containers together may use, and what the node has."""
        limits = [(container.get("resources") or {}).get("limits") or {} for container in pod["spec"]["containers"]]
        sizes: list[int] = []
        if source.get("sizeLimit") and quantity.value(source["sizeLimit"]) > 0:
            sizes.append(quantity.value(source["sizeLimit"]))
        if all("memory" in limit for limit in limits):
            sizes.append(sum(quantity.value(limit["memory"]) for limit in limits))
        if "memory" in self._allocatable:
            sizes.append(quantity.value(self._allocatable["memory"]))
        return min(sizes, default=None)

    def _directory(self, pod: Object, kind: str, name: str) -> Path:
        return self._pods_directory / objects.uid(pod) / "volumes" / kind / name

    # mounting

    def mounts(self, pod: Object, container: Object, environment: Mapping[str, str]) -> tuple[Mount, ...]:
        """The container's volumeMounts. Raises NoSuchMount."""
        known = self._pods.get(objects.uid(pod))
        if container.get("volumeDevices"):
            raise NoSuchMount(f"container {container['name']}: volumeDevices: this node has file systems only")
        wanted = container.get("volumeMounts") or []
        return tuple(self._mount(known, container, index, mount, environment) for index, mount in enumerate(wanted))

    def _mount(
        self,
        known: _PodVolumes | None,
        container: Object,
        index: int,
        mount: Mapping[str, Any],
        environment: Mapping[str, str],
    ) -> Mount:
        made = known.made.get(mount["name"]) if known is not None else None
        if known is None or made is None:
            raise NoSuchMount(f'container {container["name"]}: the volume "{mount["name"]}" is not there yet')
        inner = mount.get("subPath") or subpath.expand(mount.get("subPathExpr") or "", environment)
        source = made.path
        if inner:
            place = self._subpaths / objects.uid(known.pod) / container["name"] / str(index)
            source = self._bind(known, made.path, inner, place)
        read_only = made.read_only or bool(mount.get("readOnly"))
        return Mount(
            source=str(source),
            target=str(Path("/", mount["mountPath"])),
            read_only=read_only,
            recursive_read_only=read_only and mount.get("recursiveReadOnly") in ("Enabled", "IfPossible"),
            propagation=mount.get("mountPropagation") or "None",
        )

    def _bind(self, known: _PodVolumes, volume: Path, inner: str, place: Path) -> Path:
        """What the name inside the volume stands for now, at a place of ours: it cannot be swapped any more."""
        try:
            opened = subpath.open_inside(volume, inner)
            try:
                self._unbind(known, place)
                place.parent.mkdir(parents=True, exist_ok=True)
                if stat.S_ISDIR(os.fstat(opened).st_mode):
                    place.mkdir()
                else:
                    place.touch()
                self._mounter.bind(opened, place)
                known.bound.add(place)
            finally:
                os.close(opened)
        except OSError as error:
            raise NoSuchMount(f"subPath {inner!r}: {error.filename or place}: {error.strerror}") from error
        return place

    def _unbind(self, known: _PodVolumes, place: Path) -> None:
        """The last run of the container may have left it. Never more than the mount point itself is removed."""
        if place in known.bound:
            self._mounter.unmount(place)
            known.bound.discard(place)
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink(missing_ok=True)

    # removing

    async def remove(self, uid: str) -> None:
        """Everything of the pod; the data of claims and host paths stays. Raises VolumeNotReady."""
        known = self._pods.get(uid)
        if known is not None:
            async with known.lock:
                await self._upkeep.drop(uid)
                try:
                    self._unmount(known)
                except OSError as error:
                    raise VolumeNotReady(f"cannot unmount {error.filename}: {error.strerror}") from error
                known.made.clear()
            self._pods.pop(uid, None)
        await asyncio.to_thread(self._delete, uid)

    def _unmount(self, known: _PodVolumes) -> None:
        for place in list(known.bound):
            self._unbind(known, place)
        while known.memory:
            self._mounter.unmount(known.memory[-1])
            known.memory.pop()

    def _delete(self, uid: str) -> None:
        for directory in (self._pods_directory / uid / "volumes", self._memory_directory / uid):
            shutil.rmtree(directory, ignore_errors=True)
        for place in sorted((self._subpaths / uid).glob("*"), reverse=True):
            with contextlib.suppress(OSError):
                place.rmdir()
        with contextlib.suppress(OSError):
            (self._subpaths / uid).rmdir()

    async def run(self) -> None:
        """Live updates, until cancelled."""
        self._sweep()
        await self._upkeep.run()

    def _sweep(self) -> None:
        """Mount points of an earlier start, whose mounts went with its namespaces.

        They alone are looked at, never what lies in them; what is mounted now cannot be removed.
        """
        for pattern in ("*/*/*", "*/*", "*"):
            for place in list(self._subpaths.glob(pattern)):
                with contextlib.suppress(OSError):
                    if place.is_dir():
                        place.rmdir()
                    else:
                        place.unlink()
