"""The cluster's keys: its own certificate authority, the serving certificate and the service-account key.

Made at first start in the data directory and never changed afterwards, except the serving certificate, which
follows the names the server is reached by. A warm start only reads files: `cryptography` is imported when
something must be signed. Whoever reads a `.key` file here owns the cluster; they are 0600 in a 0700 directory.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import Terminal
from seatrial.base.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.x509 import Certificate, CertificateBuilder, Name

    from seatrial.base.clock import Clock

DAY = 86_400
CA_DAYS = 3650
SERVING_DAYS = 365
RENEW_DAYS = 30
"""A serving certificate with less time left is replaced at start."""

SKEW = 300
"""Seconds a new certificate is valid before now, for clients whose clock is behind."""


class Authority:
    """Signs serving and client certificates. Its `repr` shows where the keys are, never what they are."""

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        """Of keys that exist; `load_or_create` is how to come by one."""
        self.directory = directory
        self.ca_file = directory / "ca.crt"
        self.serving_cert = directory / "serving.crt"
        self.serving_key = directory / "serving.key"
        self.sa_key_file = directory / "sa.key"
        self.sa_public_file = directory / "sa.pub"
        self._ca_key_file = directory / "ca.key"
        self._record_file = directory / "serving.json"
        self._clock = clock
        self.ca_pem = _read(self.ca_file)
        self.service_account_key = _read(self.sa_key_file)

    def __repr__(self) -> str:
        return f"Authority({str(self.directory)!r})"

    @classmethod
    def load_or_create(cls, directory: Path, *, clock: Clock) -> Authority:
        """Raises Terminal if a part of the keys is missing or unreadable, OSError if the disk refuses."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_complete = (directory / "serving.crt").exists()  # made last: what is missing beside it was lost
        if not is_complete and not (directory / "ca.crt").exists():
            _create_ca(directory, clock.time())
        _require(directory / "ca.key")
        if not is_complete and not (directory / "sa.key").exists():
            _create_service_account_key(directory)
        return cls(directory, clock=clock)

    def serving(self, names: Sequence[str]) -> None:
        """Make sure the serving certificate is ours, covers these DNS names and addresses, and lasts a while."""
        wanted = sorted({name.lower() for name in names})
        if not self._is_served(wanted):
            self._issue_serving(wanted)

    def _is_served(self, names: list[str]) -> bool:
        """Whether the record tells of the very files on disk: a crash between two writes shows here."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = orjson.loads(self._record_file.read_bytes())
            now = self._clock.time()
            return bool(
                set(names) <= set(record["names"])
                and record["starts"] <= now < record["ends"] - RENEW_DAYS * DAY
                and record["digest"] == self._serving_digest()
            )
        return False

    def _serving_digest(self) -> str:
        """Of every key and certificate: an unusable one is noticed at start without parsing any."""
        digest = hashlib.sha256()
        for path in (self.ca_file, self._ca_key_file, self.sa_key_file, self.serving_cert, self.serving_key):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def _issue_serving(self, names: list[str]) -> None:
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        _load_key(self.sa_key_file)
        now = self._clock.time()
        key = _new_key()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "seatrial-apiserver")])
        builder = _leaf(subject, key, ExtendedKeyUsageOID.SERVER_AUTH).add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
        certificate = self._sign(builder, now, SERVING_DAYS)
        write_atomic(self.serving_key, _private_pem(key), 0o600)
        write_atomic(self.serving_cert, _certificate_pem(certificate) + self.ca_pem)
        record = {
            "names": names,
            "starts": int(now) - SKEW,
            "ends": int(now) + SERVING_DAYS * DAY,
            "digest": self._serving_digest(),
        }
        write_atomic(self._record_file, orjson.dumps(record))

    def client_certificate(self, user: str, groups: Sequence[str], days: int) -> tuple[bytes, bytes]:
        """Certificate and key, as PEM, by which the API server knows the caller as `user` in `groups`.

        Raises ValueError for a user name that is empty or longer than the 64 characters X.509 allows.
        """
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        organizations = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*organizations, x509.NameAttribute(x509.NameOID.COMMON_NAME, user)])
        key = _new_key()
        builder = _leaf(subject, key, ExtendedKeyUsageOID.CLIENT_AUTH)
        return _certificate_pem(self._sign(builder, self._clock.time(), days)), _private_pem(key)

    def _sign(self, builder: CertificateBuilder, now: float, days: int) -> Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        try:
            authority = x509.load_pem_x509_certificate(self.ca_pem)
        except ValueError as error:
            raise _damaged(self.ca_file, "is not a readable certificate") from error
        key = _load_key(self._ca_key_file)
        if _public(key) != authority.public_key():
            raise _damaged(self._ca_key_file, f"is not the key of {self.ca_file}")
        ends = min(now + days * DAY, authority.not_valid_after_utc.timestamp())
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(_public(key))
        return (
            builder.issuer_name(authority.subject)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_moment(now - SKEW))
            .not_valid_after(_moment(ends))
            .add_extension(issuer_key, critical=False)
            .sign(key, hashes.SHA256())
        )


def _create_ca(directory: Path, now: float) -> None:
    """The key first: a key without a certificate is an early crash, the reverse would be damage."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = _new_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"seatrial-ca-{int(now)}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(_public(key))
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(now - SKEW))
        .not_valid_after(_moment(now + CA_DAYS * DAY))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(_public(key)), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_atomic(directory / "ca.key", _private_pem(key), 0o600)
    write_atomic(directory / "ca.crt", _certificate_pem(certificate))


def _create_service_account_key(directory: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _new_key()
    public = _public(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_atomic(directory / "sa.pub", public)
    write_atomic(directory / "sa.key", _private_pem(key), 0o600)


def _leaf(subject: Name, key: EllipticCurvePrivateKey, usage: Any) -> CertificateBuilder:
    """A certificate for one purpose only: a serving key must not open the door for a client, nor the reverse."""
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(_public(key))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(_public(key)), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _public(key: EllipticCurvePrivateKey) -> EllipticCurvePublicKey:
    return key.public_key()


def _private_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_pem(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _load_key(path: Path) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError) as error:
        raise _damaged(path, "is not a readable private key") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise _damaged(path, "is not an elliptic-curve key")
    return key


def _moment(epoch: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)


def _read(path: Path) -> bytes:
    _require(path)
    return path.read_bytes()


def _require(path: Path) -> None:
    if not path.is_file() or path.stat().st_size == 0:
        raise _damaged(path, "is missing or empty")


def _damaged(path: Path, problem: str) -> Terminal:
    return Terminal(
        f"{path} {problem}: put it back from a copy, or remove the directory {path.parent} to have a new "
        f"certificate authority made (every kubeconfig and token issued so far becomes invalid)",
        reason="DamagedKeys",
    )
