"""Content digests: `sha256:` and 64 hexadecimal digits. Nothing else becomes a file name in the store."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

_SHAPE = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def is_digest(text: object) -> bool:
    return isinstance(text, str) and _SHAPE.fullmatch(text) is not None


def of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def hasher(digest: str) -> _Hash:
    """An empty hash of the digest's algorithm."""
    return hashlib.new(digest.partition(":")[0])


def encoded(digest: str) -> str:
    """The hexadecimal part."""
    return digest.partition(":")[2]


def short(digest: str) -> str:
    """Twelve digits, enough for a person."""
    return encoded(digest)[:12]


def matches(digest: str, content: bytes) -> bool:
    summed = hasher(digest)
    summed.update(content)
    return summed.hexdigest() == encoded(digest)
