"""`seatrial proj ...`: AppProjects, with the verbs and flags of `argocd proj`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from seatrial.base.errors import Terminal
from seatrial.cli import manifest, printing
from seatrial.cli.access import Access, access
from seatrial.cli.argocd import Command, Group, flag
from seatrial.gitops.api import names
from seatrial.gitops.api.resources import APPLICATIONS, PROJECTS
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

    Spec = dict[str, Any]

_NONE = "<none>"
_TRIES = 10
_WIDTH = 29
_HEADS = (
    "NAME", "DESCRIPTION", "DESTINATIONS", "SOURCES", "CLUSTER-RESOURCE-WHITELIST", "NAMESPACE-RESOURCE-BLACKLIST",
    "SOURCE-INTEGRITY", "ORPHANED-RESOURCES", "DESTINATION-SERVICE-ACCOUNTS",
)  # fmt: skip

proj = Group("proj", help="Manage projects.", no_args_is_help=True)


def _spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--description", help="What the project is for."),
        click.option("-d", "--dest", "dests", multiple=True, metavar="SERVER,NAMESPACE", help="Permitted destination."),
        click.option("-s", "--src", "sources", multiple=True, help="Permitted repository."),
        click.option("--source-namespaces", multiple=True, help="Permitted namespace of Applications."),
        click.option("--allow-cluster-resource", multiple=True, metavar="[GROUP/]KIND[:NAME]", help="Permitted kind."),
        click.option("--deny-cluster-resource", multiple=True, metavar="[GROUP/]KIND[:NAME]", help="Denied kind."),
        click.option("--allow-namespaced-resource", multiple=True, metavar="[GROUP/]KIND", help="Permitted kind."),
        click.option("--deny-namespaced-resource", multiple=True, metavar="[GROUP/]KIND", help="Denied kind."),
    ):
        command = option(command)
    return command


def _change(spec: Spec, given: dict[str, Any]) -> None:
    if given["description"] is not None:
        spec["description"] = given["description"]
    if given["sources"]:
        spec["sourceRepos"] = list(given["sources"])
    if given["source_namespaces"]:
        spec["sourceNamespaces"] = [part for text in given["source_namespaces"] for part in text.split(",")]
    if given["dests"]:
        spec["destinations"] = [_destination(text) for text in given["dests"]]
    for scope, field in (("cluster", "clusterResource"), ("namespaced", "namespaceResource")):
        for verb, colour in (("allow", "Whitelist"), ("deny", "Blacklist")):
            if texts := given[f"{verb}_{scope}_resource"]:
                spec[f"{field}{colour}"] = [_kind(text, named=scope == "cluster") for text in texts]


def _destination(text: str) -> dict[str, str]:
    cluster, comma, namespace = text.rpartition(",")
    if not comma:
        raise click.BadParameter(f"{text!r}: expected SERVER,NAMESPACE", param_hint="--dest")
    return {"namespace": namespace, ("server" if _is_server(cluster) else "name"): cluster}


def _is_server(cluster: str) -> bool:
    return cluster == "*" or "://" in cluster


def _kind(text: str, *, named: bool) -> dict[str, str]:
    group, _, kind = text.rpartition("/")
    kind, _, name = kind.partition(":") if named else (kind, "", "")
    return {"group": group, "kind": kind, **({"name": name} if name else {})}


@proj.command("create")
@access
@click.argument("name", metavar="[PROJECT]", required=False)
@click.option("-f", "--file", help="Manifest: a file, a URL, or - for standard input.")
@flag("upsert", "Change the project if it exists and is different.")
@_spec_options
def create(access: Access, name: str | None, file: str | None, upsert: bool, **given: Any) -> None:
    """Create a project from flags or a file."""
    made: list[Object] = manifest.load(file, "AppProject") if file else [{"metadata": {"name": name}}]
    for obj in made:
        obj |= {"apiVersion": names.API_VERSION, "kind": "AppProject"}
        if not objects.name(obj):
            raise click.UsageError("expected PROJECT, or --file")
        obj["metadata"].setdefault("namespace", names.CONTROL_NAMESPACE)
        _change(obj.setdefault("spec", {}), given)

    async def work(client: Client) -> None:
        for obj in made:
            done = await _created(client, obj, upsert)
            click.echo(f"project '{objects.name(obj)}' {done}")

    access.run(work)


async def _created(client: Client, obj: Object, upsert: bool) -> str:
    try:
        await client.create(PROJECTS, obj)
        return "created"
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
    name = objects.name(obj)
    existing = await _get(client, name)
    if existing.get("spec") == obj["spec"]:
        return "unchanged"
    if not upsert:
        raise Terminal(f"project '{name}' exists and its spec is different: use --upsert to change it")

    def replace(spec: Spec) -> None:
        spec.clear()
        spec.update(obj["spec"])

    await _update(client, name, replace)
    return "updated"


@proj.command("set")
@access
@click.argument("name", metavar="PROJECT")
@_spec_options
def set_(access: Access, name: str, **given: Any) -> None:
    """Change a project: each flag replaces the list it names."""
    if not any(value not in (None, ()) for value in given.values()):
        raise click.UsageError("nothing to set: give at least one flag")
    access.run(lambda client: _update(client, name, lambda spec: _change(spec, given)))


@proj.command("get")
@access
@click.argument("name", metavar="PROJECT")
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml"]), default="wide", show_default=True)
def get(access: Access, name: str, output: str) -> None:
    """Show a project."""
    found = access.run(lambda client: _get(client, name))
    if output != "wide":
        printing.document(printing.without_managers(found), output)
        return
    spec: Spec = found.get("spec") or {}
    rows: list[tuple[str, list[str]]] = [
        ("Name:", [name]),
        ("Description:", [spec.get("description") or ""]),
        ("Destinations:", [_shown_destination(entry) for entry in spec.get("destinations") or ()]),
        ("Repositories:", list(spec.get("sourceRepos") or ())),
        ("Source Namespaces:", list(spec.get("sourceNamespaces") or ())),
        ("Allowed Cluster Resources:", _shown_kinds(spec, "clusterResourceWhitelist")),
        ("Denied Cluster Resources:", _shown_kinds(spec, "clusterResourceBlacklist")),
        ("Allowed Namespaced Resources:", _shown_kinds(spec, "namespaceResourceWhitelist")),
        ("Denied Namespaced Resources:", _shown_kinds(spec, "namespaceResourceBlacklist")),
    ]
    for label, values in rows:
        for number, value in enumerate(values or [_NONE]):
            click.echo(printing.field(label if not number else "", value, _WIDTH))


@proj.command("list")
@access
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml", "name"]), default="wide", show_default=True)
def list_(access: Access, output: str) -> None:
    """List projects."""
    found = access.run(lambda client: client.list(PROJECTS, names.CONTROL_NAMESPACE)).items
    if output == "name":
        printing.echo([objects.name(obj) for obj in found])
    elif output == "wide":
        printing.echo(printing.table([_row(obj) for obj in found], _HEADS))
    else:
        printing.document([printing.without_managers(obj) for obj in found], output)


def _row(obj: Object) -> list[str]:
    spec: Spec = obj.get("spec") or {}
    destinations = [_shown_destination(entry) for entry in spec.get("destinations") or ()]
    kinds = [_shown_kind(entry) for entry in spec.get("clusterResourceWhitelist") or ()]
    denied = spec.get("namespaceResourceBlacklist") or ()
    return [
        objects.name(obj), spec.get("description") or "", _summed(destinations, "destinations"),
        _summed(list(spec.get("sourceRepos") or ()), "repos"), _summed(kinds, "resources"),
        f"{len(denied)} resources" if denied else _NONE, _NONE,
        "disabled" if spec.get("orphanedResources") is None else "enabled",
        _summed([str(entry.get("defaultServiceAccount")) for entry in spec.get("destinationServiceAccounts") or ()],
                "destinationServiceAccounts"),
    ]  # fmt: skip


def _summed(values: list[str], what: str) -> str:
    return values[0] if len(values) == 1 else f"{len(values)} {what}" if values else _NONE


def _shown_destination(entry: dict[str, str]) -> str:
    return f"{entry.get('server') or entry.get('name') or ''},{entry.get('namespace') or ''}"


def _shown_kinds(spec: Spec, field: str) -> list[str]:
    return [_shown_kind(entry) for entry in spec.get(field) or ()]


def _shown_kind(entry: dict[str, str]) -> str:
    name = f":{entry['name']}" if entry.get("name") else ""
    return f"{entry.get('group') or ''}/{entry.get('kind') or ''}{name}"


@proj.command("delete")
@access
@click.argument("given", metavar="PROJECT...", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(access: Access, given: tuple[str, ...], yes: bool) -> None:
    """Delete projects that no Application uses."""
    for name in given:
        if not yes and sys.stdout.isatty() and not click.confirm(f"Are you sure you want to delete '{name}'?"):
            click.echo(f"The command to delete {name} was cancelled.")
            continue
        access.run(lambda client, name=name: _delete(client, name))  # type: ignore[misc]
        click.echo(f"project '{name}' deleted")


async def _delete(client: Client, name: str) -> None:
    if name == names.DEFAULT_PROJECT:
        raise Terminal("project 'default' cannot be deleted: Applications without a project belong to it")
    await _get(client, name)
    using = [
        objects.name(obj)
        for obj in (await client.list(APPLICATIONS)).items
        if (obj.get("spec") or {}).get("project") == name
    ]
    if using:
        raise Terminal(f"project '{name}' is used by {len(using)} application(s): {', '.join(sorted(using)[:5])}")
    await client.delete(PROJECTS, name, names.CONTROL_NAMESPACE)


@proj.command("edit")
@access
@click.argument("name", metavar="PROJECT")
def edit(access: Access, name: str) -> None:
    """Edit a project's spec in $EDITOR."""
    spec = manifest.edit(access.run(lambda client: _get(client, name)).get("spec") or {})
    if spec is None:
        click.echo("edit cancelled, no changes made")
        return

    def replace(now: Spec) -> None:
        now.clear()
        now.update(spec)

    access.run(lambda client: _update(client, name, replace))


