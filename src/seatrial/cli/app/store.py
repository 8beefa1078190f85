"""Reading and writing Applications, one at a time, without losing what others write meanwhile."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal
from seatrial.cli.access import closing
from seatrial.cli.argocd import qualified
from seatrial.gitops.api import names
from seatrial.gitops.api.application import Application
from seatrial.gitops.api.resources import APPLICATIONS
from seatrial.kube.client.client import PatchType
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

_TRIES = 10


async def find(client: Client, namespace: str, name: str) -> Application | None:
    try:
        return Application(await client.get(APPLICATIONS, name, namespace))
    except StatusError as error:
        if error.code != 404:
            raise
        if not error.details.get("name"):
            raise _not_installed() from error
        return None


async def get(client: Client, namespace: str, name: str) -> Application:
    """Raises Terminal if there is none."""
    found = await find(client, namespace, name)
    if found is None:
        raise Terminal(f"application '{name}' not found in namespace '{namespace}': `seatrial app list` shows them")
    return found


async def list_all(client: Client, namespace: str = "", selector: str = "") -> list[Application]:
    try:
        found = await client.list(APPLICATIONS, namespace, label_selector=selector)
    except StatusError as error:
        if error.code == 404:
            raise _not_installed() from error
        raise
    applications = [Application(obj) for obj in found.items]
    return sorted(applications, key=lambda item: (item.name, item.namespace))


async def change(
    client: Client, namespace: str, name: str, make: Callable[[Application], Object | None]
) -> Application:
    """Merge what `make` answers into the Application, for the state it saw: asked again if that has changed meanwhile.

    None changes nothing. Raises Terminal.
    """
    for _ in range(_TRIES):
        seen = await get(client, namespace, name)
        patch = make(seen)
        if patch is None:
            return seen
        metadata = {
            **(patch.get("metadata") or {}),
            "resourceVersion": objects.metadata(seen.object)["resourceVersion"],
        }
        try:
            return await merge(client, namespace, name, {**patch, "metadata": metadata})
        except StatusError as error:
            if error.reason != "Conflict":
                raise
    raise Terminal(f"application '{name}' changes too fast to be changed: try again")


async def merge(client: Client, namespace: str, name: str, patch: Object) -> Application:
    """Whatever the state is."""
    return Application(await client.patch(APPLICATIONS, name, patch, namespace, type=PatchType.MERGE))


async def replace(client: Client, obj: Object) -> Application:
    return Application(await client.update(APPLICATIONS, obj))


async def refresh(client: Client, namespace: str, name: str, kind: str) -> Application:
    """Ask the controller for a `normal` or `hard` refresh, and wait until it has taken the request off."""
    await merge(client, namespace, name, {"metadata": {"annotations": {names.REFRESH: kind}}})
    async with following(client, namespace, name) as changes:
        async for seen in changes:
            if seen is None:
                raise Terminal(f"application '{name}' was deleted meanwhile")
            if not seen.refresh:
                return seen
    raise Terminal(f"application '{name}': the watch ended")


@asynccontextmanager
async def following(client: Client, namespace: str, name: str) -> AsyncIterator[AsyncIterator[Application | None]]:
    """`follow`, ended with the block and not some time later."""
    changes = follow(client, namespace, name)
    async with closing(changes):
        yield changes


async def follow(client: Client, namespace: str, name: str) -> AsyncIterator[Application | None]:
    """The Application now and whenever it changes; None once it is gone, which is the end."""
    selector = f"metadata.name={name}"
    while True:
        listed = await client.list(APPLICATIONS, namespace, field_selector=selector)
        yield Application(listed.items[0]) if listed.items else None
        if not listed.items:
            return
        try:
            events = client.watch(
                APPLICATIONS, namespace, resource_version=listed.resource_version, field_selector=selector
            )
            async with closing(events):
                async for event in events:
                    if event.type == "DELETED":
                        yield None
                        return
                    if event.type in ("ADDED", "MODIFIED"):
                        yield Application(event.object)
        except StatusError as error:
            if error.code != 410:
                raise


def named(given: Sequence[str], namespace: str) -> list[tuple[str, str]]:
    """(namespace, name) of each."""
    return [qualified(name, namespace, names.CONTROL_NAMESPACE) for name in given]


async def chosen(
    client: Client, given: Sequence[str], namespace: str, selector: str = "", projects: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """Those named, else those that the labels and projects choose. Raises Terminal if that is none."""
    if given and (selector or projects):
        raise Terminal("name applications, or choose them by --selector or --project: not both")
    if given:
        return named(given, namespace)
    found = [
        (item.namespace, item.name)
        for item in await list_all(client, namespace, selector)
        if not projects or item.project in projects
    ]
    if not found:
        raise Terminal("no application matches: `seatrial app list` shows them")
    return found


def _not_installed() -> Terminal:
    return Terminal(
        "this cluster has no applications.argoproj.io: the GitOps controller installs them (`seatrial controller`)"
    )
