"""`seatrial cluster add | list | get | set | rm`: destination clusters, kept in Secrets in Argo CD's form."""

from __future__ import annotations

import asyncio
import base64
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import orjson

from seatrial.base.errors import SeatrialError, Terminal
from seatrial.cli import printing
from seatrial.cli.access import Access, access, closing, connect
from seatrial.cli.argocd import Group, flag, parse_pairs
from seatrial.cli.repo import SECRETS, fnv32a, secret_object, write_secret
from seatrial.gitops.api import names, secretdata
from seatrial.gitops.api.clusters import CLUSTER, Cluster, Clusters
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.client.connection import Connection
    from seatrial.kube.model.objects import Object

_ACCOUNTS = resources.for_kind("v1", "ServiceAccount")
_ROLES = resources.for_kind("rbac.authorization.k8s.io/v1", "ClusterRole")
_BINDINGS = resources.for_kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")
_MANAGER, _ROLE = "argocd-manager", "argocd-manager-role"
_TOKEN_SECONDS = 5.0
_TOKEN_LIFE = 365 * 86400
_HEADS = ("SERVER", "NAME", "VERSION", "STATUS", "MESSAGE", "PROJECT")

cluster = Group("cluster", help="Manage destination clusters.", no_args_is_help=True)


@cluster.command("add")
@access
@click.argument("context", metavar="CONTEXT")
@click.option("--name", default="", help="Name (default: that of the context).")
@flag("in-cluster", "Reach it at https://kubernetes.default.svc.")
@click.option("--namespace", "namespaces", multiple=True, help="Manage only this namespace. Repeatable.")
@flag("cluster-resources", "With --namespace: manage cluster-scoped objects too.")
@click.option("--project", default="", help="Only for this project.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label of the Secret. Repeatable.")
@click.option("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Annotation. Repeatable.")
@click.option("--service-account", default="", help="Use this account of the system namespace, and make none.")
@click.option("--system-namespace", default="kube-system", show_default=True, help="Namespace of the account.")
@click.option("--proxy-url", default="", help="Proxy to reach it by.")
@flag("upsert", "Change the cluster if it is known already.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def add(
    access: Access,
    context: str,
    name: str,
    in_cluster: bool,
    namespaces: tuple[str, ...],
    cluster_resources: bool,
    project: str,
    labels: tuple[str, ...],
    annotations: tuple[str, ...],
    service_account: str,
    system_namespace: str,
    proxy_url: str,
    upsert: bool,
    yes: bool,
) -> None:
    """Add the cluster of a kubeconfig context: make an account for the controller there and remember its token."""
    target = Access(access.kubeconfig, access.data_dir, context).connection()
    question = f"Make the account '{_MANAGER}' with full rights in the cluster of context '{context}'?"
    if not yes and not service_account and sys.stdout.isatty() and not click.confirm(question):
        raise click.Abort
    server = names.IN_CLUSTER if in_cluster else target.server

    async def work(client: Client) -> None:
        there = connect(target)
        try:
            account = service_account or _MANAGER
            if not service_account:
                await _make_account(there, system_namespace)
            token = await _token(there, system_namespace, account)
        finally:
            await there.close()
        config = orjson.dumps(_config(target, token, proxy_url)).decode()
        data = {
            "server": server.rstrip("/"),
            "name": name or context,
            "config": config,
            "namespaces": ",".join(namespaces),
            "clusterResources": "true" if cluster_resources else "",
            "project": project,
        }
        secret = secret_object(_secret_name(server), CLUSTER, data)
        secret["metadata"]["labels"] |= parse_pairs(labels, "--label")
        secret["metadata"]["annotations"] |= parse_pairs(annotations, "--annotation")
        await write_secret(client, secret, upsert, f"cluster '{server}'")

    access.run(work)
    click.echo(f"Cluster '{server}' added")


