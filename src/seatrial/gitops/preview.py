"""A Preview: what an Application would be made of and what that would change, worked out here and now.

For whoever asks once (the command line, a page), with their own rights: the same sources, rendering and comparison as
the controller's, without its watches and polls. Objects that are live are read one by one, and nothing is changed.

open -> at (revisions) -> rendered -> targets -> compared -> text
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.errors import Terminal
from seatrial.base.tasks import TaskGroup
from seatrial.gitops import plaintext
from seatrial.gitops.api import names
from seatrial.gitops.api.source import Source
from seatrial.gitops.configuration import Configuration
from seatrial.gitops.desired import Desired
from seatrial.gitops.destinations import Destinations
from seatrial.gitops.diff import application as comparison
from seatrial.gitops.diff import text
from seatrial.gitops.diff.compare import SYNCED, UNKNOWN, Comparer
from seatrial.gitops.diff.mask import masked
from seatrial.gitops.diff.sandbox import Sandbox
from seatrial.gitops.evaluation import AUTOSCALER, Evaluator
from seatrial.gitops.glance import Glance
from seatrial.gitops.history import entries
from seatrial.gitops.render.renderer import Renderer
from seatrial.gitops.sources.local import REVISION, LocalFiles, root_of
from seatrial.gitops.sources.repositories import Repositories
from seatrial.gitops.status import compared_to
from seatrial.kube.client.discovery import UnknownResource
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError
from seatrial.unseal.sops.decrypt import decrypt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence

    from seatrial.base.clock import Clock
    from seatrial.gitops.api.application import Application
    from seatrial.gitops.desired import Rendered
    from seatrial.gitops.destinations import Destination
    from seatrial.gitops.diff.compare import Difference
    from seatrial.gitops.evaluation import Targets
    from seatrial.gitops.sources.files import Files
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object, Ref

_PARALLEL = 20
"""Live objects that are read at a time."""


class InvalidSpec(Terminal):
    reason = "InvalidSpecError"


@dataclass(frozen=True, slots=True)
class Options:
    directory: Path
    """Mirrors of repositories. What is rendered is kept nowhere."""
    namespace: str = names.CONTROL_NAMESPACE
    helm: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Local(NamedTuple):
    """A directory in place of what the source of an Application has in Git."""

    path: Path
    root: Path | None = None
    """How far up manifests may refer; None: the working copy the path is in."""


class Compared(NamedTuple):
    ref: Ref
    difference: Difference
    is_pruned: bool
    """In no manifest: a sync with pruning deletes it."""


class Changes(NamedTuple):
    resources: tuple[Compared, ...]
    """All that differ, or of which nothing is known."""
    secrets: frozenset[str] = frozenset()
    """What was decrypted for the manifests."""

    @property
    def text(self) -> str:
        """Secrets are masked, and what was decrypted is struck out."""
        found = text.text_diff(each.difference for each in self.resources if each.difference.state != UNKNOWN)
        return plaintext.struck(found, self.secrets)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Why something could not be compared."""
        found = (each.difference for each in self.resources)
        messages = (plaintext.struck(each.message, self.secrets) for each in found if each.state == UNKNOWN)
        return tuple(dict.fromkeys(messages))


class _Sources(Repositories):
    """Repositories in which a directory stands for one source."""

    local: LocalFiles | None = None
    replaced: Source | None = None

    async def resolve(self, source: Source, *, force: bool = False) -> str:
        if self.local is not None and source is self.replaced:
            return REVISION
        return await super().resolve(source, force=force)

    async def open(self, source: Source, revision: str) -> Files:
        if self.local is not None and source is self.replaced:
            return self.local
        return await super().open(source, revision)


