"""`app sync | wait | rollback | terminate-op`: ask the controller for an operation, and follow it."""

from __future__ import annotations

import getpass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from seatrial.base.errors import Terminal
from seatrial.cli.access import Access, access
from seatrial.cli.app import look, operations, previewing, show, store
from seatrial.cli.app.options import retry_block
from seatrial.cli.app.prepare import Prepared, prepare
from seatrial.cli.app.previewing import local_options
from seatrial.cli.app.waiting import OUTPUTS, Conditions, NotReached, wait
from seatrial.cli.argocd import Command, app_namespace, flag, parse_pairs
from seatrial.gitops.api import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.gitops.api.application import Application
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

UNHEALTHY = 20
_output = click.option("-o", "--output", type=click.Choice(OUTPUTS), default="wide", show_default=True)
_timeout = click.option("--timeout", type=click.IntRange(0), default=0, help="Seconds to wait; 0 is for ever.")


@click.command("wait", cls=Command)
@access
@app_namespace
@click.argument("given", metavar="APPNAME...", nargs=-1)
@click.option("-l", "--selector", default="", help="Label selector.")
@flag("sync", "Until it is Synced.")
@flag("health", "Until it is Healthy.")
@flag("operation", "Until no operation is pending or running.")
@flag("suspended", "Until it is Suspended.")
@flag("degraded", "Until it is Degraded.")
@flag("delete", "Until it is gone.")
@click.option("--resource", "resources", multiple=True, metavar="GROUP:KIND:NAME", help="Only this object. Repeatable.")
@_timeout
@_output
def wait_(
    access: Access,
    app_namespace: str,
    given: tuple[str, ...],
    selector: str,
    resources: tuple[str, ...],
    timeout: int,
    output: str,
    **asked: bool,
) -> int:
    """Wait for Applications. Exit code 20: they did not get there."""
    if not given and not selector:
        raise click.UsageError("expected APPNAME, or --selector")
    conditions = Conditions(**asked) if any(asked.values()) else Conditions(sync=True, health=True, operation=True)
    selection = operations.parse_resources(resources)

    async def work(client: Client) -> None:
        for namespace, name in await store.chosen(client, given, app_namespace, selector):
            if conditions.delete and await store.find(client, namespace, name) is None:
                click.echo(f"application '{namespace}/{name}' deleted")
                continue
            await wait(client, namespace, name, conditions, timeout=timeout, selection=selection, output=output)

    return _reached(lambda: access.run(work))


