"""Which API server a command speaks to, and how: `@access` gives a command its `access` argument.

The first of: `--kubeconfig`; `--data-dir`; KUBECONFIG; SEATRIAL_DATA_DIR; the default instance, if there is one;
~/.kube/config.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from seatrial.base.clock import SystemClock
from seatrial.base.errors import Terminal
from seatrial.gitops.api import names
from seatrial.supervisor.instance import Instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from seatrial.kube.client.client import Client
    from seatrial.kube.client.connection import Connection

_DEFAULT_INSTANCE = "~/.local/share/seatrial"
MANAGER = "seatrial-cli"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Access:
    kubeconfig: str = ""
    data_dir: str = ""
    context: str = ""
    control_namespace: str = names.CONTROL_NAMESPACE

    def connection(self) -> Connection:
        from seatrial.kube.client import kubeconfig

        return kubeconfig.load(self._paths(), self.context, dict(os.environ))

    def run(self, work: Callable[[Client], Awaitable[_T]]) -> _T:
        """The result of `work` with a client that is closed afterwards. Ctrl-C cancels it."""

        async def opened() -> _T:
            client = connect(self.connection())
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(opened())

    def _paths(self) -> str | Path:
        if self.kubeconfig:
            return self.kubeconfig
        if self.data_dir:
            return _of_instance(self.data_dir)
        if os.environ.get("KUBECONFIG"):
            return os.environ["KUBECONFIG"]
        if os.environ.get("SEATRIAL_DATA_DIR"):
            return _of_instance(os.environ["SEATRIAL_DATA_DIR"])
        default = Instance(Path(_DEFAULT_INSTANCE).expanduser()).kubeconfig
        own = Path("~/.kube/config").expanduser()
        if not default.is_file() and not own.is_file():
            raise Terminal("no cluster to speak to: start one with `seatrial up`, or set KUBECONFIG")
        return default if default.is_file() else own


def connect(connection: Connection) -> Client:
    from seatrial.kube.client.client import Client
    from seatrial.kube.client.http import HttpTransport

    return Client(HttpTransport(connection, SystemClock(), user_agent=MANAGER), field_manager=MANAGER)


@asynccontextmanager
async def closing(generator: AsyncIterator[Any]) -> AsyncIterator[None]:
    """What a loop leaves early has to be closed by somebody."""
    try:
        yield
    finally:
        if isinstance(generator, AsyncGenerator):
            await generator.aclose()


def access(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where, and pass them on as `access`."""

    @wraps(command)
    def called(kubeconfig: str, data_dir: str, kube_context: str, **arguments: Any) -> Any:
        return command(access=Access(kubeconfig or "", data_dir or "", kube_context or ""), **arguments)

    for option in (
        click.option("--kube-context", metavar="NAME", help="The kubeconfig's context to use."),
        click.option("--data-dir", metavar="DIR", help="Use this instance (also SEATRIAL_DATA_DIR)."),
        click.option("--kubeconfig", metavar="FILE", help="Use this kubeconfig (also KUBECONFIG)."),
        click.option("--core", is_flag=True, expose_value=False, hidden=True),
    ):
        called = option(called)
    return called


def _of_instance(directory: str) -> Path:
    path = Instance(Path(directory).expanduser().absolute()).kubeconfig
    if not path.is_file():
        raise Terminal(
            f"{path.parent} has no kubeconfig: start the instance with `seatrial up --data-dir {path.parent}`"
        )
    return path
