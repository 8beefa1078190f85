"""`run watch`: a run until it is completed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from seatrial.base.clock import SystemClock
from seatrial.cli import printing
from seatrial.cli.access import Access, access, closing
from seatrial.cli.run import show, store
from seatrial.pipeline.api import names

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.pipeline.api.run import PipelineRun

_CLEAR = "\x1b[H\x1b[2J"


@click.command("watch")
@access
@click.argument("wanted", metavar="[RUN-ID]", required=False, default="")
@click.option("--exit-status", is_flag=True, help="Exit with 1 if the run failed.")
@click.option("-i", "--interval", type=click.IntRange(1), default=3, hidden=True)
@click.option("--compact", is_flag=True, help="Show only jobs that run or failed.")
def watch(access: Access, wanted: str, exit_status: bool, interval: int, compact: bool) -> int:
    """Watch a run until it is completed (without RUN-ID: the newest). Changes are shown as they come."""
    del interval  # nothing is polled

    async def work(client: Client) -> PipelineRun:
        run = await store.get(client, access.control_namespace, wanted)
        if run.status == names.COMPLETED:
            click.echo(f"Run {run.workflow_name} ({run.id}) has already completed with '{run.conclusion}'")
            return run
        changes = store.follow(client, run)
        async with closing(changes):
            async for run in changes:
                _print(run, compact=compact)
        mark = show.symbol(run.status, run.conclusion)
        click.echo(f"\n{mark} Run {run.workflow_name} ({run.id}) completed with '{run.conclusion}'")
        return run

    run = access.run(work)
    return 1 if exit_status and run.conclusion in show.FAILURES else 0


def _print(run: PipelineRun, *, compact: bool) -> None:
    lines = show.summary(run, SystemClock().time())
    if compact:
        lines = [line for line in lines if not line.startswith(("✓", "  ✓", "-", "  -"))]
    if sys.stdout.isatty():
        click.echo(_CLEAR, nl=False)
        click.echo("Refreshing run status as it changes. Press Ctrl+C to quit.\n")
    printing.echo(lines)


COMMANDS = (watch,)
