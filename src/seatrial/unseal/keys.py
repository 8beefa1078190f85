"""The sealing keys: Secrets of type kubernetes.io/tls, labelled as the sealed-secrets controller labels its own.

The newest active one seals; every one of them unseals. So a key pair brought along from a cluster that runs the
original controller works as it is, and the other way round.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from seatrial.base.clock import rfc3339
from seatrial.base.errors import Terminal
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    from seatrial.kube.model.objects import Object

LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
ACTIVE, COMPROMISED = "active", "compromised"
NAMESPACE = "kube-system"
"""Where the original controller keeps them."""
_NAME = "sealed-secrets-key"
_BITS = 4096
_DAYS = 3650


class InvalidKey(Terminal):
    reason = "InvalidKey"


@dataclass(frozen=True, slots=True)
class SealingKey:
    name: str
    created: str
    private: RSAPrivateKey
    certificate: x509.Certificate
    seals: bool
    """False: it only unseals what was sealed before."""


def generate(namespace: str, now: float, bits: int = _BITS) -> Object:
    """A new key as the Secret that keeps it. Takes about a second: not for the event loop."""
    private = rsa.generate_private_key(65537, bits)
    begins = datetime.datetime.fromtimestamp(now, datetime.UTC)
    # An empty subject, as kubeseal's own certificates have.
    nobody = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealed-secret")]))
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    key_pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    data = {"tls.crt": certificate.public_bytes(serialization.Encoding.PEM), "tls.key": key_pem}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"generateName": _NAME, "namespace": namespace, "labels": {LABEL: ACTIVE}},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def parse(secret: Object) -> SealingKey:
    """Raises InvalidKey, without a word of what is in it."""
    name = objects.name(secret)
    try:
        data = {entry: base64.b64decode(secret["data"][entry]) for entry in ("tls.crt", "tls.key")}
        private = serialization.load_pem_private_key(data["tls.key"], password=None)
        certificate = x509.load_pem_x509_certificate(data["tls.crt"])
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise InvalidKey(f"secret {name}: tls.crt and tls.key must be a certificate and its key in PEM") from None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise InvalidKey(f"secret {name}: sealing keys are RSA keys")
    seals = objects.labels(secret).get(LABEL) == ACTIVE
    created = objects.metadata(secret).get("creationTimestamp") or rfc3339(0)
    return SealingKey(name, created, private, certificate, seals)


def newest_first(keys: Iterable[SealingKey]) -> list[SealingKey]:
    """In the order of their certificates: creation times have whole seconds only."""
    return sorted(keys, key=lambda key: (key.certificate.not_valid_before_utc, key.created, key.name), reverse=True)


def public_key(certificate_pem: bytes) -> RSAPublicKey:
    """The key to seal with. Raises InvalidKey."""
    try:
        key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    except ValueError:
        raise InvalidKey("the certificate is not PEM: get it with `seatrial secret fetch-cert`") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidKey("the certificate's key is not an RSA key")
    return key


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
