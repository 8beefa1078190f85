"""Why a file cannot be decrypted; never with a value in it."""

from __future__ import annotations

from seatrial.base.errors import Terminal


class SopsFailed(Terminal):
    reason = "DecryptionFailed"