class Preview:
    """Made by `opened`."""

    def __init__(
        self, configuration: Configuration, repositories: _Sources, renderer: Renderer, destinations: Destinations,
        sandbox: Sandbox, clock: Clock, namespace: str,
    ) -> None:  # fmt: skip
        self.configuration = configuration
        self.repositories = repositories
        self._desired = Desired(repositories, renderer)
        self._evaluator = Evaluator(configuration, self._desired, destinations, sandbox)
        self._sandbox = sandbox
        self._clock = clock
        self._namespace = namespace

    # manifests

    async def at(self, app: Application, named: Mapping[int, str] | None = None) -> tuple[str, ...]:
        """The commits that the sources mean now; `named`: another revision for the source at a place (from 0).

        Raises SourceFailed, SourceRefused.
        """
        named = named or {}
        asked = [
            Source.of({**source.spec, "targetRevision": named[place]}) if place in named else source
            for place, source in enumerate(app.sources)
        ]
        return await self._desired.revisions(asked)

    async def current(self, app: Application) -> tuple[str, ...]:
        """Those that the controller compared last, if it was with these sources, else as `at`."""
        sync = app.status.get("sync") or {}
        before, now = sync.get("comparedTo") or {}, compared_to(app)
        same = all(before.get(key) == now.get(key) for key in ("source", "sources"))
        revisions = entries.revisions_of(sync)
        return revisions if same and len(revisions) == len(app.sources) else await self.at(app)

    async def rendered(self, app: Application, revisions: Sequence[str]) -> Rendered:
        """As the files say. Raises InvalidSpec, UnknownDestination, SourceFailed, SourceRefused, RenderFailed."""
        self._check(app)
        destination = await self._evaluator.destination(app)
        return await self._desired.render(app, app.sources, revisions, destination)

    async def rendered_local(self, app: Application, local: Local) -> Rendered:
        """From a directory. Raises Terminal, and what `rendered` does."""
        self._check(app)
        if len(app.sources) != 1:
            raise Terminal(
                f"application '{app.name}' has {len(app.sources)} sources: a directory can stand for the only one, "
                "not for one of several"
            )
        destination = await self._evaluator.destination(app)
        source = self._replace(app.sources[0], local)
        return await self._desired.render(app, (source,), (REVISION,), destination)

    async def targets(self, app: Application, rendered: Rendered) -> Targets:
        """With namespaces and tracking ids, as they would be applied."""
        return await self._evaluator.tracked(app, rendered, await self._evaluator.destination(app))

    def _check(self, app: Application) -> None:
        if wrong := self._evaluator.problems(app, self._namespace):
            raise InvalidSpec("; ".join(wrong))

    def _replace(self, source: Source, local: Local) -> Source:
        path = local.path.resolve()
        root = (local.root or root_of(path)).resolve()
        if not path.is_relative_to(root):
            raise Terminal(f"{path} is not in {root}: --local-repo-root has to be a directory above --local")
        if not path.is_dir():
            raise Terminal(f"{path} is not a directory: expected one with manifests, a chart or a kustomization")
        spec = {key: value for key, value in source.spec.items() if key != "chart"}
        made = Source.of({**spec, "path": path.relative_to(root).as_posix()})
        self.repositories.local, self.repositories.replaced = LocalFiles(root), made
        return made

    # what is there

    async def live(self, app: Application, targets: Sequence[Object] = ()) -> dict[Ref, Object]:
        """What the cluster has of these and of what the Application had before. Raises StatusError."""
        destination = await self._evaluator.destination(app)
        wanted = {objects.ref(target): target.get("apiVersion") or "" for target in targets if objects.name(target)}
        for item in app.status.get("resources") or ():
            api_version = objects.join_api_version(item.get("group") or "", item.get("version") or "")
            ref = objects.Ref(*(item.get(part) or "" for part in ("group", "kind", "namespace", "name")))
            wanted.setdefault(ref, api_version)
        slots = asyncio.Semaphore(_PARALLEL)

        async def read(ref: Ref, api_version: str) -> tuple[Ref, Object | None]:
            async with slots:
                return ref, await _read(destination, ref, api_version)

        found = await asyncio.gather(*(read(*each) for each in wanted.items()))
        return {ref: obj for ref, obj in found if obj is not None}

    async def compared(self, app: Application, targets: Targets) -> Changes:
        """What applying these would change, in their order; then what it would leave to be pruned.

        Raises StatusError for objects that may not be read.
        """
        destination = await self._evaluator.destination(app)
        found = await self.live(app, targets.objects)
        rules = self._evaluator.rules(app, targets.objects, await _autoscalers(destination, found.values()))
        tracked = {ref: obj for ref, obj in found.items() if _instance(obj) == app.instance}
        pairs = comparison.pair(targets.objects, tracked, lambda ref, _version: found.get(ref), app.instance)
        comparer = Comparer(destination.client, destination.live.mapper, self._clock, self._sandbox)
        listed = [each for each in pairs if each.counts and (each.target is not None or each.live is not None)]
        differences = await asyncio.gather(*(comparer.compare(each.target, each.live, rules) for each in listed))
        return Changes(
            tuple(
                Compared(each.ref, difference, each.target is None)
                for each, difference in zip(listed, differences, strict=True)
                if difference.state != SYNCED
            ),
            targets.secrets,
        )


