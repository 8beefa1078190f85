"""Credentials of the tested APIs at rest: encrypted by the web service, read back by the consumer."""

from __future__ import annotations

import base64
import hashlib
import json

from cryptography.fernet import Fernet, InvalidToken


class UnreadableCredentials(ValueError):
    """They were encrypted with another key."""


class CredentialBox:
    def __init__(self, key: str) -> None:
        # Any passphrase will do as CREDENTIALS_KEY: Fernet itself wants exactly 32 bytes.
        self._fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))

    def seal(self, credentials: dict[str, str]) -> str:
        return self._fernet.encrypt(json.dumps(credentials).encode()).decode() if credentials else ""

    def open(self, sealed: str) -> dict[str, str]:
        if not sealed:
            return {}
        try:
            return json.loads(self._fernet.decrypt(sealed.encode()))
        except InvalidToken:
            raise UnreadableCredentials("the project's credentials were saved under another CREDENTIALS_KEY") from None
