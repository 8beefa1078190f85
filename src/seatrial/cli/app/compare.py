"""`app diff | manifests`: rendered and compared here, with the rights of whoever asks; nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seatrial.base.errors import SeatrialError
from seatrial.cli.access import Access, access
from seatrial.cli.app import previewing, store
from seatrial.cli.app.previewing import local_options, revision_options
from seatrial.cli.argocd import Command, app_namespace, flag

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client

_ERROR = 20
"""Unlike everywhere else a failure is not 1: that says that there are differences."""


@click.command("diff", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@revision_options
@local_options
@flag("refresh", "Compare with the newest revision.")
@flag("hard-refresh", "Refresh, and render anew.")
@flag("exit-code", "Differences make the exit code.", default=True)
@click.option("--diff-exit-code", type=int, default=1, show_default=True, help="Exit code for differences.")
@click.option("--server-side-generate", is_flag=True, hidden=True, expose_value=False)
@click.option("--server-side-diff", is_flag=True, hidden=True, expose_value=False)
def diff(
    access: Access, app_namespace: str, name: str, refresh: bool, hard_refresh: bool, exit_code: bool,
    diff_exit_code: int, **asked: Any,
) -> int:  # fmt: skip
    """Show what a sync would change: live objects against manifests. Secrets are masked.

    --revision BRANCH shows what merging it would change. Exit code 0: nothing; 1: something; 20: it is not known.
    """
    previewing.check_usage(asked)

    async def work(client: Client) -> tuple[str, bool]:
        seen = await store.get(client, *store.named([name], app_namespace)[0])
        if refresh or hard_refresh:
            seen = await store.refresh(client, seen.namespace, seen.name, "hard" if hard_refresh else "normal")
        async with previewing.opened(client, access.control_namespace) as found:
            compared = await previewing.changes(found, seen, asked)
            return compared.text, bool(compared.unknown)

    try:
        text, is_unknown = access.run(work)
    except SeatrialError as error:
        click.echo(f"error: {error.message}", err=True)
        return _ERROR
    previewing.echo_diff(text)
    if is_unknown:
        return _ERROR
    return diff_exit_code if text and exit_code else 0


@click.command("manifests", cls=Command)
@access
@app_namespace
@click.argument("name", metavar="APPNAME")
@click.option("--source", "origin", type=click.Choice(["git", "live"]), default="git", show_default=True,
              help="As they are wanted, or as they are.")  # fmt: skip
@revision_options
@local_options
def manifests(access: Access, app_namespace: str, name: str, origin: str, **asked: Any) -> None:
    """Print an Application's manifests. Secrets are masked."""
    previewing.check_usage(asked)
    if origin == "live" and (asked["revision"] or asked["revisions"] or asked["local"]):
        raise click.UsageError("--source live has no revisions")

    async def work(client: Client) -> list[Any]:
        from seatrial.gitops import preview

        seen = await store.get(client, *store.named([name], app_namespace)[0])
        async with previewing.opened(client, access.control_namespace) as found:
            if origin == "live":
                return preview.shown((await found.live(seen)).values())
            targets = await found.targets(seen, await previewing.rendered(found, seen, asked))
            return preview.shown(targets.objects, targets.secrets)

    import yaml  # slow to import

    for obj in access.run(work):
        click.echo(f"---\n{yaml.safe_dump(obj, sort_keys=False)}", nl=False)


COMMANDS = (diff, manifests)
