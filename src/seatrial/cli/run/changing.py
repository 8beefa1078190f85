"""`run rerun | cancel`: ask the controller; it does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from seatrial.base.errors import Terminal
from seatrial.cli.access import Access, access
from seatrial.cli.run import store
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects
from seatrial.pipeline.api import names
from seatrial.pipeline.api.resources import RUNS

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object
    from seatrial.pipeline.api.run import PipelineRun


@click.command("rerun")
@access
@click.argument("wanted", metavar="RUN-ID")
def rerun(access: Access, wanted: str) -> None:
    """Run all jobs of a completed run again, as another attempt."""

    async def work(client: Client) -> None:
        run = await store.get(client, access.control_namespace, wanted)
        if run.status != names.COMPLETED:
            raise Terminal(f"run {run.id} cannot be rerun: it is {run.status}")
        await _patch(client, run, {"attempt": run.attempt + 1})
        click.echo(f"✓ Requested rerun of run {run.id}")

    access.run(work)


@click.command("cancel")
@access
@click.argument("wanted", metavar="RUN-ID")
def cancel(access: Access, wanted: str) -> None:
    """Cancel a run that is queued or in progress."""

    async def work(client: Client) -> None:
        run = await store.get(client, access.control_namespace, wanted)
        if run.status == names.COMPLETED:
            raise Terminal("Cannot cancel a workflow run that is completed")
        await _patch(client, run, {"cancel": run.attempt})
        click.echo(f"✓ Request to cancel workflow {run.id} submitted.")

    access.run(work)


async def _patch(client: Client, run: PipelineRun, spec: Object) -> None:
    """For the state that was seen: what two people ask for at once is asked for once."""
    version = objects.metadata(run.object)["resourceVersion"] if "attempt" in spec else None
    patch: Object = {"spec": spec, **({"metadata": {"resourceVersion": version}} if version else {})}
    await client.patch(RUNS, run.name, patch, run.namespace, type=PatchType.MERGE)


COMMANDS = (rerun, cancel)
