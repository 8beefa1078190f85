"""`seatrial controller`: the delivery plane against any cluster, from outside or from a pod in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seatrial.base.clock import SystemClock
from seatrial.base.errors import Terminal
from seatrial.cli.access import Access, access

if TYPE_CHECKING:
    from seatrial.kube.client.connection import Connection

_LEASE = "seatrial-controller"
_SERVICE_HOST, _SERVICE_PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


@click.command()
@access
@click.option("-n", "--namespace", default="argocd", show_default=True, help="Where Applications and settings are.")
@click.option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.cache/seatrial/controller"),
    show_default=True,
    help="Mirrors of repositories and rendered manifests; may be lost.",
)
@click.option("--poll", type=click.FloatRange(1), metavar="SECONDS",
              help="Time between two looks at a repository (default: as argocd-cm says, else 180).")  # fmt: skip
@click.option("--webhook-address", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT",
              help="Where POST /api/webhook is served.")  # fmt: skip
@click.option(
    "--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO", show_default=True
)
def controller(
    access: Access, namespace: str, cache_dir: Path, poll: float | None, webhook_address: str, log_level: str
) -> None:
    """Run the GitOps engine against the current kubeconfig, or in the cluster whose pod this is.

    Several may run: one leads, by a Lease, and another takes over when it is gone.
    """
    from seatrial.base import log

    log.configure(log_level)
    host, _, port = webhook_address.rpartition(":")
    if not host or not port.isdigit():
        raise click.UsageError(f"--webhook-address {webhook_address!r}: expected HOST:PORT")
    asyncio.run(_run(_connection(access), namespace, cache_dir.expanduser(), poll, host, int(port)))


def _connection(access: Access) -> Connection:
    """In a pod its service account, unless a kubeconfig is named."""
    from seatrial.kube.client import kubeconfig

    named = access.kubeconfig or access.data_dir or os.environ.get("KUBECONFIG")
    if not named and os.environ.get(_SERVICE_HOST):
        return kubeconfig.in_cluster(os.environ[_SERVICE_HOST], os.environ.get(_SERVICE_PORT, "443"))
    return access.connection()


async def _run(
    connection: Connection, namespace: str, directory: Path, poll: float | None, host: str, port: int
) -> None:
    from seatrial.gitops.api import names
    from seatrial.gitops.api.resources import bootstrap
    from seatrial.gitops.engine import Engine, Options
    from seatrial.kube.client.client import Client
    from seatrial.kube.client.http import HttpTransport
    from seatrial.kube.control.leader import LeaderElector, LeadershipLost

    clock = SystemClock()
    client = Client(
        HttpTransport(connection, clock, user_agent="seatrial-controller"), field_manager=names.FIELD_MANAGER
    )
    helm = shutil.which("helm")
    options = Options(
        directory, namespace, period=poll, helm=Path(helm) if helm else None, environment=dict(os.environ),
        webhook_host=host, webhook_port=port,
    )  # fmt: skip
    identity = f"{socket.gethostname()}_{os.getpid()}"
    elector = LeaderElector(client, clock, namespace=namespace, name=_LEASE, identity=identity)

    async def lead() -> None:
        engine = Engine(client, clock, options)
        await engine.run(lambda: click.echo(f"leading; webhooks at {engine.webhook_url}", err=True))

    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    waiting = asyncio.ensure_future(told.wait())
    working: asyncio.Task[None] | None = None
    try:
        await bootstrap(client, namespace)  # the lease's namespace has to be there
        while not told.is_set():
            working = asyncio.create_task(elector.lead(lead))
            await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                try:
                    working.result()
                except LeadershipLost as error:
                    click.echo(f"{error.message}: waiting to lead again", err=True)
                except OSError as error:
                    raise Terminal(f"the webhook cannot listen on {host}:{port}: {error.strerror}") from error
    finally:
        for task in (working, waiting):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await client.close()
