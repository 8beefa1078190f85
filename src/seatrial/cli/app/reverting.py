"""`app rollback --revert`: the way back through Git. A commit is pushed, and the controller told to look."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal
from seatrial.cli.app import previewing

if TYPE_CHECKING:
    from seatrial.gitops.api.application import Application
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object


async def revert(client: Client, control_namespace: str, seen: Application, entry: Object, user: str) -> str:
    """The id of the pushed commit, which has again what the history's entry had. Raises SeatrialError."""
    from seatrial.gitops.history.revert import Identity, Revert
    from seatrial.gitops.history.revert import revert as push
    from seatrial.gitops.sources.address import Address
    from seatrial.gitops.sources.git import access

    if len(seen.sources) != 1 or seen.sources[0].chart:
        raise Terminal(f"application '{seen.name}': --revert needs one source, in Git: use `rollback` without it")
    source = seen.sources[0]
    bad = (seen.status.get("sync") or {}).get("revision") or ""
    good = entry.get("revision") or ""
    if good == bad:
        raise Terminal(f"application '{seen.name}' is at revision {good} already: there is nothing to take back")
    async with previewing.opened(client, control_namespace) as found:
        where = Address.of(source.repo_url)
        credential = found.configuration.repositories.find(source.repo_url)
        base = {"PATH": os.environ.get("PATH", "")}
        with access.opened(where, credential, found.configuration.trust, base) as given:
            return await push(
                Revert(
                    remote=where.url,
                    branch=source.target_revision or "HEAD",
                    good=good,
                    bad=bad,
                    identity=Identity(user, f"{user}@seatrial.invalid"),
                    access=given,
                    reason=f"`rollback --revert` of {seen.name} to deployment {entry.get('id')}",
                )
            )
