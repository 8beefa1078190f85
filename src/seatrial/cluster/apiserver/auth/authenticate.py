"""From a client certificate or a bearer token to a User, or to nothing (the server answers 401).

Runs before `authorize.py` on every request, so whatever costs (parsing a certificate, checking a signature) is
remembered by digest, and whatever may change at any moment (is the account still there?) is asked every time.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from seatrial.base.clock import parse_time
from seatrial.base.errors import Terminal
from seatrial.cluster.apiserver.auth import user as identity
from seatrial.cluster.apiserver.auth.jws import MAX_TOKEN
from seatrial.cluster.apiserver.auth.tokens import LEEWAY, PRIVATE, timely
from seatrial.cluster.apiserver.auth.user import User, authenticated
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from seatrial.base.clock import Clock
    from seatrial.cluster.apiserver.auth.tokens import TokenIssuer
    from seatrial.kube.model.objects import Object

    NamespacedLookup = Callable[[str, str], Object | None]

CACHE_SIZE = 4096
"""Credentials remembered of each sort. A full cache starts again: refilling costs 0.1 ms an entry."""

CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


class Authenticated(NamedTuple):
    user: User
    audiences: tuple[str, ...]
    """Which of the audiences asked for the credential is meant for."""


class Authenticator:
    """Knows every way to prove an identity. The lookups answer from memory with the object as it is now."""

    def __init__(
        self,
        *,
        static_tokens: Mapping[str, User],
        service_accounts: TokenIssuer,
        service_account_lookup: NamespacedLookup,
        pod_lookup: NamespacedLookup,
        secret_lookup: NamespacedLookup,
        node_lookup: Callable[[str], Object | None],
        clock: Clock,
    ) -> None:
        self._static = {_digest(token): authenticated(user) for token, user in static_tokens.items()}
        self._issuer = service_accounts
        self._service_account = service_account_lookup
        self._bound: dict[str, Callable[[str, str], Object | None]] = {
            "pod": pod_lookup,
            "secret": secret_lookup,
            "node": lambda _namespace, name: node_lookup(name),
        }
        self._clock = clock
        self._certificates: dict[bytes, _Certificate] = {}
        self._verified: dict[bytes, _VerifiedToken] = {}

    def from_certificate(self, der: bytes) -> User | None:
        """The user a client certificate names. TLS must have verified it against our CA already."""
        digest = hashlib.sha256(der).digest()
        found = self._certificates.get(digest)
        if found is None:
            found = _read_certificate(der, digest.hex())
            _remember(self._certificates, digest, found)
        return found.user if found.starts <= self._clock.time() <= found.ends else None

    def from_bearer(self, token: str) -> User | None:
        """The user a bearer token stands for at this API server."""
        found = self.review(token)
        return found.user if found else None

    def review(self, token: str, audiences: Collection[str] = ()) -> Authenticated | None:
        """Like `from_bearer`, for tokens meant for others too: `audiences` says for whom (TokenReview)."""
        if not token or len(token) > MAX_TOKEN:
            return None
        wanted = tuple(audiences) or self._issuer.audiences
        digest = _digest(token)
        static = self._static.get(digest)
        if static is not None:
            meant = tuple(item for item in wanted if item in self._issuer.audiences)
            return Authenticated(static, meant) if meant else None
        return self._service_account_token(token, digest, wanted)

    def _service_account_token(self, token: str, digest: bytes, wanted: tuple[str, ...]) -> Authenticated | None:
        key = digest + repr(wanted).encode() if wanted != self._issuer.audiences else digest
        found = self._verified.get(key)
        if found is None:
            claims = self._issuer.verify(token, wanted)
            if claims is None:
                return None
            meant = tuple(item for item in wanted if item in claims["aud"])
            found = _VerifiedToken(claims, Authenticated(_user_of(claims), meant))
            _remember(self._verified, key, found)
        if not timely(found.claims, self._clock.time()):
            self._verified.pop(key, None)
            return None
        return found.answer if self._still_valid(found.claims[PRIVATE]) else None

    def _still_valid(self, private: dict[str, Any]) -> bool:
        """The account and the bound object exist and are the very ones the token was made for."""
        namespace = private["namespace"]
        account = private["serviceaccount"]
        if not self._is_same(self._service_account(namespace, account["name"]), account):
            return False
        for key, lookup in self._bound.items():
            reference = private.get(key)
            if reference is None or (key == "node" and "pod" in private):
                continue  # A pod's token only tells its node; it lives as long as the pod.
            if not self._is_same(lookup(namespace, reference["name"]), reference):
                return False
        return True

    def _is_same(self, found: Object | None, reference: dict[str, str]) -> bool:
        if found is None or objects.uid(found) != reference.get("uid", ""):
            return False
        deleted = objects.metadata(found).get("deletionTimestamp")
        return not deleted or parse_time(deleted) >= self._clock.time() - LEEWAY


@dataclass(frozen=True, slots=True)
class _Certificate:
    """`user` is None for one that is no client certificate; valid from `starts` to `ends`."""

    user: User | None
    starts: float
    ends: float


@dataclass(frozen=True, slots=True)
class _VerifiedToken:
    claims: dict[str, Any] = field(repr=False)
    answer: Authenticated


def _digest(token: str) -> bytes:
    """What tokens are looked up by: comparing digests tells an attacker nothing about the token itself."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _remember(cache: dict[bytes, Any], digest: bytes, found: object) -> None:
    if len(cache) >= CACHE_SIZE:
        cache.clear()
    cache[digest] = found


