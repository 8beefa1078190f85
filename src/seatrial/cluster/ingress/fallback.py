"""The certificate for hosts that no Secret has one for: self-signed, one for each start.

Left to itself the proxy makes a new RSA key whenever anything changes, before it follows the change: a tenth of a
second, and more on a busy machine, that every new pod would wait for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seatrial.base.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock

_NAME = "no certificate for this host"
_LIFE = timedelta(days=3650)
_LEEWAY = timedelta(days=1)


def write(directory: Path, clock: Clock) -> Path:
    """The proxy's file of settings that names the certificate."""
    certificate, key = _make(clock)
    certificate_file, key_file, settings = directory / "tls.crt", directory / "tls.key", directory / "settings.yaml"
    write_atomic(certificate_file, certificate, 0o600)
    write_atomic(key_file, key, 0o600)
    used = {"certFile": str(certificate_file), "keyFile": str(key_file)}
    write_atomic(settings, yaml.safe_dump({"tls": {"stores": {"default": {"defaultCertificate": used}}}}), 0o600)
    return settings


def _make(clock: Clock) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _NAME)])
    now = datetime.fromtimestamp(clock.time(), UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + _LIFE)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return made.public_bytes(serialization.Encoding.PEM), encoded
