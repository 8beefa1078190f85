"""What was decrypted for a render, struck out of everything that is said about its objects.

The objects themselves hold it: that is what it is for. Messages of the API quote values, and end up in a status, in
events, in a diff.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

_MARK = "***"


def struck(text: str, secrets: Collection[str]) -> str:
    """Without any of these, as they are or in base64."""
    found = {*secrets, *(base64.b64encode(secret.encode()).decode() for secret in secrets)}
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, _MARK)
    return text


def struck_values(value: Any, secrets: Collection[str], *, only: str = "") -> Any:
    """A copy with every text struck; `only`: those of fields of this name."""
    if not secrets:
        return value
    if isinstance(value, dict):
        return {
            key: struck(item, secrets) if isinstance(item, str) and only in ("", key)
            else struck_values(item, secrets, only=only)
            for key, item in value.items()
        }  # fmt: skip
    if isinstance(value, list):
        return [struck(item, secrets) if isinstance(item, str) and not only
                else struck_values(item, secrets, only=only) for item in value]  # fmt: skip
    return value
