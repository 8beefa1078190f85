"""A GitOps engine of its own process, for `gitops.py`: each line on standard input is answered with what it did so far.

python bench/engine.py KUBECONFIG NAMESPACE DIRECTORY
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from seatrial.base import log
from seatrial.base.clock import SystemClock
from seatrial.gitops.api import names
from seatrial.gitops.engine import Engine, Options
from seatrial.gitops.render.workers import Workers
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client
from seatrial.kube.client.http import HttpTransport

if TYPE_CHECKING:
    from seatrial.kube.client.transport import Request, Response


class Counting(HttpTransport):
    def count(self, into: Counter[str]) -> None:
        self._into = into

    async def send(self, request: Request) -> Response:
        self._into[request.method] += 1
        return await super().send(request)


class Renders:
    """What a worker had to do: what came from the cache is not among them."""

    def __init__(self) -> None:
        self.done = 0
        self._run = Workers.run

    def count(self) -> None:
        rest = self

        async def run(self: Workers, job: Any) -> Any:
            rest.done += 1
            return await rest._run(self, job)

        Workers.run = run  # type: ignore[method-assign,assignment]


async def main() -> None:
    renders = Renders()
    renders.count()
    log.configure("WARNING")
    config, namespace, directory = sys.argv[1:]
    clock, calls = SystemClock(), Counter[str]()
    transport = Counting(kubeconfig.load(config), clock, user_agent="seatrial-bench")
    transport.count(calls)
    client = Client(transport, field_manager=names.FIELD_MANAGER)
    engine = Engine(client, clock, Options(Path(directory), namespace))

    def ready() -> None:
        print(json.dumps({"webhook": engine.webhook_url}), flush=True)

    async def answer() -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            print(json.dumps({"calls": dict(calls), "renders": renders.done}), flush=True)

    working = asyncio.create_task(engine.run(ready))
    answering = asyncio.create_task(answer())
    await asyncio.wait({working, answering}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
