"""`seatrial secret seal | fetch-cert | rotate`: Secrets that may lie in Git, in kubeseal's format."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson
import yaml

from seatrial.base.clock import SystemClock
from seatrial.base.errors import Terminal
from seatrial.cli import manifest
from seatrial.cli.access import Access, access
from seatrial.kube.model import objects, resources

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object
    from seatrial.unseal.keys import SealingKey

_SECRETS = resources.for_plural("secrets")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_scope = click.Choice(["strict", "namespace-wide", "cluster-wide"])


@click.group(no_args_is_help=True)
def secret() -> None:
    """Seal Secrets so that they may lie in Git."""


@secret.command()
@access
@click.option(
    "-f", "--filename", "place", default="-", metavar="FILE", help="Secret to seal (default: standard input)."
)
@click.option("--cert", type=_file, help="Seal with this certificate instead of asking the cluster for it.")
@click.option(
    "--scope", type=_scope, help="Where it may be unsealed (default: as the Secret is annotated, else strict)."
)
@click.option("-n", "--namespace", default="", help="Namespace of a Secret that names none.")
@click.option("--name", default="", help="With --raw: the name of the Secret.")
@click.option("--raw", is_flag=True, help="Seal the bytes of --from-file and print the ciphertext alone.")
@click.option("--from-file", type=click.Path(allow_dash=True), help="With --raw: the value (`-`: standard input).")
@click.option("--merge-into", type=_file, help="Add the sealed values to this SealedSecret, in place.")
@click.option(
    "-o", "--format", "--output", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True
)
def seal(
    access: Access, place: str, cert: Path | None, scope: str | None, namespace: str, name: str, raw: bool,
    from_file: str | None, merge_into: Path | None, form: str,
) -> None:  # fmt: skip
    """Turn a Secret into a SealedSecret. Nothing of it is sent anywhere.

    `kubectl create secret generic db --from-literal=password=... --dry-run=client -o yaml | seatrial secret seal`
    """
    from seatrial.unseal import sealedsecret
    from seatrial.unseal.sealedsecret import Scope

    chosen = Scope(scope) if scope else None
    if raw:
        value = _bytes(from_file)
        needed = {Scope.STRICT: (namespace, name), Scope.NAMESPACE: (namespace,)}.get(chosen or Scope.STRICT, ())
        if not all(needed):
            raise click.UsageError(
                "--raw needs --namespace, and --name with scope strict: they are part of what is sealed"
            )
        key = _public_key(access, cert)
        click.echo(sealedsecret.seal_value(key, value, namespace, name, chosen or Scope.STRICT))
        return
    found = [_placed(obj, namespace) for obj in manifest.load(place, "Secret")]
    key = _public_key(access, cert)
    sealed = [sealedsecret.seal(obj, key, chosen) for obj in found]
    if merge_into is not None:
        _merge(merge_into, sealed)
        return
    click.echo(_shown(sealed, form), nl=False)


@secret.command("fetch-cert")
@access
def fetch_cert(access: Access) -> None:
    """Print the certificate to seal with. It is no secret: keep it beside the repository to seal offline."""
    from seatrial.unseal import keys

    click.echo(keys.pem(access.run(_sealing_key).certificate), nl=False)


@secret.command()
@access
def rotate(access: Access) -> None:
    """Make a new key to seal with. What older keys sealed can still be unsealed; seal it anew when you can."""
    from seatrial.unseal import keys

    async def work(client: Client) -> Object:
        made = await asyncio.to_thread(keys.generate, keys.NAMESPACE, SystemClock().time())
        return await client.create(_SECRETS, made)

    click.echo(f"secret/{objects.name(access.run(work))} created: new secrets are sealed with it")


def _bytes(from_file: str | None) -> bytes:
    if not from_file:
        raise click.UsageError("--raw needs --from-file (`-` is standard input)")
    return sys.stdin.buffer.read() if from_file == "-" else Path(from_file).read_bytes()


def _placed(obj: Object, namespace: str) -> Object:
    """A Secret without a namespace gets the one that was asked for; another one is a mistake."""
    own = objects.namespace(obj)
    if own and namespace and own != namespace:
        raise Terminal(f"secret {own}/{objects.name(obj)}: --namespace says {namespace}: leave one of them out")
    if own or not namespace:
        return obj
    return {**obj, "metadata": {**objects.metadata(obj), "namespace": namespace}}


def _public_key(access: Access, cert: Path | None) -> RSAPublicKey:
    from seatrial.unseal import keys

    if cert is not None:
        return keys.public_key(cert.read_bytes())
    return access.run(_sealing_key).private.public_key()


async def _sealing_key(client: Client) -> SealingKey:
    from seatrial.unseal import keys

    stored = await client.list(_SECRETS, keys.NAMESPACE, label_selector=f"{keys.LABEL}={keys.ACTIVE}")
    found = keys.newest_first(keys.parse(item) for item in stored.items)
    if not found:
        raise Terminal(f"no sealing key in {keys.NAMESPACE}: is the controller running? See `seatrial status`")
    return found[0]


def _merge(path: Path, sealed: list[Object]) -> None:
    """kubeseal's --merge-into: new values are added, those of the same name replaced."""
    if len(sealed) != 1:
        raise Terminal("--merge-into takes one Secret at a time")
    into: Any = yaml.safe_load(path.read_text())
    if not isinstance(into, dict) or into.get("kind") != "SealedSecret":
        raise Terminal(f"{path}: expected a SealedSecret")
    new = sealed[0]
    if objects.ref(into) != objects.ref(new):
        raise Terminal(
            f"{path} is {objects.ref(into)}, the Secret would become {objects.ref(new)}: values are bound to it"
        )
    into.setdefault("spec", {}).setdefault("encryptedData", {}).update(new["spec"]["encryptedData"])
    path.write_text(_shown([into], "json" if path.suffix == ".json" else "yaml"))


def _shown(found: list[Object], form: str) -> str:
    if form == "json":
        return "\n".join(orjson.dumps(obj, option=orjson.OPT_INDENT_2).decode() for obj in found) + "\n"
    return "---\n".join(yaml.safe_dump(obj, sort_keys=False) for obj in found)
