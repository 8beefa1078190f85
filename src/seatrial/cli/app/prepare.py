"""What `app sync` works out before it asks for an operation: local manifests, labelled objects, a look at changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import orjson

from seatrial.base.errors import Terminal
from seatrial.cli.app import operations, previewing
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object


@dataclass(frozen=True, slots=True)
class Prepared:
    manifests: tuple[str, ...] = ()
    resources: tuple[dict[str, str], ...] = ()
    goes_on: bool = True
    """False: there is nothing to change, or it is not wanted."""


async def prepare(
    client: Client, control_namespace: str, seen: Application, asked: Mapping[str, Any], labels: Mapping[str, str]
) -> Prepared:
    """Raises SeatrialError, UsageError."""
    if asked["local"]:
        operations.check_local(seen, dry_run=asked["dry_run"])
    async with previewing.opened(client, control_namespace) as found:
        made = await previewing.rendered(found, seen, asked)
        if asked["local"] and made.secrets:
            raise Terminal(
                f"application '{seen.name}': files of {asked['local']} are encrypted with SOPS, and what they hide "
                "would be readable in the Application: commit them, and sync the commit"
            )
        manifests = _as_texts(seen, made.manifests) if asked["local"] else ()
        targets = await found.targets(seen, made)
        resources = _labelled(seen, targets.objects, labels) if labels else ()
        if not asked["preview_changes"]:
            return Prepared(manifests, resources)
        changes = await found.compared(seen, targets)
    for message in changes.unknown:
        click.echo(f"error: {message}", err=True)
    if not changes.resources:
        click.echo("====== No Differences found ======")
        return Prepared(goes_on=False)
    previewing.echo_diff(changes.text)
    goes_on = asked["assume_yes"] or click.confirm(f"\nSync application '{seen.name}'?")
    return Prepared(manifests, resources, goes_on=goes_on)


def _as_texts(seen: Application, manifests: Iterable[Object]) -> tuple[str, ...]:
    """They become part of the Application, which many may read. Raises Terminal for Secrets."""
    texts = []
    for obj in manifests:
        if obj.get("kind") in ("Secret", "SecretList") and (obj.get("data") or obj.get("stringData")):
            raise Terminal(
                f"application '{seen.name}': secret {objects.name(obj)} would be readable in the Application: "
                "commit it encrypted, or seal it with `seatrial secret seal`"
            )
        texts.append(orjson.dumps(obj).decode())
    return tuple(texts)


def _labelled(seen: Application, targets: Sequence[Object], labels: Mapping[str, str]) -> tuple[dict[str, str], ...]:
    """As an operation names them. Raises Terminal if there is none."""
    found = []
    for obj in targets:
        if all(objects.labels(obj).get(key) == value for key, value in labels.items()):
            ref = objects.ref(obj)
            key = {"group": ref.group, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
            found.append({part: value for part, value in key.items() if value})
    if not found:
        shown = ",".join(f"{key}={value}" for key, value in labels.items())
        raise Terminal(f"no object of application '{seen.name}' has the label {shown}")
    return tuple(found)
