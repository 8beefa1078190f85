"""One embedded cluster in one process: store, API server, controllers, scheduler and node, wired together.

`Cluster.start` returns when `/readyz` answers ok; `stop` leaves the data directory ready for the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from seatrial.base.clock import Clock, SystemClock
from seatrial.base.errors import Terminal
from seatrial.base.tasks import TaskGroup
from seatrial.cluster import bootstrap, controllers, pki
from seatrial.cluster.apiserver import metrics, strategy
from seatrial.cluster.apiserver.allocation import Allocator
from seatrial.cluster.apiserver.api import Api
from seatrial.cluster.apiserver.app import App
from seatrial.cluster.apiserver.auth.authenticate import Authenticator
from seatrial.cluster.apiserver.auth.authorize import Authorizer
from seatrial.cluster.apiserver.auth.tokens import TokenIssuer
from seatrial.cluster.apiserver.auth.user import User, loopback
from seatrial.cluster.apiserver.catalog import Catalog
from seatrial.cluster.apiserver.core import Core
from seatrial.cluster.apiserver.http import Listener, listener, open_socket
from seatrial.cluster.apiserver.inprocess import InProcessTransport
from seatrial.cluster.apiserver.node import Node
from seatrial.cluster.apiserver.openapi import OpenAPI
from seatrial.cluster.apiserver.roles import StoredRoles
from seatrial.cluster.controllers import persistentvolume, rootca
from seatrial.cluster.ingress import manifests as ingress
from seatrial.cluster.node import simulated
from seatrial.cluster.node.volumes import reclaimer
from seatrial.cluster.scheduler import scheduler
from seatrial.cluster.store.errors import StoreFailed
from seatrial.cluster.store.store import Store
from seatrial.kube.client.client import Client
from seatrial.kube.control.context import ControlContext
from seatrial.kube.control.events import EventRecorder
from seatrial.kube.control.informer import InformerFactory

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

    from seatrial.cluster.node.simulated import Part

log = logging.getLogger(__name__)

ADMIN = "kubernetes-admin"
ADMIN_GROUP = "system:masters"
_SERVING_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "::1",
    "10.96.0.1",
)
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses to listen on that are no addresses to call."""
_GC_THRESHOLDS = (50_000, 50, 100)
"""Objects live long here: Python's cycle collector would walk the whole store again and again for nothing."""


class AddressTaken(Terminal):
    reason = "AddressTaken"


@dataclass(frozen=True, slots=True)
class Options:
    directory: Path
    """Keys and, unless `in_memory`, the database are kept here."""
    host: str = "127.0.0.1"
    port: int = 0
    in_memory: bool = False
    pod_start_seconds: float = 0.0
    """How long a simulated pod takes to become ready."""
    node_socket: Path | None = None
    """Where a node with real pods listens; None: every pod is simulated."""


