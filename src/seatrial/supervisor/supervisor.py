"""Runs an instance: starts its parts in order, keeps them running, writes down how they are, stops them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import SystemClock, rfc3339
from seatrial.supervisor import registry_process
from seatrial.supervisor.component import Component, StartFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.base.clock import Clock
    from seatrial.supervisor.instance import Instance

log = logging.getLogger(__name__)

_DEFAULT_PORTS = {"api": 6443, "git": 3000, "registry": 5000}


@dataclass(frozen=True, slots=True)
class Settings:
    host: str = "127.0.0.1"
    port: int | None = None
    """None: the port of the last start, else 6443 if it is free, else a free one. 0: a free one."""
    runtime: str = "simulated"
    """`oci` or `simulated`."""
    http_port: int | None = None
    https_port: int | None = None
    """Of the ingress proxy; as `port`, with 8080 and 8443."""
    git_port: int | None = None
    registry_port: int | None = None
    """As `port`, with 3000 and 5000."""
    cache: str = ""
    """A directory for what outlives instances: images' layers, environments of workflows."""
    pod_start_seconds: float = 0.0
    log_level: str = "INFO"


class Supervisor:
    def __init__(
        self, instance: Instance, settings: Settings, *, clock: Clock | None = None, logs_to: str = ""
    ) -> None:
        """`logs_to` names the log file, if the log goes to one."""
        self._instance = instance
        self._settings = settings
        self._clock = clock or SystemClock()
        self._started = self._clock.time()
        self._logs_to = logs_to
        self._cluster = Component(
            "cluster",
            "seatrial.supervisor.cluster_process",
            {
                "directory": str(instance.directory),
                "host": settings.host,
                "port": _port(instance, settings, "api", settings.port),
                "pod_start_seconds": settings.pod_start_seconds,
                "runtime": settings.runtime,
                "log_level": settings.log_level,
            },
            clock=self._clock,
            changed=self._write_state,
        )
        self._clients: list[Component] = []
        """In the order in which they are shown and stopped."""
        self._held: list[socket.socket] = []
        self._registry = self._registry_part()
        self._node = self._node_part()
        self._delivery = self._client("delivery", "seatrial.supervisor.delivery_process", **self._delivery_options())

    def _registry_part(self) -> Component | None:
        """None where the program is missing: whoever needs a registry then hears of it."""
        if registry_process.find(os.environ.get("PATH", "")) is None:
            return None
        port = self._reserve("registry", self._settings.registry_port)
        return self._client("registry", "seatrial.supervisor.registry_process", host=self._settings.host, port=port)

    def _node_part(self) -> Component | None:
        settings = self._settings
        if settings.runtime != "oci":
            return None
        entrances = {"host": settings.host, "http_port": settings.http_port, "https_port": settings.https_port}
        return self._client("node", "seatrial.supervisor.node_process", registry=self._registry_address(), **entrances)

    def _delivery_options(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "host": settings.host,
            "port": self._reserve("git", settings.git_port),
            "registry": self._registry_address(),
            "cache": settings.cache or str(Path.home() / ".cache" / "seatrial"),
        }

    def _reserve(self, name: str, wanted: int | None) -> int:
        """A port that is known before its child listens there: others are told of it, and other instances see it."""
        port = _port(self._instance, self._settings, name, wanted)
        held = _reserved(self._settings.host, port)
        self._held.append(held)
        found: int = held.getsockname()[1]
        return found or port

    def _registry_address(self) -> str:
        return f"{self._settings.host}:{self._registry.options['port']}" if self._registry is not None else ""

    def _client(self, name: str, module: str, **more: Any) -> Component:
        """A part that works through the API: it is started when the API answers, and outlives its restarts."""
        options = {"directory": str(self._instance.directory), "log_level": self._settings.log_level, **more}
        part = Component(name, module, options, clock=self._clock, changed=self._write_state)
        self._clients.append(part)
        return part

    async def run(self, ready: Callable[[dict[str, Any]], None]) -> None:
        """Start everything, call `ready` with the state, work until told to stop by a signal. Raises StartFailed."""
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        working = asyncio.create_task(self._work(ready))
        waiting = asyncio.create_task(told.wait())
        try:
            await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            working.cancel()
            waiting.cancel()
            await asyncio.gather(working, waiting, return_exceptions=True)
            await asyncio.gather(*(client.stop() for client in self._clients))
            await self._cluster.stop()
            for held in self._held:
                held.close()
            self._instance.forget_state()

    async def _work(self, ready: Callable[[dict[str, Any]], None]) -> None:
        early = [asyncio.create_task(self._node.run())] if self._node is not None else []  # it waits for the API itself
        try:
            await self._start()
            try:
                self._instance.remember_port("api", self._cluster.ready["port"])
            except OSError as error:
                raise self._instance.unusable(error) from error
            ready(self.state())
            later = [part.run() for part in (self._registry, self._delivery) if part is not None]
            await asyncio.gather(*early, self._cluster.keep_running(), *later)
        finally:
            for task in early:
                task.cancel()
            await asyncio.gather(*early, return_exceptions=True)

    async def _start(self) -> None:
        """A default port that another instance took in this very moment is exchanged for a free one."""
        try:
            await self._cluster.start()
        except StartFailed as error:
            is_chosen = self._settings.port is not None or self._instance.last_port("api") is not None
            if error.reason != "AddressTaken" or is_chosen:
                raise
            self._cluster.options["port"] = 0
            await self._cluster.start()

    def state(self) -> dict[str, Any]:
        """What `seatrial status -o json` shows."""
        registry, git = self._registry_address(), self._delivery.ready.get("git")
        return {
            "pid": os.getpid(),
            "started": rfc3339(self._started),
            "dataDirectory": str(self._instance.directory),
            "runtime": self._settings.runtime,
            "kubeconfig": str(self._instance.kubeconfig),
            "adminTokenFile": str(self._instance.admin_token),
            "log": self._logs_to,
            "urls": self._urls(),
            "git": {"url": git, "user": "admin", "tokenFile": str(self._instance.git_token)} if git else {},
            "registry": _registry(registry, self._instance.registry_auth) if registry else {},
            "components": {part.name: part.to_json() for part in (self._cluster, *self._clients)},
        }

    def _urls(self) -> dict[str, str]:
        urls = {"api": self._cluster.ready.get("url", "")}
        if webhook := self._delivery.ready.get("url"):
            urls["webhook"] = webhook
        if git := self._delivery.ready.get("git"):
            urls["git"] = git
        if self._registry is not None and (registry := self._registry.ready.get("url")):
            urls["registry"] = registry
        if self._node is not None:
            urls |= {name: url for name in ("http", "https") if (url := self._node.ready.get(name))}
        return urls

    def _write_state(self) -> None:
        try:
            for name, part in (("git", self._delivery), ("registry", self._registry)):
                if part is not None and (port := part.ready.get("port")):
                    self._instance.remember_port(name, port)
            self._instance.write_state(self.state())
        except OSError as error:
            log.warning("cannot write the state file", extra={"why": error.strerror})


def _registry(address: str, auth: Path) -> dict[str, str]:
    return {"url": f"http://{address}", "authFile": str(auth)}


def _port(instance: Instance, settings: Settings, name: str, wanted: int | None) -> int:
    if wanted is not None:
        return wanted
    default = _DEFAULT_PORTS[name]
    return instance.last_port(name) or (default if _is_free(settings.host, default) else 0)


def _is_free(host: str, port: int) -> bool:
    """Nobody listens there, and nobody has reserved it."""
    with socket.socket(_family(host)) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _reserved(host: str, port: int) -> socket.socket:
    """A socket that holds a port (0: a free one) for a child: bound as it will bind, but not listening."""
    made = socket.socket(_family(host))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.suppress(OSError):  # taken: the child says so
        made.bind((host, port))
    return made


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
