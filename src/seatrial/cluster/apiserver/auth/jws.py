"""Signed tokens in JWS compact form (RFC 7515) with exactly one algorithm, ES256, and exactly one key.

`tokens.py` says what is inside a token. Here a header can never choose the algorithm or the key: whatever is
not ES256 by our own key is no token. `cryptography` is imported at the first signature, not at start.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ALGORITHM = "ES256"
MAX_TOKEN = 16 * 1024
"""Bytes. A service-account token is about 1 KiB; HTTP servers refuse longer header lines anyway."""

_HALF = 32
"""Bytes of each of the two numbers of a P-256 signature."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def encode(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of unpadded base64url in its one canonical spelling. Raises ValueError."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data


class SigningKey:
    """An EC P-256 private key, parsed when first used."""

    def __init__(self, pem: bytes) -> None:
        self._pem = pem

    @cached_property
    def _private(self) -> EllipticCurvePrivateKey:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(self._pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("the service-account key must be an EC P-256 private key")
        return key

    @cached_property
    def key_id(self) -> str:
        """A digest of the public key: names it without revealing it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._private.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return encode(hashlib.sha256(der).digest())

    @cached_property
    def _header(self) -> str:
        return encode(orjson.dumps({"alg": ALGORITHM, "kid": self.key_id}))

    def sign(self, claims: dict[str, Any]) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        signed = f"{self._header}.{encode(orjson.dumps(claims))}"
        r, s = utils.decode_dss_signature(self._private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encode(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"

    def verify(self, token: str) -> dict[str, Any] | None:
        """The claims of a token we signed, None for anything else. Does not ask until when, or for whom."""
        if len(token) > MAX_TOKEN or not _COMPACT.fullmatch(token):
            return None
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        try:
            if not self._accepts(orjson.loads(decode(header))):
                return None
            raw = decode(signature)
            claims = orjson.loads(decode(payload))
        except ValueError:
            return None
        if not self._signed(signed.encode(), raw) or not isinstance(claims, dict):
            return None
        return claims

    def _accepts(self, header: Any) -> bool:
        return (
            isinstance(header, dict)
            and header.get("alg") == ALGORITHM
            and header.get("kid", self.key_id) == self.key_id
            and "crit" not in header
        )

    def _signed(self, message: bytes, raw: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        if len(raw) != 2 * _HALF:
            return False
        r, s = int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big")
        try:
            public = self._private.public_key()
            public.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def jwk(self) -> dict[str, str]:
        """The public key as a JSON Web Key (RFC 7517)."""
        numbers = self._private.public_key().public_numbers()
        return {
            "use": "sig",
            "kty": "EC",
            "kid": self.key_id,
            "crv": "P-256",
            "alg": ALGORITHM,
            "x": encode(numbers.x.to_bytes(_HALF, "big")),
            "y": encode(numbers.y.to_bytes(_HALF, "big")),
        }
