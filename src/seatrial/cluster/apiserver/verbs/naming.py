"""Generated names."""

from __future__ import annotations

import secrets

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels or look-alikes, so that no generated name spells a word (upstream's alphabet)."""
_SUFFIX_LENGTH = 5
_NAME_BASE = 58
"""A generated name's base is cut so that the whole fits a DNS label."""


def generated_name(prefix: str) -> str:
    suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(_SUFFIX_LENGTH))
    return prefix[:_NAME_BASE] + suffix
