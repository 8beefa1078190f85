"""`app create | set | unset | edit | patch | delete | add-source | remove-source | confirm-deletion`."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click
import orjson

from seatrial.base.clock import SystemClock, rfc3339
from seatrial.base.errors import Terminal
from seatrial.cli import manifest
from seatrial.cli.access import Access, access
from seatrial.cli.app import look, options, store
from seatrial.cli.app.options import spec_options
from seatrial.cli.argocd import Command, app_namespace, flag, parse_pairs, qualified
from seatrial.gitops.api import names
from seatrial.gitops.api.application import Application
from seatrial.gitops.api.clusters import Clusters
from seatrial.gitops.api.project import Project
from seatrial.gitops.api.resources import APPLICATIONS, PROJECTS
from seatrial.gitops.api.validate import problems
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

_SECRETS = resources.for_kind("v1", "Secret")
_CASCADE = (names.RESOURCES_FINALIZER, names.BACKGROUND_FINALIZER, f"{names.RESOURCES_FINALIZER}/foreground")


@click.command("create", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="[APPNAME]", required=False)
@click.option("--name", "named", help="The name, where it is not an argument (deprecated).")
@click.option("-f", "--file", "file", help="Manifest: a file, a URL, or - for standard input.")
@click.option("-l", "--label", "labels", multiple=True, help="Label KEY=VALUE. Repeatable.")
@click.option("--annotations", multiple=True, help="Annotation KEY=VALUE. Repeatable.")
@flag("upsert", "Change the Application if it exists and is different.")
@flag("set-finalizer", "Deleting it deletes its objects.")
@flag("validate", "Check project, destination and sources first.", default=True)
@spec_options
def create(
    access: Access,
    app_namespace: str,
    name: str | None,
    named: str | None,
    file: str | None,
    labels: tuple[str, ...],
    annotations: tuple[str, ...],
    upsert: bool,
    set_finalizer: bool,
    validate: bool,
    **given: Any,
) -> None:
    """Create an Application from flags, or Applications from a file (flags then change them)."""
    made = [] if file is None else manifest.load(file, "Application")
    if file is not None and name and len(made) == 1:
        made[0].setdefault("metadata", {})["name"] = name
    if file is None:
        if not (name or named):
            raise click.UsageError("expected APPNAME, or --file")
        made = [
            {"apiVersion": names.API_VERSION, "kind": "Application", "metadata": {"name": name or named}, "spec": {}}
        ]
    for obj in made:
        _complete(obj, app_namespace, labels, annotations, set_finalizer)
        spec = obj.setdefault("spec", {})
        if options.changes_source(given) or not spec.get("sources"):
            options.change_spec(spec, given)
        else:
            options.change_policy_and_destination(spec, given)
        spec.setdefault("project", names.DEFAULT_PROJECT)

    async def work(client: Client) -> None:
        for obj in made:
            if validate:
                await _validate(client, obj)
            done = await _created(client, obj, upsert)
            click.echo(f"application '{objects.name(obj)}' {done}")

    access.run(work)


def _complete(
    obj: Object, namespace: str, labels: tuple[str, ...], annotations: tuple[str, ...], finalize: bool
) -> None:
    metadata = obj.setdefault("metadata", {})
    if not metadata.get("name"):
        raise Terminal("the manifest has no metadata.name")
    own, metadata["name"] = qualified(metadata["name"], namespace, metadata.get("namespace") or names.CONTROL_NAMESPACE)
    metadata["namespace"] = own
    for key, pairs in (("labels", labels), ("annotations", annotations)):
        if pairs:
            metadata[key] = {**(metadata.get(key) or {}), **parse_pairs(pairs, f"--{key}")}
    if finalize and names.RESOURCES_FINALIZER not in (metadata.get("finalizers") or ()):
        metadata["finalizers"] = [*(metadata.get("finalizers") or ()), names.RESOURCES_FINALIZER]


async def _validate(client: Client, obj: Object) -> None:
    """What a controller would call an InvalidSpecError is refused here already. Raises Terminal."""
    application = Application(obj)
    project: Project | None = None
    try:
        project = Project(await client.get(PROJECTS, application.project, names.CONTROL_NAMESPACE))
    except StatusError as error:
        if error.code != 404:
            raise
    secrets = await client.list(_SECRETS, names.CONTROL_NAMESPACE, label_selector=f"{names.SECRET_TYPE}=cluster")
    wrong = problems(application, project, Clusters.of(secrets.items), control_namespace=names.CONTROL_NAMESPACE)
    if wrong:
        raise Terminal(f"application '{application.name}' is invalid: " + "; ".join(wrong))


async def _created(client: Client, obj: Object, upsert: bool) -> str:
    namespace, name = objects.namespace(obj), objects.name(obj)
    existing = await store.find(client, namespace, name)
    if existing is None:
        await client.create(APPLICATIONS, obj)
        return "created"
    if _is_same(existing.object, obj):
        return "unchanged"
    if not upsert:
        raise Terminal(
            f"application '{name}' exists and its spec is different: use --upsert to change it, or `seatrial app set`"
        )
    await store.change(client, namespace, name, lambda seen: _replacement(seen.object, obj))
    return "updated"


def _is_same(old: Object, new: Object) -> bool:
    return old.get("spec") == new.get("spec") and all(
        (objects.metadata(new).get(key) or {}).items() <= (objects.metadata(old).get(key) or {}).items()
        for key in ("labels", "annotations")
    )


def _replacement(old: Object, new: Object) -> Object:
    """A merge patch after which the spec is the new one: what it has not is taken away."""
    metadata = objects.metadata(new)
    patch: Object = {"spec": _replacing(old.get("spec") or {}, new.get("spec") or {})}
    kept = {key: metadata[key] for key in ("labels", "annotations", "finalizers") if metadata.get(key)}
    return {**patch, "metadata": kept} if kept else patch


def _replacing(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    gone = {key: None for key in old if key not in new}
    return {**gone, **{key: _replacing(old.get(key), value) for key, value in new.items()}}


def _spec_changed(change: Callable[[dict[str, Any]], bool]) -> Callable[[Application], Object | None]:
    """For `store.change`: a patch of what `change` did to the spec."""

    def make(seen: Application) -> Object | None:
        spec = objects.clone(seen.object).get("spec") or {}
        if not change(spec):
            return None
        return {"spec": _replacing(seen.object.get("spec") or {}, spec)}

    return make


@click.command("set", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@look.source_position
@flag("validate", "Check project, destination and sources first.", default=True)
@spec_options
def set_(
    access: Access, app_namespace: str, name: str, source_position: int | None, validate: bool, **given: Any
) -> None:
    """Change an Application's spec."""
    if not any(value not in (None, ()) for key, value in given.items() if "backoff" not in key):
        raise click.UsageError("nothing to set: give at least one flag that describes the spec")

    def change(spec: dict[str, Any]) -> bool:
        if spec.get("sources") and not options.changes_source(given):
            return options.change_policy_and_destination(spec, given)
        return options.change_spec(spec, given, source_position)

    async def work(client: Client) -> None:
        namespace, own = store.named([name], app_namespace)[0]
        if validate:
            before = await store.get(client, namespace, own)
            wanted = objects.clone(before.object)
            change(wanted["spec"])
            await _validate(client, wanted)
        await store.change(client, namespace, own, _spec_changed(change))

    access.run(work)


