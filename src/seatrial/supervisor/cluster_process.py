"""The cluster's own process: `python -m seatrial.supervisor.cluster_process OPTIONS-AS-JSON`.

It tells the supervisor, on the descriptor it was given, that the cluster is ready or why it is not, and stops when
its standard input ends: so it never outlives a supervisor that was killed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

import orjson

from seatrial.base import log
from seatrial.base.clock import Clock, SystemClock
from seatrial.base.errors import SeatrialError
from seatrial.base.files import write_atomic
from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.server import ADMIN, ADMIN_GROUP, Cluster, Options
from seatrial.cluster.store.errors import StoreLocked
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.connection import Connection
from seatrial.supervisor.instance import Instance

_LOCK_SECONDS = 5.0
"""How long the process of a killed supervisor may take to let go of the database."""
_CERTIFICATE_DAYS = 365
_RENEW_SECONDS = 300 * 86400.0


def main() -> int:
    import uvloop

    options: dict[str, Any] = orjson.loads(sys.argv[1])
    log.configure(options.get("log_level", "INFO"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(options))


async def _run(options: dict[str, Any]) -> int:
    notify = os.fdopen(options["notify"], "wb", buffering=0)
    clock = SystemClock()
    instance = Instance(Path(options["directory"]))
    try:
        token = _admin_token(instance)
        cluster = await _start(instance, options, token, clock)
    except SeatrialError as error:
        notify.write(orjson.dumps({"error": error.message, "reason": error.reason}) + b"\n")
        return 1
    try:
        _write_kubeconfig(instance, cluster, clock)
        notify.write(orjson.dumps({"url": cluster.url, "port": cluster.port}) + b"\n")
        notify.close()
        await _until_told(cluster)
    finally:
        await cluster.stop()
    return 0


async def _start(instance: Instance, options: dict[str, Any], token: str, clock: Clock) -> Cluster:
    """Start, waiting a little for a dying predecessor to let go of the database."""
    deadline = clock.monotonic() + _LOCK_SECONDS
    admin = User(ADMIN, (ADMIN_GROUP,))
    while True:
        cluster = Cluster(
            Options(
                directory=instance.directory,
                host=options["host"],
                port=options["port"],
                pod_start_seconds=options["pod_start_seconds"],
            ),
            clock=clock,
            tokens={token: admin},
        )
        try:
            await cluster.start()
        except StoreLocked:
            if clock.monotonic() > deadline:
                raise
            await clock.sleep(0.05)
        except BaseException:
            await cluster.stop()
            raise
        else:
            return cluster


async def _until_told(cluster: Cluster) -> None:
    """Wait for SIGTERM, SIGINT, the end of standard input, or a part of the cluster to fail."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_reader(sys.stdin.fileno(), lambda: told.set() if not os.read(sys.stdin.fileno(), 1) else None)
    failed = asyncio.ensure_future(cluster.wait())
    waiting = asyncio.ensure_future(told.wait())
    await asyncio.wait({failed, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if failed.done():
        failed.result()
    failed.cancel()


def _admin_token(instance: Instance) -> str:
    try:
        token = instance.admin_token.read_text().strip()
    except FileNotFoundError:
        token = ""
    if not token:
        token = secrets.token_urlsafe(32)
        write_atomic(instance.admin_token, token + "\n", mode=0o600)
    return token


def _write_kubeconfig(instance: Instance, cluster: Cluster, clock: Clock) -> None:
    """Write the administrator's kubeconfig unless the present one is for this address and still good."""
    if _is_current(instance.kubeconfig, cluster, clock):
        return
    certificate, key = cluster.authority.client_certificate(ADMIN, [ADMIN_GROUP], _CERTIFICATE_DAYS)
    connection = Connection(
        server=cluster.url, ca=cluster.authority.ca_pem.decode(), certificate=certificate.decode(), key=key.decode()
    )
    kubeconfig.write(instance.kubeconfig, connection)


def _is_current(path: Path, cluster: Cluster, clock: Clock) -> bool:
    import base64

    try:
        text = path.read_text()
        age = clock.time() - path.stat().st_mtime
    except OSError:
        return False
    ca = base64.b64encode(cluster.authority.ca_pem).decode()
    return age < _RENEW_SECONDS and ca in text and cluster.url in text


if __name__ == "__main__":
    sys.exit(main())
