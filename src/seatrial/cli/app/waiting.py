"""Waiting for an Application by watch, telling what changes meanwhile, as `argocd app wait` and `sync` do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from seatrial.base.clock import SystemClock, parse_time, rfc3339
from seatrial.base.errors import Terminal
from seatrial.cli import printing
from seatrial.cli.app import operations, show, store, tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cli.app.show import ResourceState
    from seatrial.gitops.api.application import Application
    from seatrial.kube.client.client import Client

_HEADS = ("TIMESTAMP", "GROUP", "KIND", "NAMESPACE", "NAME", "STATUS", "HEALTH", "HOOK", "MESSAGE")
_WIDTHS = (22, 20, 14, 14, 24, 11, 13, 10)
_COLOURS = {
    "Synced": "green", "Healthy": "green", "Succeeded": "green",
    "OutOfSync": "yellow", "Progressing": "yellow", "Running": "yellow", "Suspended": "yellow",
    "Degraded": "red", "Missing": "red", "Failed": "red", "Error": "red", "SyncFailed": "red",
}  # fmt: skip
OUTPUTS = ("wide", "json", "yaml", "tree", "tree=detailed")


class NotReached(Terminal):
    """What was waited for did not come about."""

    reason = "NotReached"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Without any, `wait` waits for sync, health and operation."""

    sync: bool = False
    health: bool = False
    operation: bool = False
    suspended: bool = False
    degraded: bool = False
    delete: bool = False

    def hold(self, status: str, health: str, application: Application) -> bool:
        wanted = {
            word
            for word, asked in (("Healthy", self.health), ("Suspended", self.suspended), ("Degraded", self.degraded))
            if asked
        }
        return (
            (not self.sync or status == "Synced")
            and (not wanted or health in wanted)
            and (not self.operation or not is_operating(application))
        )


def is_operating(application: Application) -> bool:
    """An operation is asked for, running, or finished and not yet compared."""
    if application.operation is not None:
        return True
    state = application.status.get("operationState")
    if not state:
        return False
    finished = state.get("finishedAt")
    if not finished or state.get("phase") in ("Running", "Terminating"):
        return True
    if ((state.get("operation") or {}).get("sync") or {}).get("dryRun"):
        return False
    compared = application.status.get("reconciledAt")
    return not compared or parse_time(compared) < parse_time(finished)


async def wait(
    client: Client,
    namespace: str,
    name: str,
    conditions: Conditions,
    *,
    timeout: float = 0,
    selection: Sequence[dict[str, Any]] = (),
    output: str = "wide",
) -> Application | None:
    """The Application as the conditions hold; None if it was deleted, as asked. Raises NotReached."""
    progress = _Progress(quiet=output in ("json", "yaml"))
    last: Application | None = None
    try:
        async with asyncio.timeout(timeout or None), store.following(client, namespace, name) as changes:
            async for seen in changes:
                if seen is None:
                    _check_gone(namespace, name, conditions, progress)
                    return None
                last = seen
                if _holds(seen, conditions, selection):
                    await print_final(client, seen, conditions, output)
                    return seen
                worse = progress.tell(show.resource_states(seen), selection)
                if worse and conditions.health:
                    await print_final(client, seen, conditions, output)
                    raise NotReached(f"application '{name}': {worse} became Degraded")
    except TimeoutError:
        if last is not None:
            progress.say("\nThe state when the time was up:")
            await print_final(client, last, conditions, output)
        raise NotReached(f"application '{name}' did not get there within {timeout:.0f} s") from None
    raise NotReached(f"application '{name}': the watch ended")


async def print_final(client: Client, application: Application, conditions: Conditions, output: str) -> None:
    if output in ("json", "yaml"):
        printing.document(printing.without_managers(application.object), output)
        return
    lines = ["", *show.summary(application)]
    if conditions.operation:
        lines += ["", *show.operation(application.status.get("operationState"), SystemClock().time())]
    if output.startswith("tree"):
        lines += ["", *await tree.lines(client, application, detailed=output.endswith("detailed"))]
    elif found := show.resources(application):
        lines += ["", *found]
    printing.echo(lines)


def _holds(application: Application, conditions: Conditions, selection: Sequence[dict[str, Any]]) -> bool:
    if conditions.delete:
        return False
    if not selection:
        return conditions.hold(show.sync_status(application), show.health(application), application)
    return all(
        conditions.hold(state.status, state.health, application)
        for state in show.resource_states(application)
        if operations.is_selected(selection, *state.key)
    )


def _check_gone(namespace: str, name: str, conditions: Conditions, progress: _Progress) -> None:
    if not conditions.delete:
        raise Terminal(f"application '{name}' not found in namespace '{namespace}': `seatrial app list` shows them")
    progress.say(f"application '{namespace}/{name}' deleted")


class _Progress:
    """Prints each resource when it is first seen and when it changes."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._known: dict[tuple[str, str, str, str], ResourceState] = {}

    def tell(self, states: Sequence[ResourceState], selection: Sequence[dict[str, Any]]) -> str:
        """What became Degraded, or ""."""
        worse = ""
        for state in states:
            if selection and not operations.is_selected(selection, *state.key):
                continue
            before = self._known.get(state.key)
            now = state if before is None else before.merged(state)
            if before is not None and now.health == "Degraded" and before.health not in ("Degraded", "Unknown", ""):
                worse = worse or f"{state.kind} {state.name}"
            if now != before:
                self._print(now)
            self._known[state.key] = now
        return worse

    def _print(self, state: ResourceState) -> None:
        if not self._quiet and not self._known:
            click.echo(_row(_HEADS))
        if not self._quiet:
            click.echo(_row((rfc3339(SystemClock().time()), *state.cells)))

    def say(self, text: str) -> None:
        if not self._quiet:
            click.echo(text)


def _row(cells: Sequence[str]) -> str:
    """Click takes the colours off where the output is not a terminal."""
    shown = [
        click.style(f"{cell:<{width}}", fg=_COLOURS.get(cell)) if cell in _COLOURS else f"{cell:<{width}}"
        for cell, width in zip(cells, _WIDTHS, strict=False)
    ]
    return "  ".join([*shown, cells[-1].replace("\n", " ")]).rstrip()
