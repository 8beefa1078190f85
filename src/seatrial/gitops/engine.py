"""The GitOps engine in one process: everything wired, for one control namespace of one cluster.

`run` works until it is cancelled. What it knows is in the cluster; its directory holds caches alone.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal
from seatrial.base.tasks import TaskGroup
from seatrial.gitops.api import names, repositoryurl
from seatrial.gitops.api.application import Application
from seatrial.gitops.api.resources import APPLICATIONS, bootstrap
from seatrial.gitops.configuration import Configuration
from seatrial.gitops.controller import ApplicationController
from seatrial.gitops.desired import Desired
from seatrial.gitops.destinations import Destinations
from seatrial.gitops.diff.sandbox import Sandbox
from seatrial.gitops.evaluation import Evaluator
from seatrial.gitops.health.checks import Checks
from seatrial.gitops.health.lua import Scripts
from seatrial.gitops.history.records import Records, Seal
from seatrial.gitops.render.renderer import Renderer
from seatrial.gitops.sources.repositories import Repositories
from seatrial.gitops.webhook import match
from seatrial.gitops.webhook.server import PATH, WebhookServer
from seatrial.kube.control.context import ControlContext
from seatrial.kube.control.events import EventRecorder
from seatrial.kube.control.informer import InformerFactory
from seatrial.kube.model import objects, resources
from seatrial.unseal import keys
from seatrial.unseal.controller import SealedSecretController
from seatrial.unseal.definition import definition
from seatrial.unseal.sops.decrypt import decrypt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.gitops.api.repositories import Credential
    from seatrial.gitops.sources.trust import Trust
    from seatrial.gitops.webhook.push import Push
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

_NEVER = 10 * 365 * 86400.0
_USE_SECONDS = 0.2
"""A thousand new Applications are one change of what is polled."""
_PATIENCE = 2.0
"""An Application waits this long for another cluster to be opened, then comes again."""
_DEFINITIONS = resources.for_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")


@dataclass(frozen=True, slots=True)
class Options:
    directory: Path
    """Mirrors and rendered manifests."""
    namespace: str = names.CONTROL_NAMESPACE
    period: float | None = None
    """Seconds between two looks at a repository; None: as `argocd-cm` says (`timeout.reconciliation`)."""
    wave_delay: float = 2.0
    helm: Path | None = None
    """The helm binary, for charts that need what the library cannot do."""
    webhook_host: str = "127.0.0.1"
    webhook_port: int = 0
    """0: a free one; `webhook_url` says which."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What git, and exec plug-ins of cluster credentials, start with."""


