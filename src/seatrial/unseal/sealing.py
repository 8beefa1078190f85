"""The encryption kubeseal uses: a session key under RSA-OAEP (SHA-256), the value under AES-256-GCM with that key.

2 bytes   length of what follows, big endian
n bytes   the session key, RSA-OAEP; the OAEP label binds it to where it may be unsealed
rest      the value, AES-GCM, nonce 0 (each session key encrypts once)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

_NONCE = bytes(12)
_KEY_BYTES = 32
_LENGTH_BYTES = 2


class CannotUnseal(Terminal):
    """None of the keys opens it: it was sealed for another cluster, name or namespace, or has been changed."""

    reason = "UnsealFailed"


def encrypt(key: RSAPublicKey, value: bytes, label: bytes) -> bytes:
    session = os.urandom(_KEY_BYTES)
    sealed = key.encrypt(session, _oaep(label))
    return len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed + AESGCM(session).encrypt(_NONCE, value, None)


def decrypt(keys: Iterable[RSAPrivateKey], data: bytes, label: bytes) -> bytes:
    """Tries each key, newest first as given. Raises CannotUnseal, which tells nothing of the value."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "big")
    sealed, rest = data[_LENGTH_BYTES : _LENGTH_BYTES + length], data[_LENGTH_BYTES + length :]
    if length == 0 or len(sealed) < length:
        raise CannotUnseal("the ciphertext is cut off")
    for key in keys:
        try:
            return AESGCM(key.decrypt(sealed, _oaep(label))).decrypt(_NONCE, rest, None)
        except (ValueError, InvalidTag):
            continue
    raise CannotUnseal("no key could decrypt secret")


def _oaep(label: bytes) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label)
