"""`run view`: a run, one of its jobs, or its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from seatrial.base.clock import SystemClock
from seatrial.base.errors import Terminal
from seatrial.cli import printing
from seatrial.cli.access import Access, access, closing
from seatrial.cli.run import output as outputs
from seatrial.cli.run import show, store
from seatrial.pipeline.api import names

if TYPE_CHECKING:
    from typing import Any

    from seatrial.kube.client.client import Client
    from seatrial.pipeline.api.run import PipelineRun


@click.command("view")
@access
@click.argument("wanted", metavar="[RUN-ID]", required=False, default="")
@click.option("-a", "--attempt", type=click.IntRange(1), help="The log of this attempt.")
@click.option("-j", "--job", type=click.IntRange(1), help="Only this job, by its ID.")
@click.option("-v", "--verbose", is_flag=True, help="Show steps of all jobs.")
@click.option("--log", is_flag=True, help="Print the log; of a run that goes on, as it comes.")
@click.option("--log-failed", is_flag=True, help="Print the log of failed steps.")
@click.option("--exit-status", is_flag=True, help="Exit with 1 if the run failed.")
@outputs.json_options
def view(
    access: Access,
    wanted: str,
    attempt: int | None,
    job: int | None,
    verbose: bool,
    log: bool,
    log_failed: bool,
    exit_status: bool,
    json_fields: str | None,
    expression: str,
) -> int:
    """Show a run (without RUN-ID: the newest)."""
    fields = outputs.chosen(json_fields, show.VIEW_FIELDS, expression)
    if log and log_failed:
        raise click.UsageError("specify only one of `--log` or `--log-failed`")
    if job is not None and not wanted:
        wanted = str(job // store.JOBS_PER_RUN)

    async def work(client: Client) -> PipelineRun:
        run = await store.get(client, access.control_namespace, wanted)
        if attempt is not None and attempt > run.attempt:
            raise Terminal(f"run {run.id} has {run.attempt} attempt(s): there is no {attempt}")
        if json_fields is not None:
            outputs.echo(show.to_json(run, fields), expression)
        elif log or log_failed:
            await _print_log(client, run, attempt or run.attempt, job, failed=log_failed)
            run = await store.get(client, access.control_namespace, run.name)
        else:
            _print(run, job, verbose=verbose)
        return run

    run = access.run(work)
    return 1 if exit_status and run.conclusion in show.FAILURES else 0


def _print(run: PipelineRun, job: int | None, *, verbose: bool) -> None:
    now = SystemClock().time()
    if job is not None:
        click.echo("")
        printing.echo(show.job_lines(run, _job(run, job), now, verbose=True))
        return
    click.echo("")
    printing.echo(show.summary(run, now, verbose=verbose))
    click.echo("")
    if run.conclusion in show.FAILURES:
        click.echo(f"To see what failed, try: seatrial run view {run.id} --log-failed")
    elif run.jobs:
        click.echo("For more information about a job, try: seatrial run view --job=<job-id>")


def _job(run: PipelineRun, id: int) -> dict[str, Any]:
    found = next((job for job in run.jobs if show.job_id(run, job) == id), None)
    if found is None:
        raise Terminal(f"run {run.id} has no job with ID {id}: `seatrial run view {run.id}` shows them")
    return found


async def _print_log(client: Client, run: PipelineRun, attempt: int, job: int | None, *, failed: bool) -> None:
    goes_on = run.status != names.COMPLETED and attempt == run.attempt
    if failed and goes_on:
        raise Terminal(f"run {run.id} is still in progress; what failed is known when it is complete")
    wanted = _job(run, job)["name"] if job is not None else None
    steps = {
        (str(each["name"]), str(step["name"]))
        for each in run.jobs
        for step in each.get("steps") or ()
        if step.get("conclusion") in show.FAILURES
    }
    lines = store.log_lines(client, run, attempt, follows=goes_on)
    async with closing(lines):
        async for line in lines:
            of_job, _, rest = line.partition("\t")
            step = rest.partition("\t")[0]
            if (wanted is None or of_job == wanted) and (not failed or (of_job, step) in steps or not of_job):
                click.echo(line)


COMMANDS = (view,)