@click.command("unset", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@click.option("-p", "--parameter", "parameters", multiple=True, help="Helm parameter. Repeatable.")
@click.option("--values", multiple=True, help="Helm value file. Repeatable.")
@flag("values-literal", "The Helm values.")
@flag("ignore-missing-value-files", "Helm: mind missing value files again.")
@flag("pass-credentials", "Helm: credentials for one host only again.")
@flag("nameprefix", "Kustomize: the name prefix.")
@flag("namesuffix", "Kustomize: the name suffix.")
@flag("kustomize-version", "Kustomize: the version.")
@flag("kustomize-namespace", "Kustomize: the namespace.")
@click.option("--kustomize-image", "images", multiple=True, help="Kustomize image. Repeatable.")
@click.option("--kustomize-replica", "replicas", multiple=True, help="Kustomize replicas. Repeatable.")
@flag("ignore-missing-components", "Kustomize: mind missing components again.")
@flag("ref", "The name for other sources.")
@look.source_position
@click.option("--source-name", help="Name of a source.")
def unset(
    access: Access,
    app_namespace: str,
    name: str,
    parameters: tuple[str, ...],
    values: tuple[str, ...],
    images: tuple[str, ...],
    replicas: tuple[str, ...],
    source_position: int | None,
    source_name: str | None,
    **flags: bool,
) -> None:
    """Take overrides of a source away."""

    def change(seen: Application, spec: dict[str, Any]) -> bool:
        position = look.position_of(seen, source_name) if source_name else source_position
        source = options.source_at(spec, position)
        before = repr(source)
        _drop_fields(source, flags)
        helm, kustomize = source.get("helm") or {}, source.get("kustomize") or {}
        _keep(helm, "parameters", lambda entry: entry["name"] not in parameters)
        _keep(helm, "valueFiles", lambda file: file not in values)
        _keep(kustomize, "images", lambda image: options.image_name(image) not in map(options.image_name, images))
        _keep(kustomize, "replicas", lambda entry: entry["name"] not in replicas)
        for block in ("helm", "kustomize"):
            if source.get(block) == {}:
                del source[block]
        return repr(source) != before

    def make(seen: Application) -> Object | None:
        return _spec_changed(lambda spec: change(seen, spec))(seen)

    access.run(lambda client: store.change(client, *store.named([name], app_namespace)[0], make))


_UNSET = {
    "values_literal": ("helm.values", "helm.valuesObject"),
    "ignore_missing_value_files": ("helm.ignoreMissingValueFiles",),
    "pass_credentials": ("helm.passCredentials",),
    "nameprefix": ("kustomize.namePrefix",),
    "namesuffix": ("kustomize.nameSuffix",),
    "kustomize_version": ("kustomize.version",),
    "kustomize_namespace": ("kustomize.namespace",),
    "ignore_missing_components": ("kustomize.ignoreMissingComponents",),
    "ref": ("ref",),
}


def _drop_fields(source: dict[str, Any], flags: dict[str, bool]) -> None:
    for name, paths in _UNSET.items():
        for path in paths if flags.get(name) else ():
            block, _, field = path.rpartition(".")
            (source.get(block) or {} if block else source).pop(field, None)


def _keep(block: dict[str, Any], field: str, wanted: Callable[[Any], bool]) -> None:
    if field in block:
        block[field] = [entry for entry in block[field] if wanted(entry)]
        if not block[field]:
            del block[field]


@click.command("edit", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
def edit(access: Access, app_namespace: str, name: str) -> None:
    """Edit an Application's spec in $EDITOR."""
    namespace, own = store.named([name], app_namespace)[0]
    seen = access.run(lambda client: store.get(client, namespace, own))
    spec = manifest.edit(seen.object.get("spec") or {})
    if spec is None:
        click.echo("edit cancelled, no changes made")
        return

    def make(now: Application) -> Object:
        if now.object.get("spec") != seen.object.get("spec"):
            raise Terminal(f"application '{own}' was changed by somebody else meanwhile: edit it again")
        return {"spec": _replacing(now.object.get("spec") or {}, spec)}

    access.run(lambda client: store.change(client, namespace, own, make))


@click.command("patch", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@click.option("--patch", required=True, help="The patch.")
@click.option("--type", "type_", type=click.Choice(["json", "merge"]), default="json", show_default=True)
def patch(access: Access, app_namespace: str, name: str, patch: str, type_: str) -> None:
    """Patch an Application."""
    try:
        body = orjson.loads(patch)
    except orjson.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--patch") from error
    namespace, own = store.named([name], app_namespace)[0]
    kind = PatchType.JSON if type_ == "json" else PatchType.MERGE

    async def work(client: Client) -> None:
        await store.get(client, namespace, own)
        data = orjson.dumps(body)
        await client.raw(
            "PATCH", APPLICATIONS.path(namespace, own), headers={"content-type": str(kind)}, body=data,
            query=[("fieldManager", client.field_manager)],
        )  # fmt: skip

    access.run(work)
    click.echo(f"Application '{own}' patched")


@click.command("delete", cls=Command)
@access
@app_namespace
@click.argument("given", metavar="APPNAME...", nargs=-1)
@click.option("-l", "--selector", default="", help="Label selector.")
@flag("cascade", "Delete the objects too.", default=True)
@click.option("-p", "--propagation-policy", type=click.Choice(["foreground", "background"]), default="foreground",
              show_default=True, help="How the objects are deleted.")  # fmt: skip
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@flag("wait", "Return when it is gone.")
def delete(
    access: Access,
    app_namespace: str,
    given: tuple[str, ...],
    selector: str,
    cascade: bool,
    propagation_policy: str,
    yes: bool,
    wait: bool,
) -> None:
    """Delete Applications, with their objects unless --cascade=false."""
    if not given and not selector:
        raise click.UsageError("expected APPNAME, or --selector")

    async def work(client: Client) -> None:
        ask = cascade and not yes and sys.stdout.isatty()
        for namespace, name in await store.chosen(client, given, app_namespace, selector):
            question = f"Are you sure you want to delete '{namespace}/{name}' and all its resources?"
            if ask and not await asyncio.to_thread(click.confirm, question):
                click.echo(f"The command to delete '{namespace}/{name}' was cancelled.")
                continue
            await _delete(client, namespace, name, cascade, propagation_policy, wait=wait)
            click.echo(f"application '{namespace}/{name}' deleted")

    access.run(work)


async def _delete(client: Client, namespace: str, name: str, cascade: bool, policy: str, *, wait: bool) -> None:
    def finalizers(seen: Application) -> Object | None:
        now = objects.finalizers(seen.object)
        rest = [entry for entry in now if entry not in _CASCADE]
        chosen = names.BACKGROUND_FINALIZER if policy == "background" else names.RESOURCES_FINALIZER
        wanted = [*rest, chosen] if cascade else rest
        return None if sorted(wanted) == sorted(now) else {"metadata": {"finalizers": wanted}}

    seen = await store.get(client, namespace, name)
    if not objects.is_deleting(seen.object):
        await store.change(client, namespace, name, finalizers)
        await client.delete(APPLICATIONS, name, namespace, uid=objects.uid(seen.object))
    if wait:
        await wait_gone(client, namespace, name)


async def wait_gone(client: Client, namespace: str, name: str) -> None:
    async with store.following(client, namespace, name) as changes:
        async for seen in changes:
            if seen is None:
                return


@click.command("add-source", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@spec_options
def add_source(access: Access, app_namespace: str, name: str, **given: Any) -> None:
    """Add a source to an Application with several sources."""

    def change(spec: dict[str, Any]) -> bool:
        if not spec.get("sources"):
            raise Terminal(
                f"application '{name}' has one source: use spec.sources instead of spec.source to have several"
            )
        added: dict[str, Any] = {}
        options.change_spec(added, given)
        if not (added.get("source") or {}).get("repoURL"):
            raise click.UsageError("expected --repo")
        spec["sources"].append(added["source"])
        return True

    access.run(lambda client: store.change(client, *store.named([name], app_namespace)[0], _spec_changed(change)))
    click.echo(f"Application '{name}' updated successfully")


@click.command("remove-source", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@look.source_position
@click.option("--source-name", help="Name of a source.")
def remove_source(
    access: Access, app_namespace: str, name: str, source_position: int | None, source_name: str | None
) -> None:
    """Remove a source from an Application with several sources."""
    if (source_position is None) == (source_name is None):
        raise click.UsageError("expected one of --source-position and --source-name")

    def make(seen: Application) -> Object | None:
        many = seen.object["spec"].get("sources") or []
        position = look.position_of(seen, source_name) if source_name else source_position or 0
        if len(many) < 2:
            raise Terminal(f"application '{name}' has one source: it cannot be removed")
        if not 1 <= position <= len(many):
            raise Terminal(f"application '{name}' has {len(many)} sources: expected a position from 1 to {len(many)}")
        return {"spec": {"sources": [source for at, source in enumerate(many, 1) if at != position]}}

    access.run(lambda client: store.change(client, *store.named([name], app_namespace)[0], make))
    click.echo(f"Application '{name}' updated successfully")


@click.command("confirm-deletion", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
def confirm_deletion(access: Access, app_namespace: str, name: str) -> None:
    """Approve what waits for a confirmation before it is deleted or pruned."""
    stamp = rfc3339(SystemClock().time())
    patch: Object = {"metadata": {"annotations": {names.DELETION_APPROVED: stamp}}}
    namespace, own = store.named([name], app_namespace)[0]

    async def work(client: Client) -> None:
        await store.get(client, namespace, own)
        await store.merge(client, namespace, own, patch)

    access.run(work)
    click.echo(f"Application '{own}' updated successfully")


COMMANDS = (create, set_, unset, edit, patch, delete, add_source, remove_source, confirm_deletion)