class Cluster:
    def __init__(self, options: Options, *, clock: Clock | None = None, tokens: Mapping[str, User] | None = None):
        self.options = options
        self.clock = clock or SystemClock()
        self._static_tokens = tokens or {}
        self._tasks = TaskGroup(self._crashed)
        self._serving = TaskGroup(self._crashed)
        self._gc_thresholds = gc.get_threshold()
        self._failed: asyncio.Future[None] | None = None

    @property
    def url(self) -> str:
        host = self._reached_by
        return f"https://[{host}]:{self.port}" if ":" in host else f"https://{host}:{self.port}"

    @property
    def _reached_by(self) -> str:
        """The address clients on this machine use."""
        return _ANY.get(self.options.host, self.options.host)

    async def start(self) -> None:
        """Raises Terminal errors that say what is wrong with the directory, the database or the port."""
        self._failed = asyncio.get_running_loop().create_future()
        self._socket = self._open_socket()
        try:
            self.port: int = self._socket.getsockname()[1]
            self.authority = pki.Authority.load_or_create(self.options.directory / "pki", clock=self.clock)
            self.authority.serving([*_SERVING_NAMES, *_other_host(self.options.host)])
            path = None if self.options.in_memory else self.options.directory / "cluster.db"
            self.store = Store.open(path, clock=self.clock)
        except BaseException:
            self._socket.close()
            raise
        self._build()
        self._tasks.start("store failure", self._fail_with_store())
        await self._serve()
        bootstrapping = self.client("system:apiserver", manager="kube-apiserver")
        await bootstrap.populate(bootstrapping, self._reached_by, self.port)
        if self.options.node_socket is not None:
            await ingress.publish(bootstrapping)
        await self._run_control_plane()
        self.api.is_ready = True
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)

    def _open_socket(self) -> socket.socket:
        try:
            return open_socket(self.options.host, self.options.port)
        except OSError as error:
            raise AddressTaken(
                f"cannot listen on {self.options.host}:{self.options.port}: {error.strerror}. "
                "Stop what uses it, or choose another port with --api-port (0 picks a free one)"
            ) from error

    def _build(self) -> None:
        node = Node(self.options.node_socket) if self.options.node_socket is not None else None
        catalog = Catalog(metrics.RESOURCES if node is not None else ())
        roles = StoredRoles(self.store)
        issuer = TokenIssuer(self.authority.service_account_key, clock=self.clock)
        authenticator = Authenticator(
            static_tokens=self._static_tokens,
            service_accounts=issuer,
            service_account_lookup=lambda namespace, name: self.core.object("serviceaccounts", namespace, name),
            pod_lookup=lambda namespace, name: self.core.object("pods", namespace, name),
            secret_lookup=lambda namespace, name: self.core.object("secrets", namespace, name),
            node_lookup=lambda name: self.core.object("nodes", "", name),
            clock=self.clock,
        )
        allocator = Allocator()
        self.core = Core(
            store=self.store,
            catalog=catalog,
            clock=self.clock,
            allocator=allocator,
            roles=roles,
            authorizer=Authorizer(roles),
            authenticator=authenticator,
            tokens=issuer,
            node=node,
        )
        openapi = OpenAPI(catalog)
        catalog.serve(entry.object for entry in self.store.list(strategy.DEFINITIONS))
        for entry in self.store.list("services"):
            allocator.hold(entry.object)
        self.api = Api(self.core, openapi)
        self.app = App(self.api, authenticator)

    async def _serve(self) -> None:
        self._listener: Listener = listener(self.app, self.authority, self.clock)
        self._serving.start("listener", self._listener.serve(sockets=[self._socket]))
        while not self._listener.started:
            if self._failed is not None and self._failed.done():
                self._failed.result()
            if self._listener.should_exit:
                raise Terminal("the HTTPS listener ended while starting: see the log")
            await self.clock.sleep(0.001)

    async def _run_control_plane(self) -> None:
        """Controllers, scheduler and node: clients of the API like any other, without the socket."""
        informers = InformerFactory(self.client("system:kube-controller-manager"), self.clock, self._tasks)
        recorder = EventRecorder(self.client("system:kube-controller-manager"), self.clock, "seatrial")
        context = ControlContext(
            client=self.client("system:kube-controller-manager"),
            informers=informers,
            clock=self.clock,
            recorder=recorder,
        )
        parts: list[Part] = [build(context) for build in controllers.BUILDERS]
        parts.append(rootca.build(context, self.authority.ca_pem.decode()))
        parts += persistentvolume.build(context, (self.options.directory / "volumes").absolute())
        parts.append(scheduler.build(context))
        own_node = self.options.node_socket is None
        if own_node:  # else the node with real pods does it, which has the data
            parts.append(reclaimer.build(context.client, informers, self.clock, None))
        parts += simulated.build(context, start_seconds=self.options.pod_start_seconds, registers=own_node)
        informers.start()
        self._tasks.start("events", recorder.run())
        for part in parts:
            self._tasks.start(part.name, part.run())
        await informers.wait_synced()

    def client(self, user: str, *, manager: str = "") -> Client:
        """A client that acts as a member of system:masters of this name."""
        manager = manager or user.removeprefix("system:")
        return Client(InProcessTransport(self.api, loopback(user)), field_manager=manager)

    def _crashed(self, name: str, error: BaseException) -> None:
        """Half a cluster is worse than none: whoever runs it restarts the whole."""
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(Terminal(f"{name} ended: {error}"))

    async def _fail_with_store(self) -> None:
        cause = await self.store.until_failed()
        # What follows from writes that the disk refused goes with them: rights, and kinds.
        self.core.roles.touched()
        self.core.catalog.serve(entry.object for entry in self.store.list(strategy.DEFINITIONS))
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(StoreFailed(cause))

    async def wait(self) -> None:
        """Return never; raise when a part of the cluster has ended by an error, or the store takes no more writes.

        With a failed store reads go on: the caller decides when to stop.
        """
        if self._failed is not None:
            await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Stop the parts, write everything, end watches and connections."""
        await self._tasks.close()
        if hasattr(self, "store"):
            with contextlib.suppress(StoreFailed):  # who wrote was told
                await self.store.settled(self.store.revision)
            self.store.close()
        if hasattr(self, "_listener"):
            await self._listener.end()
        await self._serving.close()
        if hasattr(self, "_socket"):
            self._socket.close()
        gc.set_threshold(*self._gc_thresholds)
        gc.unfreeze()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()


def _other_host(host: str) -> list[str]:
    return [] if host in (*_SERVING_NAMES, *_ANY) else [host]