def _add(spec: Spec, field: str, value: Any, what: str) -> None:
    entries = spec.setdefault(field, [])
    if value in entries:
        raise Terminal(f"{what} is there already")
    entries.append(value)


def _remove(spec: Spec, field: str, value: Any, what: str) -> None:
    entries = spec.get(field) or []
    if value not in entries:
        raise Terminal(f"{what} is not there")
    entries.remove(value)


def _define(
    name: str, help: str, field: str, remove: bool, arguments: tuple[str, ...], build: Callable[..., Any]
) -> None:
    """A verb that adds a value to a list of the spec, or takes one away."""

    @access
    def verb(access: Access, project: str, **values: Any) -> None:
        value = build(**values)
        what = f"project '{project}': {' '.join(str(part) for part in values.values() if part not in (None, False))}"

        def change(spec: Spec) -> None:
            (_remove if remove else _add)(spec, field, value, what)

        access.run(lambda client: _update(client, project, change))

    made: Callable[..., Any] = verb
    for argument in reversed(arguments):
        made = click.argument(argument, metavar=argument.upper().replace("_", "-"))(made)
    if "cluster" in arguments:
        made = flag("name", "CLUSTER is a name, not an address.", default=None)(made)
    made = click.argument("project", metavar="PROJECT")(made)
    proj.add_command(click.command(name, cls=Command, help=help)(made))


