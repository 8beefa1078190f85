"""Runs an instance: starts its parts in order, keeps them running, writes down how they are, stops them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import SystemClock, rfc3339
from seatrial.supervisor.component import Component, StartFailed
from seatrial.supervisor.instance import DEFAULT_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.base.clock import Clock
    from seatrial.supervisor.instance import Instance

log = logging.getLogger(__name__)


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
                "port": _port(instance, settings),
                "pod_start_seconds": settings.pod_start_seconds,
                "runtime": settings.runtime,
                "log_level": settings.log_level,
            },
            clock=self._clock,
            changed=self._write_state,
        )
        self._gitops = self._client("gitops", "seatrial.supervisor.delivery_process")
        self._clients = [self._gitops]
        self._node: Component | None = None
        if settings.runtime == "oci":
            entrances = {"host": settings.host, "http_port": settings.http_port, "https_port": settings.https_port}
            self._node = self._client("node", "seatrial.supervisor.node_process", **entrances)
            self._clients.insert(0, self._node)

    def _client(self, name: str, module: str, **more: Any) -> Component:
        """A part that works through the API: it is started when the API answers, and outlives its restarts."""
        options = {"directory": str(self._instance.directory), "log_level": self._settings.log_level, **more}
        return Component(name, module, options, clock=self._clock, changed=self._write_state)

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
            self._instance.forget_state()

    async def _work(self, ready: Callable[[dict[str, Any]], None]) -> None:
        early = [asyncio.create_task(self._node.run())] if self._node is not None else []  # it waits for the API itself
        try:
            await self._start()
            try:
                self._instance.remember_port(self._cluster.ready["port"])
            except OSError as error:
                raise self._instance.unusable(error) from error
            ready(self.state())
            await asyncio.gather(*early, self._cluster.keep_running(), self._gitops.run())
        finally:
            for task in early:
                task.cancel()
            await asyncio.gather(*early, return_exceptions=True)

    async def _start(self) -> None:
        """A default port that another instance took in this very moment is exchanged for a free one."""
        try:
            await self._cluster.start()
        except StartFailed as error:
            is_chosen = self._settings.port is not None or self._instance.last_port() is not None
            if error.reason != "AddressTaken" or is_chosen:
                raise
            self._cluster.options["port"] = 0
            await self._cluster.start()

    def state(self) -> dict[str, Any]:
        """What `seatrial status -o json` shows."""
        return {
            "pid": os.getpid(),
            "started": rfc3339(self._started),
            "dataDirectory": str(self._instance.directory),
            "runtime": self._settings.runtime,
            "kubeconfig": str(self._instance.kubeconfig),
            "adminTokenFile": str(self._instance.admin_token),
            "log": self._logs_to,
            "urls": self._urls(),
            "components": {part.name: part.to_json() for part in (self._cluster, *self._clients)},
        }

    def _urls(self) -> dict[str, str]:
        urls = {"api": self._cluster.ready.get("url", "")}
        if webhook := self._gitops.ready.get("url"):
            urls["webhook"] = webhook
        if self._node is not None:
            urls |= {name: url for name in ("http", "https") if (url := self._node.ready.get(name))}
        return urls

    def _write_state(self) -> None:
        try:
            self._instance.write_state(self.state())
        except OSError as error:
            log.warning("cannot write the state file", extra={"why": error.strerror})


def _port(instance: Instance, settings: Settings) -> int:
    if settings.port is not None:
        return settings.port
    return instance.last_port() or (DEFAULT_PORT if _is_free(settings.host, DEFAULT_PORT) else 0)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
    return True
