"""Repository URLs compared as Argo CD compares them: case, `.git` and the spelling of SSH do not count."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SCP = re.compile(r"[^/@:\s]+@[^/:\s]+:")
"""`git@github.com:acme/shop`."""


def normalized(url: str) -> str:
    """For comparing only: not an address to go to."""
    text = url.strip().lower()
    if "://" not in text and _SCP.match(text):
        text = text.replace(":", "/", 1)
    return text.removeprefix("ssh://").removesuffix(".git")


def same(one: str, other: str) -> bool:
    return normalized(one) == normalized(other)


def is_within(url: str, prefix: str) -> bool:
    """Whether `url` begins with `prefix`. A prefix without a path names a whole host, never the beginning of one."""
    base, full = normalized(prefix), normalized(url)
    if not base or not full.startswith(base):
        return False
    rest = full[len(base) :]
    path = base.partition("://")[2] if "://" in base else base
    return "/" in path or rest[:1] in ("", "/", ":")


def shown(url: str) -> str:
    """Without what a URL may hold of credentials: for messages."""
    try:
        parts = urlsplit(url)
        if "@" not in parts.netloc or "://" not in url:
            return url
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    except ValueError:
        return "(malformed URL)"
