"""`seatrial repo add | list | get | rm`: repositories and their credentials, kept in Secrets in Argo CD's form.

Nothing secret is taken from the command line's arguments that a file or a prompt can give, and nothing is shown.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seatrial.base.errors import Terminal
from seatrial.cli import printing
from seatrial.cli.access import Access, access
from seatrial.cli.argocd import Group, flag
from seatrial.gitops.api import names, repositoryurl, secretdata
from seatrial.gitops.api.repositories import REPOSITORY, TEMPLATE, Credential, Repositories
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

SECRETS = resources.for_kind("v1", "Secret")
_HEADS = ("TYPE", "NAME", "REPO", "INSECURE", "OCI", "LFS", "CREDS", "STATUS", "MESSAGE", "PROJECT")

repo = Group("repo", help="Manage repositories and their credentials.", no_args_is_help=True)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@repo.command("add")
@access
@click.argument("url", metavar="REPOURL")
@click.option("--type", "type_", type=click.Choice(["git", "helm", "oci"]), default="git", show_default=True)
@click.option("--name", default="", help="Name; a Helm repository needs one.")
@click.option("--project", default="", help="Only for this project.")
@click.option("--username", default="", help="User.")
@click.option("--password", default="", help="Password or token; `-` reads it from standard input.")
@click.option("--bearer-token", default="", help="Token sent as it is; `-` reads it from standard input.")
@click.option("--ssh-private-key-path", type=_file, help="SSH key.")
@click.option("--tls-client-cert-path", type=_file, help="Client certificate (PEM).")
@click.option("--tls-client-cert-key-path", type=_file, help="Its key (PEM).")
@flag("insecure-skip-server-verification", "Check neither certificates nor host keys.")
@flag("insecure-ignore-host-key", "The same, by its old name.")
@flag("enable-oci", "Not supported.")
@click.option("--proxy", default="", help="Proxy.")
@click.option("--no-proxy", default="", help="What not to reach by it.")
@flag("upsert", "Change the repository if it exists.")
@flag("template", "Credentials for every repository whose URL begins with REPOURL (as `argocd repocreds add`).")
def add(access: Access, url: str, upsert: bool, template: bool, **given: Any) -> None:
    """Add a repository. It is not contacted: the controller says whether it can be read."""
    if given["type_"] == "oci" or given["enable_oci"]:
        raise Terminal("OCI registries are not supported: expected --type git or helm")
    if given["type_"] == "helm" and not given["name"] and not template:
        raise click.UsageError("a Helm repository needs --name")
    if bool(given["tls_client_cert_path"]) != bool(given["tls_client_cert_key_path"]):
        raise click.UsageError("--tls-client-cert-path and --tls-client-cert-key-path go together")
    insecure = given["insecure_skip_server_verification"] or given["insecure_ignore_host_key"]
    data = {
        "url": url,
        "type": given["type_"],
        "name": given["name"],
        "project": given["project"],
        "username": given["username"],
        "password": _secret(given["password"], "Password"),
        "bearerToken": _secret(given["bearer_token"], "Token"),
        "sshPrivateKey": _read(given["ssh_private_key_path"]),
        "tlsClientCertData": _read(given["tls_client_cert_path"]),
        "tlsClientCertKey": _read(given["tls_client_cert_key_path"]),
        "insecure": "true" if insecure else "",
        "proxy": given["proxy"],
        "noProxy": given["no_proxy"],
    }
    kind = TEMPLATE if template else REPOSITORY
    secret = secret_object(f"{'creds' if template else 'repo'}-{fnv32a(url + given['project'])}", kind, data)

    async def work(client: Client) -> None:
        await write_secret(client, secret, upsert, f"repository '{repositoryurl.shown(url)}'")

    access.run(work)
    click.echo(f"Repository '{repositoryurl.shown(url)}' added")


@repo.command("list")
@access
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml", "url", "name"]), default="wide",
              show_default=True)  # fmt: skip
@click.option("--refresh", type=click.Choice(["hard"]), expose_value=False, help="Accepted; nothing is cached.")
def list_(access: Access, output: str) -> None:
    """List repositories."""
    known = access.run(_repositories)
    _print(known, list(known.repositories), output)


@repo.command("get")
@access
@click.argument("url", metavar="REPO")
@click.option("--project", default="", help="The project's own.")
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml", "url"]), default="wide", show_default=True)
@click.option("--refresh", type=click.Choice(["hard"]), expose_value=False, help="Accepted; nothing is cached.")
def get(access: Access, url: str, project: str, output: str) -> None:
    """Show a repository."""
    known = access.run(_repositories)
    _print(known, [_entry(known, url, project)], output)


@repo.command("rm")
@access
@click.argument("urls", metavar="REPO...", nargs=-1, required=True)
@click.option("--project", default="", help="The project's own.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def rm(access: Access, urls: tuple[str, ...], project: str, yes: bool) -> None:
    """Remove repositories."""
    for url in urls:
        shown = repositoryurl.shown(url)
        if not yes and sys.stdout.isatty() and not click.confirm(f"Are you sure you want to remove '{shown}'?"):
            click.echo(f"The command to delete '{shown}' was cancelled.")
            continue

        async def work(client: Client, url: str = url) -> None:
            entry = _entry(await _repositories(client), url, project)
            await client.delete(SECRETS, entry.secret, names.CONTROL_NAMESPACE)

        access.run(work)
        click.echo(f"Repository '{shown}' removed")


async def _repositories(client: Client) -> Repositories:
    return Repositories.of(
        (await client.list(SECRETS, names.CONTROL_NAMESPACE, label_selector=names.SECRET_TYPE)).items
    )


def _entry(known: Repositories, url: str, project: str) -> Credential:
    found = known.entry(url, project)
    if found is None and not project:
        found = next((entry for entry in known.repositories if repositoryurl.same(entry.url, url)), None)
    if found is None:
        raise Terminal(f"repository '{repositoryurl.shown(url)}' not found: `seatrial repo list` shows them")
    return found


def _print(known: Repositories, entries: list[Credential], output: str) -> None:
    if output in ("url", "name"):
        printing.echo([repositoryurl.shown(entry.url) for entry in entries])
    elif output == "wide":
        printing.echo(printing.table([_row(known, entry) for entry in entries], _HEADS))
    else:
        printing.document([_document(known, entry) for entry in entries], output)


def _row(known: Repositories, entry: Credential) -> list[str]:
    status = "Failed" if entry.problem else "Unknown"
    return [
        entry.type, entry.name, repositoryurl.shown(entry.url), str(entry.insecure).lower(), "false", "false",
        _creds(known, entry), status, entry.problem, entry.project,
    ]  # fmt: skip


def _creds(known: Repositories, entry: Credential) -> str:
    if entry.proves_something:
        return "true"
    found = known.find(entry.url, entry.project)
    return "inherited" if found is not None and found.proves_something else "false"


def _document(known: Repositories, entry: Credential) -> dict[str, Any]:
    return {
        "repo": repositoryurl.shown(entry.url),
        "type": entry.type,
        "name": entry.name,
        "project": entry.project,
        "insecure": entry.insecure,
        "inheritedCreds": _creds(known, entry) == "inherited",
        "hasCreds": _creds(known, entry) != "false",
        "problem": entry.problem,
    }


# What `cluster` writes its Secrets with, too.


def secret_object(name: str, kind: str, data: dict[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": names.CONTROL_NAMESPACE,
            "labels": {names.SECRET_TYPE: kind},
            "annotations": {names.MANAGED_BY: "argocd.argoproj.io"},
        },
        "type": "Opaque",
        "data": secretdata.encoded(data),
    }


async def write_secret(client: Client, secret: Object, upsert: bool, what: str) -> None:
    """Raises Terminal if it exists and differs, unless `upsert`."""
    name = secret["metadata"]["name"]
    try:
        await client.create(SECRETS, secret)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
        existing = await client.get(SECRETS, name, names.CONTROL_NAMESPACE)
        if existing.get("data") == secret["data"]:
            return
        if not upsert:
            raise Terminal(f"{what} exists and is different: use --upsert to change it") from error
        version = existing["metadata"]["resourceVersion"]
        await client.update(SECRETS, {**secret, "metadata": {**secret["metadata"], "resourceVersion": version}})


def fnv32a(text: str) -> int:
    """Argo CD names its Secrets by this, so that both find them."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def _secret(given: str, prompt: str) -> str:
    if given != "-":
        return given
    return click.prompt(prompt, hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _read(path: Path | None) -> str:
    return path.read_text() if path else ""