class Engine:
    def __init__(self, client: Client, clock: Clock, options: Options) -> None:
        self._client = client
        self._clock = clock
        self._options = options
        self._failed: asyncio.Future[None] | None = None
        self._sources_changed = asyncio.Event()
        self.webhook_url = ""

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Raises StatusError, TransportError if the cluster cannot be prepared, Terminal if a part of this ends."""
        self._failed = asyncio.get_running_loop().create_future()
        await bootstrap(self._client, self._options.namespace)
        await self._client.apply(_DEFINITIONS, definition(), force=True, field_manager="seatrial-install")
        with Sandbox() as sandbox:
            tasks = TaskGroup(self._crashed)
            destinations = Destinations(
                self._client,
                self._clock,
                tasks,
                manager=names.FIELD_MANAGER,
                sandbox=sandbox,
                on_change=self._changed,
                patience=_PATIENCE,
            )
            try:
                await self._work(tasks, sandbox, destinations, ready)
            finally:
                await tasks.close()
                await destinations.close()

    async def _work(
        self, tasks: TaskGroup, sandbox: Sandbox, destinations: Destinations, ready: Callable[[], None]
    ) -> None:
        options, clock = self._options, self._clock
        self._sandbox = sandbox
        informers = InformerFactory(self._client, clock, tasks)
        recorder = EventRecorder(self._client, clock, "argocd-application-controller")
        self.configuration = Configuration(informers, options.namespace, self._configured, options.environment)
        self.repositories = Repositories(
            options.directory / "repositories",
            clock,
            self._credential,
            trust=self._trust,
            environment=options.environment,
            on_change=self._moved,
            period=self._period(),
        )
        self.renderer = Renderer(
            options.directory / "rendered",
            clock,
            helm_binary=options.helm,
            decrypt=self._decrypt,
            dependencies=self.repositories.dependencies,
        )
        self._applications = informers.get(APPLICATIONS, options.namespace)
        evaluator = Evaluator(self.configuration, Desired(self.repositories, self.renderer), destinations, sandbox)
        context = ControlContext(client=self._client, informers=informers, clock=clock, recorder=recorder)
        sealed = SealedSecretController(context, keys.NAMESPACE)
        self._controller = ApplicationController(
            self._client,
            clock,
            self._applications,
            evaluator,
            Records(self._client, Seal(sealed.encrypt, sealed.decrypt)),
            recorder,
            namespace=options.namespace,
            checks=self._checks(),
            wave_delay=options.wave_delay,
        )
        informers.start()
        await self.configuration.wait_synced()
        await self._applications.wait_synced()
        self._applications.on_change(self._noted)
        self._tasks = tasks
        webhook = WebhookServer(
            self.pushed,
            lambda: self.configuration.webhook_secrets,
            host=options.webhook_host,
            port=options.webhook_port,
        )
        await webhook.start()
        self.webhook_url = f"http://{options.webhook_host}:{webhook.port}{PATH}"
        tasks.start("events", recorder.run())
        tasks.start("sources in use", self._use())
        tasks.start("repositories", self.repositories.run())
        tasks.start("sealed secrets", sealed.run())
        tasks.start("applications", self._controller.controller.run())
        self._configured()
        ready()
        try:
            assert self._failed is not None
            await self._failed
        finally:
            await webhook.close()
            await self.renderer.close()

    def _crashed(self, name: str, error: BaseException) -> None:
        """Whoever runs this starts it again: half an engine would look like a whole one."""
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(Terminal(f"{name} ended: {error}"))

    def _checks(self) -> Checks:
        return Checks(self.configuration.settings, Scripts(self._sandbox))

    # what changes

    def _period(self) -> float:
        if self._options.period is not None:
            return self._options.period
        return self.configuration.settings.reconciliation_seconds or _NEVER

    def _configured(self) -> None:
        if hasattr(self, "_controller"):
            self.repositories.every(self._period())
            self._controller.use(self._checks())

    def _changed(self, instance: str, _obj: Object) -> None:
        self._controller.touch(instance)

    def _moved(self, url: str, _refs: Mapping[str, str]) -> None:
        for obj in self._applications.list():
            app = Application(obj)
            if any(repositoryurl.same(source.repo_url, url) for source in app.sources):
                self._controller.controller.enqueue((app.namespace, app.name))

    def pushed(self, push: Push) -> None:
        """A server says that a ref moved: ask the repositories now; what moved comes by `_moved`."""
        sources = (source for obj in self._applications.list() for source in Application(obj).sources)
        for url in {source.repo_url for source in sources if match.concerns(push, source)}:
            self._tasks.start("refresh after a push", self.repositories.refresh(url))

    def _noted(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or old.get("spec") != new.get("spec"):
            self._sources_changed.set()

    async def _use(self) -> None:
        """Exactly the repositories of the Applications there are get polled."""
        while True:
            await self._sources_changed.wait()
            self._sources_changed.clear()
            self.repositories.use(
                source
                for obj in self._applications.list()
                if not objects.is_deleting(obj)
                for source in Application(obj).sources
            )
            await self._clock.sleep(_USE_SECONDS)

    # what others ask for

    def _credential(self, url: str) -> Credential | None:
        return self.configuration.repositories.find(url)

    def _trust(self) -> Trust:
        return self.configuration.trust

    def _decrypt(self, data: bytes, path: str) -> bytes:
        return decrypt(data, path, self.configuration.age_identities)
