"""Reading PipelineRuns, and where their logs are."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import aiohttp

from seatrial.base.errors import Terminal
from seatrial.cli.access import closing
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError
from seatrial.pipeline.api import names
from seatrial.pipeline.api.resources import RUNS
from seatrial.pipeline.api.run import PipelineRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.kube.client.client import Client

JOBS_PER_RUN = 1000
"""A job's ID is its run's, a thousandfold, and its number."""
_SECRETS = resources.for_kind("v1", "Secret")
_CONNECT_SECONDS = 10.0
_PIECE = 1 << 16


async def list_all(client: Client, namespace: str) -> list[PipelineRun]:
    """Newest first. Raises Terminal."""
    try:
        found = await client.list(RUNS, namespace)
    except StatusError as error:
        if error.code == 404:
            raise Terminal(f"this cluster has no {RUNS}: the pipeline installs them (`seatrial up`)") from error
        raise
    return sorted(map(PipelineRun, found.items), key=lambda run: run.id, reverse=True)


async def get(client: Client, namespace: str, wanted: str) -> PipelineRun:
    """By ID or name; "": the newest. Raises Terminal."""
    for run in await list_all(client, namespace):
        if wanted in ("", str(run.id), run.name):
            return run
    if not wanted:
        raise Terminal("no runs found: a push to a repository of this instance makes one")
    raise Terminal(f"could not find any workflow run with ID {wanted}: `seatrial run list` shows them")


async def follow(client: Client, run: PipelineRun) -> AsyncIterator[PipelineRun]:
    """The run now and whenever it changes, until it is completed. Raises Terminal if it is deleted."""
    selector = f"metadata.name={run.name}"
    while True:
        listed = await client.list(RUNS, run.namespace, field_selector=selector)
        if not listed.items:
            raise Terminal(f"run {run.id} was deleted meanwhile")
        now = PipelineRun(listed.items[0])
        yield now
        if now.status == names.COMPLETED:
            return
        try:
            events = client.watch(
                RUNS, run.namespace, resource_version=listed.resource_version, field_selector=selector
            )
            async with closing(events):
                async for event in events:
                    if event.type == "DELETED":
                        raise Terminal(f"run {run.id} was deleted meanwhile")
                    if event.type in ("ADDED", "MODIFIED"):
                        now = PipelineRun(event.object)
                        yield now
                        if now.status == names.COMPLETED:
                            return
        except StatusError as error:
            if error.code != 410:
                raise


async def log_lines(client: Client, run: PipelineRun, attempt: int, *, follows: bool) -> AsyncIterator[str]:
    """Lines of the log, `follows`: until the run is over. Raises Terminal."""
    try:
        secret = await client.get(_SECRETS, names.ACCESS_SECRET, run.namespace)
    except StatusError as error:
        raise Terminal(f"the logs cannot be reached: {error.message}") from error
    url, token = (base64.b64decode(secret["data"][key]).decode() for key in ("url", "password"))
    query = {"attempt": str(attempt), **({"follow": "1"} if follows else {})}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(f"{url}/runs/{run.name}/log", params=query) as answer,
        ):
            if answer.status != 200:
                raise Terminal(f"the log of run {run.id} is not there (HTTP {answer.status})")
            rest = b""
            async for piece in answer.content.iter_chunked(_PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace")
            if rest:
                yield rest.decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Terminal(f"the logs of {url} cannot be reached: {error}") from error
