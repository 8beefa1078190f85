"""`app get | list | history | resources | logs`: nothing here writes, but for a refresh that is asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from seatrial.base.clock import SystemClock, parse_time
from seatrial.base.errors import Terminal
from seatrial.cli import printing
from seatrial.cli.access import Access, access
from seatrial.cli.app import options, show, store, tree
from seatrial.cli.app.waiting import OUTPUTS
from seatrial.cli.argocd import Command, app_namespace, flag
from seatrial.gitops.api import repositoryurl
from seatrial.gitops.api.source import Source
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.gitops.api.application import Application
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

_PODS = resources.for_kind("v1", "Pod")
_POLL_SECONDS = 0.5
_DEFAULT_TAIL = 1000
"""Lines per container without --tail and without --since-seconds."""

source_position = click.option("--source-position", type=int, help="Position of a source, from 1.")


@click.command("get", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="wide", show_default=True)
@flag("refresh", "Compare with the newest revision first.")
@flag("hard-refresh", "Refresh, and render anew.")
@flag("show-operation", "Show the last operation.")
@flag("show-params", "Show Helm parameters.")
@source_position
@click.option("--source-name", help="Name of a source.")
@click.option("--timeout", type=click.IntRange(0), default=0, help="Seconds to wait for a refresh.")
def get(
    access: Access,
    app_namespace: str,
    name: str,
    output: str,
    refresh: bool,
    hard_refresh: bool,
    show_operation: bool,
    show_params: bool,
    source_position: int | None,
    source_name: str | None,
    timeout: int,
) -> None:
    """Show an Application."""

    async def work(client: Client) -> None:
        ((namespace, own),) = store.named([name], app_namespace)
        seen = await store.get(client, namespace, own)
        if refresh or hard_refresh:
            seen = await _refreshed(client, seen, "hard" if hard_refresh else "normal", timeout)
        if output in ("json", "yaml"):
            printing.document(printing.without_managers(seen.object), output)
            return
        lines = show.summary(seen)
        if show_operation:
            lines += ["", *show.operation(seen.status.get("operationState"), SystemClock().time())]
        if found := show.conditions(seen):
            lines += ["", *found]
        if show_params:
            lines += ["", *show.parameters(_source(seen, source_position, source_name))]
        if output.startswith("tree"):
            lines += ["", *await tree.lines(client, seen, detailed=output.endswith("detailed"))]
        elif found := show.resources(seen):
            lines += ["", *found]
        printing.echo(lines)

    access.run(work)


async def _refreshed(client: Client, seen: Application, kind: str, timeout: int) -> Application:
    """What there is when the time is up."""
    try:
        async with asyncio.timeout(timeout or None):
            return await store.refresh(client, seen.namespace, seen.name, kind)
    except TimeoutError:
        click.echo(f"warning: not refreshed within {timeout} s", err=True)
        return await store.get(client, seen.namespace, seen.name)


def _source(seen: Application, position: int | None, name: str | None) -> Source:
    if name is not None and position is not None:
        raise click.UsageError("give one of --source-position and --source-name")
    if name is not None:
        position = position_of(seen, name)
    spec = objects.clone(seen.object).get("spec") or {}
    return Source.of(options.source_at(spec, position))


def position_of(seen: Application, name: str) -> int:
    """From 1. Raises Terminal."""
    for number, source in enumerate(seen.sources, start=1):
        if source.name == name:
            return number
    known = ", ".join(source.name for source in seen.sources if source.name) or "none has a name"
    raise Terminal(f"application '{seen.name}' has no source '{name}' (sources: {known})")


@click.command("list", cls=Command)
@access
@app_namespace
@click.option("-o", "--output", type=click.Choice(["wide", "name", "json", "yaml"]), default="wide", show_default=True)
@click.option("-l", "--selector", default="", help="Label selector.")
@click.option("-p", "--project", "projects", multiple=True, help="Only of this project. Repeatable.")
@click.option("-r", "--repo", help="Only with this repository.")
@click.option("-c", "--cluster", help="Only for this cluster, by name or address.")
@click.option("-P", "--path", help="Only with this path.")
def list_(
    access: Access,
    app_namespace: str,
    output: str,
    selector: str,
    projects: tuple[str, ...],
    repo: str | None,
    cluster: str | None,
    path: str | None,
) -> None:
    """List Applications, of all namespaces without -N."""

    def wanted(seen: Application) -> bool:
        return (
            (not projects or seen.project in projects)
            and (repo is None or any(repositoryurl.same(source.repo_url, repo) for source in seen.sources))
            and (path is None or any(source.path == path for source in seen.sources))
            and (cluster is None or cluster in (seen.destination.server, seen.destination.name))
        )

    async def work(client: Client) -> None:
        found = [seen for seen in await store.list_all(client, app_namespace, selector) if wanted(seen)]
        if output == "name":
            printing.echo([show.qualified_name(seen) for seen in found])
        elif output == "wide":
            printing.echo(show.list_table(found, wide=True))
        else:
            printing.document([printing.without_managers(seen.object) for seen in found], output)

    access.run(work)


@click.command("history", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@click.option("-o", "--output", type=click.Choice(["wide", "id", "json", "yaml"]), default="wide", show_default=True)
def history(access: Access, app_namespace: str, name: str, output: str) -> None:
    """Show what was deployed, oldest first."""

    async def work(client: Client) -> None:
        seen = await store.get(client, *store.named([name], app_namespace)[0])
        entries = seen.status.get("history") or []
        if output == "id":
            printing.echo([str(entry.get("id", 0)) for entry in entries])
        elif output == "wide":
            printing.echo(show.history(seen))
        else:
            printing.document(entries, output)

    access.run(work)


@click.command("resources", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@click.option("-o", "--output", type=click.Choice(["tree", "tree=detailed"]), help="With what they own.")
@click.option("--project", help="Fail unless the Application is of this project.")
def resources_(access: Access, app_namespace: str, name: str, output: str | None, project: str | None) -> None:
    """List an Application's objects."""

    async def work(client: Client) -> None:
        seen = await store.get(client, *store.named([name], app_namespace)[0])
        if project is not None and seen.project != project:
            raise Terminal(f"application '{seen.name}' is of project '{seen.project}', not '{project}'")
        printing.echo(await tree.resource_lines(client, seen, output or ""))

    access.run(work)