def _config(target: Connection, token: str, proxy: str) -> dict[str, Any]:
    tls: dict[str, Any] = {"insecure": target.insecure}
    if target.ca and not target.insecure:
        tls["caData"] = base64.b64encode(target.ca.encode()).decode()
    if target.tls_server_name:
        tls["serverName"] = target.tls_server_name
    found: dict[str, Any] = {"bearerToken": token, "tlsClientConfig": tls}
    if proxy or target.proxy:
        found["proxyUrl"] = proxy or target.proxy
    return found


async def _make_account(client: Client, namespace: str) -> None:
    role = {"name": _ROLE}
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]
    subject = {"kind": "ServiceAccount", "name": _MANAGER, "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    for kind, obj in (
        (_ACCOUNTS, {"metadata": {"name": _MANAGER, "namespace": namespace}}),
        (_ROLES, {"metadata": role, "rules": rules}),
        (
            _BINDINGS,
            {
                "metadata": {"name": f"{_ROLE}-binding"},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": _ROLE},
                "subjects": [subject],
            },
        ),
    ):
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        await client.apply(kind, whole, force=True)


async def _token(client: Client, namespace: str, account: str) -> str:
    """A token that does not expire, where the cluster still makes those; else one for a year, and it is said."""
    name = f"{account}-long-lived-token"
    secret: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {"kubernetes.io/service-account.name": account},
        },
        "type": "kubernetes.io/service-account-token",
    }
    try:
        await client.create(SECRETS, secret)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
    try:
        events = client.watch(SECRETS, namespace, field_selector=f"metadata.name={name}", send_initial_events=True)
        async with asyncio.timeout(_TOKEN_SECONDS), closing(events):
            async for event in events:
                if event.type in ("ADDED", "MODIFIED") and (token := secretdata.decoded(event.object).get("token")):
                    return token
    except TimeoutError:
        await client.delete(SECRETS, name, namespace)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": _TOKEN_LIFE},
    }
    made = await client.create(_ACCOUNTS, request, namespace, subresource="token", name=account)
    expires = made["status"]["expirationTimestamp"]
    click.echo(f"warning: this cluster makes no lasting tokens: the controller's expires at {expires}", err=True)
    return str(made["status"]["token"])


def _secret_name(server: str) -> str:
    host = (urlsplit(server).hostname or "cluster").lower().replace(":", "-")
    return f"cluster-{host}-{fnv32a(server)}"


@cluster.command("list")
@access
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml", "server", "name"]), default="wide",
              show_default=True)  # fmt: skip
def list_(access: Access, output: str) -> None:
    """List destination clusters."""

    async def work(client: Client) -> list[tuple[Cluster, str, str]]:
        found = (await _clusters(client)).all
        return [(entry, *await _version(client, entry)) for entry in found]

    if output in ("server", "name"):
        entries = access.run(_clusters).all
        printing.echo([entry.server if output == "server" else entry.name for entry in entries])
        return
    found = access.run(work)
    if output == "wide":
        printing.echo(printing.table([_row(*item) for item in found], _HEADS))
    else:
        printing.document([_document(*item) for item in found], output)


@cluster.command("get")
@access
@click.argument("which", metavar="SERVER/NAME")
@click.option(
    "-o", "--output", type=click.Choice(["wide", "json", "yaml", "server"]), default="yaml", show_default=True
)
def get(access: Access, which: str, output: str) -> None:
    """Show a destination cluster."""

    async def work(client: Client) -> tuple[Cluster, str, str]:
        entry = _entry(await _clusters(client), which)
        return (entry, *await _version(client, entry))

    found = access.run(work)
    if output == "server":
        click.echo(found[0].server)
    elif output == "wide":
        printing.echo(printing.table([_row(*found)], _HEADS))
    else:
        printing.document(_document(*found), output)


