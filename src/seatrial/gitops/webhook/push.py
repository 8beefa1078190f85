"""Push: what every sender's event comes down to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping


class WebhookRefused(Terminal):
    """The request is not an event we may or can act on."""

    reason = "BadRequest"


class WebhookUnproven(WebhookRefused):
    """A secret is configured, and the request does not know it."""

    reason = "Unauthorized"


@dataclass(frozen=True, slots=True)
class Push:
    """One ref that moved."""

    urls: tuple[str, ...]
    """Of the repository, as its server spells them: web page, HTTP and SSH clone URLs."""
    ref: str
    """Full: `refs/heads/main`."""
    before: str
    after: str
    """"" when it was deleted (and `before` when it was created)."""
    touches_head: bool
    """Whether it is, or may be, the default branch."""
    files: frozenset[str] | None = None
    """That changed; None if the sender does not say, or not all."""


_MOST_COMMITS = 20
"""GitHub and GitLab name the files of so many commits at most: with as many, there may be more."""


def commit_id(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return "" if set(text) <= {"0"} else text


def texts(*values: Any) -> tuple[str, ...]:
    """Those that are texts and not empty, each once."""
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and value))


def mapping(value: Any, field: str) -> Mapping[str, Any]:
    """Raises WebhookRefused."""
    if not isinstance(value, dict):
        raise WebhookRefused(f"the payload's `{field}`: expected an object")
    return value


def full_ref(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("refs/"):
        raise WebhookRefused("the payload's `ref`: expected a name such as refs/heads/main")
    return value


def changed_files(payload: Mapping[str, Any]) -> frozenset[str] | None:
    """Of `commits` in the form that GitHub began with."""
    commits = payload.get("commits")
    total = payload.get("total_commits_count", payload.get("total_commits", 0))
    if not isinstance(commits, list) or not commits or len(commits) >= _MOST_COMMITS or payload.get("forced"):
        return None
    if isinstance(total, int) and total > len(commits):
        return None
    found: set[str] = set()
    for commit in commits:
        for kind in ("added", "modified", "removed"):
            names = commit.get(kind) if isinstance(commit, dict) else None
            if not isinstance(names, list | None):
                return None
            found.update(name for name in names or () if isinstance(name, str))
    return frozenset(found)