def _build_destination(cluster: str, namespace: str, name: bool | None) -> dict[str, str]:
    by_name = name if name is not None else not _is_server(cluster)
    return {"namespace": namespace, ("name" if by_name else "server"): cluster}


_define("add-source", "Permit a repository.", "sourceRepos", False, ("url",), lambda url: url)
_define("remove-source", "Permit a repository no longer.", "sourceRepos", True, ("url",), lambda url: url)
_define("add-source-namespace", "Permit Applications in a namespace.", "sourceNamespaces", False, ("namespace",),
        lambda namespace: namespace)  # fmt: skip
_define("remove-source-namespace", "Permit Applications in a namespace no longer.", "sourceNamespaces", True,
        ("namespace",), lambda namespace: namespace)  # fmt: skip
_define("add-destination", "Permit a destination.", "destinations", False, ("cluster", "namespace"), _build_destination)
_define("remove-destination", "Permit a destination no longer.", "destinations", True, ("cluster", "namespace"),
        _build_destination)  # fmt: skip


def _define_kinds(verb: str, scope: str) -> None:
    """`allow-*` adds to the list of what is permitted, or takes from that of what is denied; `deny-*` the reverse."""
    default = "allow" if scope == "cluster" else "deny"

    @access
    @click.argument("project", metavar="PROJECT")
    @click.argument("group", metavar="GROUP")
    @click.argument("kind", metavar="KIND")
    @click.argument("name", metavar="[NAME]", required=False)
    @click.option("-l", "--list", "which", type=click.Choice(["allow", "deny", "white", "black"]), default=default,
                  show_default=True, help="Which list to change.")  # fmt: skip
    def changed(access: Access, project: str, group: str, kind: str, name: str | None, which: str) -> None:
        permits = which in ("allow", "white")
        field = f"{'cluster' if scope == 'cluster' else 'namespace'}Resource{'Whitelist' if permits else 'Blacklist'}"
        if name and scope != "cluster":
            raise click.UsageError("a namespaced kind takes no NAME")
        value = {"group": group, "kind": kind, **({"name": name} if name else {})}
        adds = (verb == "allow") == permits
        listed = f"{'allowed' if permits else 'denied'} {scope} resources"

        def change(spec: Spec) -> None:
            what = f"group '{group}' and kind '{kind}' in the {listed} of project '{project}'"
            (_add if adds else _remove)(spec, field, value, what)

        access.run(lambda client: _update(client, project, change))
        click.echo(f"Group '{group}' and kind '{kind}' is {'added to' if adds else 'removed from'} {listed}")

    name = f"{verb}-{scope}-resource"
    help = f"{'Permit' if verb == 'allow' else 'Deny'} a {scope} kind."
    proj.add_command(click.command(name, cls=Command, help=help)(changed))


for _verb in ("allow", "deny"):
    for _scope in ("cluster", "namespace"):
        _define_kinds(_verb, _scope)


async def _get(client: Client, name: str) -> Object:
    try:
        return await client.get(PROJECTS, name, names.CONTROL_NAMESPACE)
    except StatusError as error:
        if error.code == 404:
            raise Terminal(f"project '{name}' not found: `seatrial proj list` shows them") from error
        raise


async def _update(client: Client, name: str, change: Callable[[Spec], None]) -> None:
    for _ in range(_TRIES):
        obj = objects.clone(await _get(client, name))
        change(obj.setdefault("spec", {}))
        try:
            await client.update(PROJECTS, obj)
            return
        except StatusError as error:
            if error.reason != "Conflict":
                raise
    raise Terminal(f"project '{name}' changes too fast to be changed: try again")