@click.command("sync", cls=Command)
@access
@app_namespace
@click.argument("given", metavar="APPNAME...", nargs=-1)
@click.option("-l", "--selector", default="", help="Label selector of Applications.")
@click.option("--project", "projects", multiple=True, help="All Applications of this project. Repeatable.")
@flag("dry-run", "Apply nothing.")
@flag("prune", "Delete what is no longer wanted.")
@click.option("--revision", default="", help="Sync to this revision.")
@click.option("--revisions", multiple=True, help="Revision of the source at the same place of --source-positions.")
@click.option("--source-positions", multiple=True, type=int, help="Position of a source, from 1.")
@click.option("--source-names", multiple=True, help="Name of a source, instead of its position.")
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="GROUP:KIND:NAME",
    help="Only this object; `!` before it: all but this. Repeatable.",
)
@click.option("--strategy", type=click.Choice(["apply", "hook"]), default="hook", help="With hooks, or without.")
@flag("force", "Delete and create what cannot be changed.")
@flag("replace", "Replace instead of apply.")
@flag("server-side", "Apply on the server's side.")
@flag("apply-out-of-sync-only", "Apply only what is out of sync.")
@flag("async", "Do not wait.")
@click.option("--info", "infos", multiple=True, metavar="KEY=VALUE", help="Kept with the operation. Repeatable.")
@click.option("--retry-limit", type=int, default=0, help="Tries after a failure.")
@click.option("--retry-backoff-duration", default="5s", show_default=True, help="First pause.")
@click.option("--retry-backoff-max-duration", default="3m", show_default=True, help="Longest pause.")
@click.option("--retry-backoff-factor", type=int, default=2, show_default=True, help="Growth of the pause.")
@flag("retry-refresh", "Tries again with the newest revision.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Only objects so labelled. Repeatable.")
@local_options
@flag("preview-changes", "Show what would change, and ask.")
@click.option("--assumeYes", "--assume-yes", "assume_yes", is_flag=True, help="Do not ask.")
@_timeout
@_output
def sync(
    access: Access,
    app_namespace: str,
    given: tuple[str, ...],
    selector: str,
    projects: tuple[str, ...],
    resources: tuple[str, ...],
    timeout: int,
    output: str,
    **asked: Any,
) -> int:
    """Sync Applications to what their sources say, and wait for it.

    Exit code 1: a sync failed; 20: it did not end in time, or left objects that need --prune.
    """
    if not given and not selector and not projects:
        raise click.UsageError("expected APPNAME, --selector or --project")
    if len(given) != 1 and (asked["revisions"] or asked["source_positions"] or asked["source_names"]):
        raise click.UsageError("--revisions, --source-positions and --source-names need exactly one APPNAME")
    if asked["source_names"] and asked["source_positions"]:
        raise click.UsageError("give one of --source-positions and --source-names")
    if asked["local"] and len(given) != 1:
        raise click.UsageError("--local needs exactly one APPNAME")
    previewing.check_usage(asked)
    selection = operations.parse_resources(resources)
    labels = parse_pairs(asked["labels"], "--label")

    def build(seen: Application, prepared: Prepared) -> dict[str, Any]:
        revisions = asked["revisions"] or ((asked["revision"],) if asked["revision"] else ())
        if asked["revision"] and seen.has_many_sources:
            raise Terminal(f"application '{seen.name}' has several sources: use --revisions and --source-positions")
        operations.check_revision(seen, revisions)
        return operations.sync(
            seen,
            user=_user(),
            revision=asked["revision"],
            revisions=asked["revisions"],
            positions=asked["source_positions"] or [look.position_of(seen, name) for name in asked["source_names"]],
            resources=[*operations.selected(seen, selection, resources), *prepared.resources],
            prune=asked["prune"],
            dry_run=asked["dry_run"],
            strategy=asked["strategy"],
            force=asked["force"],
            options=_sync_options(asked),
            retry=_retry(asked),
            infos=parse_pairs(asked["infos"], "--info"),
            manifests=prepared.manifests,
        )

    async def work(client: Client) -> None:
        for namespace, name in await store.chosen(client, given, app_namespace, selector, projects):
            prepared = Prepared()
            if asked["local"] or asked["preview_changes"] or labels:
                before = await store.get(client, namespace, name)
                prepared = await prepare(client, access.control_namespace, before, asked, labels)
            if not prepared.goes_on:
                continue
            await request(client, namespace, name, partial(build, prepared=prepared))
            if asked["async"]:
                continue
            operating = Conditions(operation=True)
            seen = await wait(client, namespace, name, operating, timeout=timeout, selection=(), output=output)
            if seen is not None and not asked["dry_run"]:
                _check(seen, whole=not selection and not labels)

    return _reached(lambda: access.run(work))


