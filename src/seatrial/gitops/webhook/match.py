"""Match: which sources a push concerns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from seatrial.gitops.api import repositoryurl
from seatrial.gitops.sources import semver

if TYPE_CHECKING:
    from seatrial.gitops.api.source import Source
    from seatrial.gitops.webhook.push import Push

_ALTERNATIVE_SSH = re.compile(r"^(?:alt)?ssh\.")


def concerns(push: Push, source: Source) -> bool:
    """Whether the source may mean another commit now. In doubt it may: looking costs little."""
    return not source.chart and is_of(push, source.repo_url) and _moves(push, source)


def is_of(push: Push, url: str) -> bool:
    """By host and path alone: the transport, the user, the port and `.git` are the reader's choice."""
    wanted = _place(url)
    return wanted is not None and any(_place(known) == wanted for known in push.urls)


def _place(url: str) -> tuple[str, str] | None:
    text = repositoryurl.normalized(url)
    try:
        parts = urlsplit(text if "://" in text else f"ssh://{text}")
        host = parts.hostname
    except ValueError:
        return None
    path = parts.path.strip("/")
    if parts.scheme == "file" or not host or not path:
        return ("", path) if path else None
    return _ALTERNATIVE_SSH.sub("", host), path


def _moves(push: Push, source: Source) -> bool:
    revision = source.target_revision.strip()
    if revision in ("", "HEAD"):
        return push.touches_head
    if revision.startswith("refs/"):
        return push.ref == revision
    name = push.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    if revision == name:
        return True
    prefix = str(source.spec.get("tagPrefix") or "")
    within = semver.range_of(revision)
    if within is None or not push.ref.startswith("refs/tags/") or not name.startswith(prefix):
        return prefix != "" and name == prefix + revision
    version = semver.parsed(name.removeprefix(prefix))
    return version is not None and within.matches(version)
