"""The data of a Secret as text. Errors name keys, never values."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def decoded(secret: Object) -> dict[str, str]:
    """`data`, decoded, and `stringData` over it. What is not base64 of UTF-8 text counts as not there."""
    found: dict[str, str] = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(value or "", validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            continue
    found.update(secret.get("stringData") or {})
    return found


def encoded(values: dict[str, str]) -> dict[str, str]:
    """For `data`; what is empty is left out."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items() if value}


def is_true(text: str) -> bool:
    """As Go reads a boolean."""
    return text in ("1", "t", "T", "true", "TRUE", "True")