def shown(manifests: Iterable[Object], secrets: Collection[str] = ()) -> list[Object]:
    """For people: Secrets masked, and without what nobody reads; `secrets` are struck out of everything."""
    made = []
    for obj in manifests:
        (copy,) = masked(obj)
        if copy is not None:
            metadata = {key: value for key, value in objects.metadata(copy).items() if key != "managedFields"}
            made.append(plaintext.struck_values({**copy, "metadata": metadata}, secrets))
    return made


@asynccontextmanager
async def opened(client: Client, clock: Clock, options: Options) -> AsyncIterator[Preview]:
    """With the settings, credentials, clusters and keys as they are now. Raises StatusError if they may not be read."""
    glance = Glance(client)
    configuration = Configuration(glance, options.namespace, lambda: None, options.environment)
    await glance.look()
    repositories = _Sources(
        options.directory,
        clock,
        configuration.repositories.find,
        trust=lambda: configuration.trust,
        environment=options.environment,
    )
    with Sandbox() as sandbox, tempfile.TemporaryDirectory(prefix="seatrial-preview-") as scratch:
        renderer = Renderer(
            Path(scratch),
            clock,
            helm_binary=options.helm,
            decrypt=lambda data, path: decrypt(data, path, configuration.age_identities),
            dependencies=repositories.dependencies,
            workers=1,
        )
        tasks = TaskGroup()
        destinations = Destinations(
            client, clock, tasks, manager=names.FIELD_MANAGER, sandbox=sandbox, on_change=lambda *_: None
        )
        try:
            yield Preview(configuration, repositories, renderer, destinations, sandbox, clock, options.namespace)
        finally:
            await renderer.close()
            await repositories.close()
            await tasks.close()
            await destinations.close()


async def _read(destination: Destination, ref: Ref, api_version: str) -> Object | None:
    """None: it is not there, or the cluster serves no such kind."""
    try:
        resource = await destination.live.mapper.for_kind(api_version, ref.kind)
        return await destination.client.get(resource, ref.name, ref.namespace if resource.namespaced else "")
    except UnknownResource:
        return None
    except StatusError as error:
        if error.code != 404:
            raise
        return None


async def _autoscalers(destination: Destination, found: Iterable[Object]) -> list[Object]:
    """Of the namespaces that have something to scale."""
    spaces = {objects.namespace(obj) for obj in found if "replicas" in (obj.get("spec") or {})}
    try:
        resource = await destination.live.mapper.for_kind(*AUTOSCALER)
        lists = await asyncio.gather(*(destination.client.list(resource, space) for space in sorted(spaces)))
    except UnknownResource:
        return []
    except StatusError as error:
        if error.code not in (403, 404):
            raise
        return []
    return [obj for each in lists for obj in each.items]


def _instance(obj: Object) -> str:
    return (objects.annotations(obj).get(names.TRACKING_ID) or "").partition(":")[0]