@cluster.command("set")
@access
@click.argument("which", metavar="NAME")
@click.option("--name", help="New name.")
@click.option("--namespace", "namespaces", multiple=True, help="Manage only this namespace; `*` is all. Repeatable.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label of the Secret. Repeatable.")
@click.option("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Annotation. Repeatable.")
def set_(
    access: Access,
    which: str,
    name: str | None,
    namespaces: tuple[str, ...],
    labels: tuple[str, ...],
    annotations: tuple[str, ...],
) -> None:
    """Change a destination cluster."""
    data: dict[str, str | None] = {**secretdata.encoded({"name": name or ""})}
    if namespaces:
        data["namespaces"] = secretdata.encoded({"n": ",".join(namespaces)}).get("n") if "*" not in namespaces else None
    metadata = {"labels": parse_pairs(labels, "--label"), "annotations": parse_pairs(annotations, "--annotation")}
    patch = {"data": data, "metadata": {key: value for key, value in metadata.items() if value}}

    async def work(client: Client) -> None:
        entry = _entry(await _clusters(client), which)
        if not entry.secret:
            raise Terminal(f"cluster '{which}' is the controller's own and has no Secret to change")
        await client.patch(SECRETS, entry.secret, patch, names.CONTROL_NAMESPACE, type=PatchType.MERGE)

    access.run(work)
    click.echo(f"Cluster '{which}' updated.")


@cluster.command("rm")
@access
@click.argument("given", metavar="SERVER/NAME...", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def rm(access: Access, given: tuple[str, ...], yes: bool) -> None:
    """Forget destination clusters. The account made there stays."""
    for which in given:
        if not yes and sys.stdout.isatty() and not click.confirm(f"Are you sure you want to remove '{which}'?"):
            click.echo(f"The command to remove '{which}' was cancelled.")
            continue

        async def work(client: Client, which: str = which) -> None:
            entry = _entry(await _clusters(client), which)
            if not entry.secret:
                raise Terminal(f"cluster '{which}' is the controller's own and cannot be removed")
            await client.delete(SECRETS, entry.secret, names.CONTROL_NAMESPACE)

        access.run(work)
        click.echo(f"Cluster '{which}' removed")


async def _clusters(client: Client) -> Clusters:
    selector = f"{names.SECRET_TYPE}={CLUSTER}"
    return Clusters.of((await client.list(SECRETS, names.CONTROL_NAMESPACE, label_selector=selector)).items)


def _entry(known: Clusters, which: str) -> Cluster:
    for entry in known.all:
        if which.rstrip("/") == entry.server or which == entry.name:
            return entry
    raise Terminal(f"cluster '{which}' not found: `seatrial cluster list` shows them")


async def _version(client: Client, entry: Cluster) -> tuple[str, str]:
    """(version, what is wrong): asked of the cluster itself."""
    if entry.problem:
        return "", entry.problem
    remote = client if entry.connection is None else connect(entry.connection)
    try:
        async with asyncio.timeout(10):
            answer = orjson.loads((await remote.raw("GET", "/version")).body)
        return f"{answer['major']}.{answer['minor']}", ""
    except (SeatrialError, TimeoutError, KeyError, ValueError) as error:
        return "", getattr(error, "message", "") or "no answer"
    finally:
        if remote is not client:
            await remote.close()


def _row(entry: Cluster, version: str, wrong: str) -> list[str]:
    server = f"{entry.server} ({len(entry.namespaces)} namespaces)" if entry.namespaces else entry.server
    return [server, entry.name, version, "Failed" if wrong else "Successful", wrong, entry.project]


def _document(entry: Cluster, version: str, wrong: str) -> dict[str, Any]:
    return {
        "server": entry.server,
        "name": entry.name,
        "serverVersion": version,
        "connectionState": {"status": "Failed" if wrong else "Successful", "message": wrong},
        "namespaces": list(entry.namespaces),
        "clusterResources": entry.cluster_resources,
        "project": entry.project,
        "labels": {key: value for key, value in entry.labels.items() if key != names.SECRET_TYPE},
    }