def _user_of(claims: dict[str, Any]) -> User:
    private = claims[PRIVATE]
    extra = {CREDENTIAL_ID: (f"JTI={claims['jti']}",)}
    for kind in ("pod", "node"):
        for key, value in private.get(kind, {}).items():
            extra[f"authentication.kubernetes.io/{kind}-{key}"] = (value,)
    account = private["serviceaccount"]
    return identity.service_account(private["namespace"], account["name"], account.get("uid", ""), extra)


def _read_certificate(der: bytes, fingerprint: str) -> _Certificate:
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        user = _user_of_certificate(certificate, fingerprint)
    except (ValueError, x509.DuplicateExtension, x509.InvalidVersion):
        return _Certificate(None, 0.0, 0.0)
    starts = certificate.not_valid_before_utc.timestamp()
    return _Certificate(user, starts, certificate.not_valid_after_utc.timestamp())


def _user_of_certificate(certificate: Any, fingerprint: str) -> User | None:
    """Common name and organizations, as Kubernetes reads them."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage or not names or not names[-1].value:
        return None
    groups = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    extra = {CREDENTIAL_ID: (f"X509SHA256={fingerprint}",)}
    return authenticated(User(str(names[-1].value), tuple(str(group.value) for group in groups), extra=extra))


def read_static_tokens(text: str, source: str) -> dict[str, User]:
    """The tokens of a CSV file: token, user name, uid and, optionally, comma-separated groups in quotes.

    `source` names the file in errors, which never show a token. Raises Terminal.
    """
    tokens: dict[str, User] = {}
    for number, row in enumerate(_rows(text, source), start=1):
        if not row or row[0].startswith("#"):
            continue
        where = f"{source}, line {number}"
        if len(row) < 3 or not row[0] or not row[1]:
            expected = 'token,user,uid[,"group1,group2"] with a token and a user'
            raise Terminal(f"{where}: expected {expected}, found {len(row)} fields", reason="InvalidTokenFile")
        if row[0] in tokens:
            raise Terminal(f"{where}: this token is listed twice; remove one", reason="InvalidTokenFile")
        groups = row[3].split(",") if len(row) > 3 else []
        tokens[row[0]] = User(row[1], tuple(group.strip() for group in groups if group.strip()), row[2])
    return tokens


def _rows(text: str, source: str) -> list[list[str]]:
    try:
        return list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise Terminal(f"{source}: not a CSV file: {error}", reason="InvalidTokenFile") from None
