"""What `diff`, `manifests`, `sync` and `rollback --revert` share: a Preview, and the flags that choose for it."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seatrial.base.clock import SystemClock
from seatrial.cli.app import look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.gitops.desired import Rendered
    from seatrial.gitops.preview import Changes, Options, Preview
    from seatrial.kube.client.client import Client

_CACHE = "~/.cache"
_SHORT = 7
_directory = click.Path(exists=True, file_okay=False, path_type=Path)


def revision_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--source-names", multiple=True, help="Name of a source, instead of its position."),
        click.option("--source-positions", multiple=True, type=int, help="Position of a source, from 1."),
        click.option("--revisions", multiple=True, help="Revision of the source at the same place of the positions."),
        click.option("--revision", default="", help="Branch, tag or commit to take instead."),
    ):
        command = option(command)
    return command


def local_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--local-include", multiple=True, hidden=True, expose_value=False),
        click.option("--local-repo-root", type=_directory, metavar="DIR",
                     help="How far up manifests may refer (default: the working copy that --local is in)."),
        click.option("--local", type=_directory, metavar="DIR", help="Render this directory in place of the source."),
    ):  # fmt: skip
        command = option(command)
    return command


def check_usage(asked: Mapping[str, Any]) -> None:
    """Raises UsageError."""
    if asked["source_names"] and asked["source_positions"]:
        raise click.UsageError("give one of --source-positions and --source-names")
    if len(asked["revisions"]) != len(asked["source_names"] or asked["source_positions"]):
        raise click.UsageError("--revisions and --source-positions (or --source-names) must be given equally often")
    if asked["revision"] and asked["revisions"]:
        raise click.UsageError("give one of --revision and --revisions")
    if asked.get("local") and (asked["revision"] or asked["revisions"]):
        raise click.UsageError("--local is no revision: leave one of them out")
    if asked.get("local_repo_root") and not asked.get("local"):
        raise click.UsageError("--local-repo-root needs --local")


def named(seen: Application, asked: Mapping[str, Any]) -> dict[int, str]:
    """The revisions that were asked for, by the place of their source (from 0). Raises UsageError, Terminal."""
    if asked["revision"]:
        if seen.has_many_sources and len(seen.sources) > 1:
            raise click.UsageError(
                f"application '{seen.name}' has several sources: use --revisions and --source-positions"
            )
        return {0: asked["revision"]}
    positions = asked["source_positions"] or [look.position_of(seen, name) for name in asked["source_names"]]
    for position in positions:
        if not 1 <= position <= len(seen.sources):
            raise click.UsageError(f"--source-positions {position}: the Application has {len(seen.sources)} source(s)")
    return {position - 1: revision for position, revision in zip(positions, asked["revisions"], strict=True)}


@asynccontextmanager
async def opened(client: Client, control_namespace: str) -> AsyncIterator[Preview]:
    from seatrial.gitops import preview

    async with preview.opened(client, SystemClock(), _options(control_namespace)) as found:
        yield found


def _options(control_namespace: str) -> Options:
    """Mirrors stay in the user's cache; what a hook's GIT_DIR and the like say is not for them."""
    from seatrial.gitops.preview import Options

    cache = Path(os.environ.get("XDG_CACHE_HOME") or _CACHE).expanduser()
    helm = shutil.which("helm")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    directory = cache / "seatrial" / "preview"
    return Options(directory, control_namespace, helm=Path(helm) if helm else None, environment=environment)


async def rendered(found: Preview, seen: Application, asked: Mapping[str, Any]) -> Rendered:
    """By the flags above; without any, what the controller compared last."""
    if asked.get("local"):
        from seatrial.gitops.preview import Local

        return await found.rendered_local(seen, Local(asked["local"], asked["local_repo_root"]))
    other = named(seen, asked)
    return await found.rendered(seen, await (found.at(seen, other) if other else found.current(seen)))


async def changes(found: Preview, seen: Application, asked: Mapping[str, Any]) -> Changes:
    made = await rendered(found, seen, asked)
    if other := named(seen, asked):
        _say_revision(seen, other, made.revisions)
    targets = await found.targets(seen, made)
    for condition in targets.conditions:
        click.echo(f"warning: {condition.type}: {condition.message}", err=True)
    compared = await found.compared(seen, targets)
    for message in compared.unknown:
        click.echo(f"error: {message}", err=True)
    return compared


def _say_revision(seen: Application, other: Mapping[int, str], revisions: Sequence[str]) -> None:
    for place, revision in sorted(other.items()):
        source = seen.sources[place]
        click.echo(
            f"what {revision} ({revisions[place][:_SHORT]}) of {source.repo_url} would change in the cluster, "
            f"which follows {source.target_revision or 'HEAD'}:",
            err=True,
        )


def echo_diff(text: str) -> None:
    """A blank line before each heading, as `argocd` prints it; colours on a terminal only."""
    for line in text.splitlines():
        if line.startswith("===== "):
            click.echo()
        click.echo(_coloured(line) if sys.stdout.isatty() else line)


def _coloured(line: str) -> str:
    if line.startswith("===== "):
        return click.style(line, bold=True)
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return click.style(line, fg=colour) if colour else line