@click.command("rollback", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@click.argument("id_", metavar="[ID]", required=False, type=int)
@flag("prune", "Delete what that deployment had not.")
@click.option(
    "--revert", is_flag=True, help="Push a commit that takes back what came after it, so that Git stays right."
)
@_timeout
@_output
def rollback(
    access: Access, app_namespace: str, name: str, id_: int | None, prune: bool, revert: bool, timeout: int, output: str
) -> int:
    """Go back to a deployment of the history (without ID: the one before the last).

    With automated sync the revision that is left is skipped until something newer arrives.
    """
    namespace, own = store.named([name], app_namespace)[0]
    if revert:
        if prune:
            raise click.UsageError("--revert changes Git alone: leave --prune to the sync")
        return _reached(lambda: access.run(lambda client: _revert(client, access, namespace, own, id_)))

    def build(seen: Application) -> dict[str, Any]:
        return operations.rollback(seen, operations.history_entry(seen, id_), user=_user(), prune=prune)

    async def work(client: Client) -> None:
        await request(client, namespace, own, build, leaving=True)
        seen = await wait(client, namespace, own, Conditions(operation=True), timeout=timeout, output=output)
        if seen is not None:
            _check_phase(seen)

    return _reached(lambda: access.run(work))


async def _revert(client: Client, access: Access, namespace: str, own: str, id_: int | None) -> None:
    from seatrial.cli.app import reverting

    seen = await store.get(client, namespace, own)
    entry = operations.history_entry(seen, id_)
    made = await reverting.revert(client, access.control_namespace, seen, entry, _user())
    source = seen.sources[0]
    click.echo(f"Pushed {made} to {source.target_revision or 'HEAD'} of {source.repo_url}")
    await store.refresh(client, namespace, own, "normal")
    if seen.automated is None:
        click.echo(f"Application '{own}' has no automated sync: `seatrial app sync {own}` applies it")


@click.command("terminate-op", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
def terminate_op(access: Access, app_namespace: str, name: str) -> None:
    """Stop the running operation."""
    namespace, own = store.named([name], app_namespace)[0]

    def make(seen: Application) -> Object:
        state = seen.status.get("operationState") or {}
        if seen.operation is None or state.get("phase") != "Running":
            raise Terminal(f"application '{own}': no operation is running, so there is nothing to stop")
        return {"status": {"operationState": {"phase": "Terminating"}}}

    access.run(lambda client: store.change(client, namespace, own, make))
    click.echo(f"Application '{own}' operation terminating")


async def request(
    client: Client,
    namespace: str,
    name: str,
    build: Callable[[Application], dict[str, Any]],
    *,
    leaving: bool = False,
) -> None:
    """Write `.operation` unless one is there. The last one's state goes: nobody is to take it for this one's."""

    def make(seen: Application) -> Object:
        operations.check_free(seen)
        patch: Object = {"operation": build(seen)}
        if seen.status.get("operationState"):
            patch["status"] = {"operationState": None}
        if leaving and seen.automated is not None and (left := operations.left_revision(seen)):
            patch["metadata"] = {"annotations": {names.SKIPPED_REVISION: left}}
        return patch

    await store.change(client, namespace, name, make)


def _reached(run: Callable[[], None]) -> int:
    """0, or 20 with a message if something was not reached."""
    try:
        run()
    except NotReached as error:
        click.echo(f"error: {error.message}", err=True)
        return UNHEALTHY
    return 0


def _check(seen: Application, *, whole: bool) -> None:
    """Raises Terminal if the sync failed, NotReached if it left something to prune."""
    state = _check_phase(seen)
    results = (state.get("syncResult") or {}).get("resources") or ()
    left = [entry for entry in results if entry.get("status") == "PruneSkipped"]
    if whole and left and show.sync_status(seen) != "Synced":
        raise NotReached(f"application '{seen.name}': {len(left)} resource(s) require pruning: sync with --prune")


def _check_phase(seen: Application) -> dict[str, Any]:
    state: dict[str, Any] = seen.status.get("operationState") or {}
    if state.get("phase") != "Succeeded":
        said = f": {state['message']}" if state.get("message") else ""
        raise Terminal(f"application '{seen.name}': the operation ended as {state.get('phase') or 'unknown'}{said}")
    return state


def _sync_options(asked: dict[str, Any]) -> list[str]:
    words = (
        ("replace", "Replace"),
        ("server_side", "ServerSideApply"),
        ("apply_out_of_sync_only", "ApplyOutOfSyncOnly"),
    )
    return [f"{option}=true" for key, option in words if asked[key]]


def _retry(asked: dict[str, Any]) -> dict[str, Any] | None:
    if not asked["retry_limit"]:
        return None
    block = retry_block(
        asked["retry_limit"],
        asked["retry_backoff_duration"],
        asked["retry_backoff_max_duration"],
        asked["retry_backoff_factor"],
    )
    return {**block, "refresh": True} if asked["retry_refresh"] else block


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


COMMANDS = (sync, wait_, rollback, terminate_op)