@click.command("logs", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@click.option("--group", help="Only pods of objects of this group.")
@click.option("--kind", help="Only pods of objects of this kind.")
@click.option("--namespace", help="Only pods of this namespace.")
@click.option("--name", "resource_name", help="Only pods of the object with this name.")
@click.option("-f", "--follow", is_flag=True, help="Go on until interrupted.")
@click.option("--tail", type=click.IntRange(0), default=0, help="Only so many last lines.")
@click.option("--since-seconds", type=click.IntRange(0), default=0, help="Only of the last seconds.")
@click.option("--until-time", help="Only until then (RFC 3339).")
@click.option(
    "--filter", "wanted", default="", help="Only lines that contain this; with a leading `!` those that do not."
)
@click.option("-m", "--match-case", is_flag=True, help="Mind upper and lower case in --filter.")
@click.option("-c", "--container", help="Only this container.")
@click.option("-p", "--previous", is_flag=True, help="Of the container before its last restart.")
def logs(
    access: Access,
    app_namespace: str,
    name: str,
    group: str | None,
    kind: str | None,
    namespace: str | None,
    resource_name: str | None,
    follow: bool,
    tail: int,
    since_seconds: int,
    until_time: str | None,
    wanted: str,
    match_case: bool,
    container: str | None,
    previous: bool,
) -> None:
    """Print the logs of an Application's pods."""
    until = _time(until_time)
    line_filter = _LineFilter(wanted, match_case)

    def belongs(root: tree.Node) -> bool:
        return (
            (group is None or root.group == group)
            and (kind is None or root.kind == kind)
            and (namespace is None or root.namespace == namespace)
            and (resource_name is None or root.name == resource_name)
        )

    async def work(client: Client) -> None:
        seen = await store.get(client, *store.named([name], app_namespace)[0])
        found = [
            node.object
            for root in await tree.nodes(client, seen)
            for _, node in root.walk()
            if node.kind == "Pod" and node.object and (belongs(root) or belongs(node))
        ]
        if not found:
            raise Terminal(f"application '{seen.name}' has no pods to show logs of")
        async with tree.destination(client, seen) as remote:
            asked = {"tailLines": tail or (0 if since_seconds else _DEFAULT_TAIL), "sinceSeconds": since_seconds}
            readers = [
                _print_log(remote, pod, entry["name"], asked, follow, previous, line_filter, until)
                for pod in found
                for entry in pod["spec"]["containers"]
                if container in (None, entry["name"])
            ]
            if not readers:
                raise Terminal(f"no pod of application '{seen.name}' has a container '{container}'")
            if follow:
                await asyncio.gather(*readers)
            else:
                for reader in readers:
                    await reader

    access.run(work)


class _LineFilter:
    def __init__(self, wanted: str, match_case: bool) -> None:
        self._negated = wanted.startswith("!")
        self._match_case = match_case
        text = wanted.removeprefix("!")
        self._text = text if match_case else text.lower()

    def admits(self, line: str) -> bool:
        if not self._text:
            return True
        return (self._text in (line if self._match_case else line.lower())) != self._negated


async def _print_log(
    client: Client,
    pod: Object,
    container: str,
    asked: dict[str, int],
    follow: bool,
    previous: bool,
    line_filter: _LineFilter,
    until: float | None,
) -> None:
    async for stamp, line in _log_lines(client, pod, container, asked, follow, previous):
        if until is not None and stamp and parse_time(stamp) > until:
            return
        if line_filter.admits(line):
            click.echo(line)


async def _log_lines(
    client: Client, pod: Object, container: str, asked: dict[str, int], follow: bool, previous: bool
) -> AsyncIterator[tuple[str, str]]:
    """(time, text) of each line. Following asks again from the last line's second on, and passes over what it had."""
    path = _PODS.path(objects.namespace(pod), objects.name(pod), "log")
    query = [("container", container), ("timestamps", "true"), *(("previous", "true"),) * previous]
    query += [(key, str(value)) for key, value in asked.items() if value]
    had: set[str] = set()
    while True:
        answer = await client.raw("GET", path, query=query)
        last = ""
        for raw in answer.body.decode(errors="replace").splitlines():
            stamp, _, text = raw.partition(" ")
            last = stamp
            if raw not in had:
                yield stamp, text
        if not follow:
            return
        if last:
            second = last[:19]
            had = {line for line in answer.body.decode(errors="replace").splitlines() if line.startswith(second)}
            query = [*query[:2], ("sinceTime", f"{second}Z")]
        await asyncio.sleep(_POLL_SECONDS)


def _time(text: str | None) -> float | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r}: expected for example 2024-05-01T10:00:00Z", param_hint="--until-time"
        ) from error


COMMANDS = (get, list_, history, resources_, logs)
