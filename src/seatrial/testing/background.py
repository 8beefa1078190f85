"""A whole cluster in a thread of the current process: in memory, on a free port, gone when it is closed."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal
from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.server import ADMIN, ADMIN_GROUP, Cluster, Options
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.connection import Connection

if TYPE_CHECKING:
    from pathlib import Path

_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ClusterHandle:
    """What a test needs to reach the cluster as its administrator."""

    url: str
    kubeconfig: Path
    token: str
    ca_file: Path


class BackgroundCluster:
    """`with BackgroundCluster(directory) as handle`: usable from any client, in this process or another.

    Keys and the kubeconfig are written to `directory`.
    """

    def __init__(self, directory: Path, *, pod_start_seconds: float = 0.0) -> None:
        self._options = Options(directory, in_memory=True, pod_start_seconds=pod_start_seconds)
        self._token = secrets.token_urlsafe(32)
        self._ready: Future[ClusterHandle] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="seatrial-cluster", daemon=True)

    def __enter__(self) -> ClusterHandle:
        self._thread.start()
        try:
            return self._ready.result()
        except BaseException:
            self._thread.join(_STOP_SECONDS)
            raise

    def __exit__(self, *_exc: object) -> None:
        """Raises what ended the cluster, if something did."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: it ended by itself
                self._loop.call_soon_threadsafe(self._told.set)
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            raise Terminal(f"the cluster in {self._options.directory} does not stop within {_STOP_SECONDS:.0f} s")
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        import uvloop

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._run())
        except BaseException as error:
            if self._ready.done():
                self._failure = error
            else:
                self._ready.set_exception(error)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        admin = User(ADMIN, (ADMIN_GROUP,))
        async with Cluster(self._options, tokens={self._token: admin}) as cluster:
            self._ready.set_result(self._describe(cluster))
            failed, waiting = asyncio.ensure_future(cluster.wait()), asyncio.ensure_future(self._told.wait())
            await asyncio.wait({failed, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if failed.done():
                failed.result()
            failed.cancel()

    def _describe(self, cluster: Cluster) -> ClusterHandle:
        path = self._options.directory / "kubeconfig"
        ca = cluster.authority.ca_pem.decode()
        kubeconfig.write(path, Connection(server=cluster.url, ca=ca, token=self._token))
        return ClusterHandle(cluster.url, path, self._token, cluster.authority.ca_file)
