"""`run list`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from seatrial.base.clock import SystemClock
from seatrial.cli import printing
from seatrial.cli.access import Access, access
from seatrial.cli.run import output as outputs
from seatrial.cli.run import show, store
from seatrial.pipeline.api import names

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.pipeline.api.run import PipelineRun

_HEADS = ("STATUS", "TITLE", "WORKFLOW", "BRANCH", "EVENT", "ID", "ELAPSED", "AGE")
_STATES = (names.QUEUED, names.IN_PROGRESS, names.COMPLETED, *names.CONCLUSIONS)
_LONGEST_TITLE = 60


@click.command("list")
@access
@click.option("-L", "--limit", type=click.IntRange(1), default=20, show_default=True, help="Most runs to list.")
@click.option("-b", "--branch", help="Only of this branch.")
@click.option("-c", "--commit", help="Only of this commit.")
@click.option("-e", "--event", help="Only of this event.")
@click.option("-R", "--repo", help="Only of this repository.")
@click.option("-s", "--status", type=click.Choice(_STATES), help="Only with this status or conclusion.")
@click.option("-u", "--user", help="Only of this person.")
@click.option("-w", "--workflow", help="Only of this workflow: its name or file.")
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml", "name"]), default="wide", show_default=True)
@outputs.json_options
def list_(
    access: Access,
    limit: int,
    branch: str | None,
    commit: str | None,
    event: str | None,
    repo: str | None,
    status: str | None,
    user: str | None,
    workflow: str | None,
    output: str,
    json_fields: str | None,
    expression: str,
) -> None:
    """List recent runs, the newest first."""
    fields = outputs.chosen(json_fields, show.FIELDS, expression)

    def wanted(run: PipelineRun) -> bool:
        return (
            (branch is None or run.branch == branch)
            and (commit is None or (run.commit == commit))
            and (event is None or run.event == event)
            and (repo is None or run.repository == repo.rpartition("/")[2])
            and (status is None or status in (run.status, run.conclusion))
            and (user is None or run.spec.get("actor") == user)
            and (workflow is None or workflow in _names(run))
        )

    async def work(client: Client) -> None:
        found = [run for run in await store.list_all(client, access.control_namespace) if wanted(run)][:limit]
        if json_fields is not None:
            outputs.echo([show.to_json(run, fields) for run in found], expression)
        elif output == "name":
            printing.echo([run.name for run in found])
        elif output in ("json", "yaml"):
            printing.document([printing.without_managers(run.object) for run in found], output)
        else:
            _print(found)

    access.run(work)


def _names(run: PipelineRun) -> tuple[str, ...]:
    return run.workflow_name, run.workflow, run.workflow.rpartition("/")[2]


def _print(runs: list[PipelineRun]) -> None:
    """A table for a person; for a program, lines with tabs and no heads."""
    now = SystemClock().time()
    if sys.stdout.isatty():
        rows = [
            (
                show.symbol(run.status, run.conclusion), show.title(run)[:_LONGEST_TITLE], run.workflow_name,
                run.branch, run.event, run.id, show.run_elapsed(run, now), show.age(show.created(run), now),
            )
            for run in runs
        ]  # fmt: skip
        printing.echo(printing.table(rows, _HEADS) if rows else ["no runs found"])
        return
    for run in runs:
        cells = (
            run.status, run.conclusion, show.title(run), run.workflow_name, run.branch, run.event, run.id,
            show.run_elapsed(run, now), show.created(run),
        )  # fmt: skip
        click.echo("\t".join(str(cell) for cell in cells))


COMMANDS = (list_,)
