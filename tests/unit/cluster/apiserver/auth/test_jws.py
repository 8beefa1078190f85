from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from seatrial.cluster.apiserver.auth.jws import MAX_TOKEN, SigningKey, decode, encode


def pem_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


KEY = SigningKey(pem_of(ec.generate_private_key(ec.SECP256R1())))
TOKEN = KEY.sign({"sub": "me"})
_, PAYLOAD, SIGNATURE = TOKEN.split(".")


def with_header(header: Any, signature: str = SIGNATURE) -> str:
    return f"{encode(json.dumps(header).encode())}.{PAYLOAD}.{signature}"


def resigned(header: dict[str, Any]) -> str:
    """A token whose signature by our key is right for this header."""
    key = SigningKey(KEY._pem)
    key.__dict__["_header"] = encode(json.dumps(header).encode())
    return key.sign({"sub": "me"})


def test_what_was_signed_is_read_again() -> None:
    assert KEY.verify(TOKEN) == {"sub": "me"}


def test_another_key_does_not_accept_it() -> None:
    other = SigningKey(pem_of(ec.generate_private_key(ec.SECP256R1())))
    assert other.verify(TOKEN) is None
    assert other.verify(with_header({"alg": "ES256"})) is None


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_changed_character_anywhere_breaks_it(part: int) -> None:
    parts = TOKEN.split(".")
    parts[part] = parts[part][:5] + ("A" if parts[part][5] != "A" else "B") + parts[part][6:]
    assert KEY.verify(".".join(parts)) is None


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS256", "ES384", "", None, ["ES256"]])
def test_the_header_cannot_choose_another_algorithm(alg: object) -> None:
    assert KEY.verify(resigned({"alg": alg, "kid": KEY.key_id})) is None
    assert KEY.verify(with_header({"alg": alg})) is None


def test_the_public_key_is_no_hmac_secret() -> None:
    public = KEY._private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = with_header({"alg": "HS256"}).rpartition(".")[0]
    assert KEY.verify(f"{signed}.{encode(hmac.digest(public, signed.encode(), 'sha256'))}") is None


def test_a_header_that_names_another_key_or_demands_extensions_is_refused() -> None:
    assert KEY.verify(resigned({"alg": "ES256"})) == {"sub": "me"}
    assert KEY.verify(resigned({"alg": "ES256", "kid": "other"})) is None
    assert KEY.verify(resigned({"alg": "ES256", "crit": ["exp"]})) is None


@pytest.mark.parametrize("raw", [b"", b"\0" * 64, b"\xff" * 64, b"\0" * 63, b"\0" * 65])
def test_a_signature_of_wrong_form_is_refused(raw: bytes) -> None:
    header = TOKEN.partition(".")[0]
    assert KEY.verify(f"{header}.{PAYLOAD}.{encode(raw)}") is None


def test_only_the_canonical_spelling_counts() -> None:
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    sibling = TOKEN[:-1] + last[last.index(TOKEN[-1]) ^ 1]
    assert base64.urlsafe_b64decode(sibling.rpartition(".")[2] + "==") == decode(SIGNATURE)
    assert KEY.verify(sibling) is None
    for changed in (TOKEN + "=", TOKEN + "\n", " " + TOKEN, TOKEN + ".", TOKEN.replace(".", "..", 1)):
        assert KEY.verify(changed) is None


def test_an_oversize_token_is_refused_unread() -> None:
    big = KEY.sign({"sub": "x" * MAX_TOKEN})
    assert KEY.verify(big) is None


def test_claims_must_be_an_object() -> None:
    assert KEY.verify(KEY.sign(["sub"])) is None  # type: ignore[arg-type]


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,90}){0,3}", fullmatch=True))
def test_any_text_is_answered_without_an_error(text: str) -> None:
    assert KEY.verify(text) is None


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(min_size=60, max_size=68))
def test_any_bytes_in_token_form_are_answered_without_an_error(header: bytes, payload: bytes, signature: bytes) -> None:
    assert KEY.verify(f"{encode(header)}.{encode(payload)}.{encode(signature)}") is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s)))
def test_any_json_header_is_answered_without_an_error(header: object) -> None:
    assert KEY.verify(with_header(header)) is None


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "RSA"],
)
def test_only_a_p256_key_signs(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    with pytest.raises(ValueError, match="P-256"):
        SigningKey(pem_of(key)).sign({})


def test_the_published_key_verifies_and_holds_no_private_part() -> None:
    jwk = KEY.jwk()
    x, y = (int.from_bytes(decode(jwk[axis]), "big") for axis in "xy")
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    assert public.public_numbers() == KEY._private.public_key().public_numbers()
    assert sorted(jwk) == ["alg", "crv", "kid", "kty", "use", "x", "y"]


def test_the_key_id_is_a_digest_of_the_public_key() -> None:
    der = KEY._private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert decode(KEY.key_id) == hashlib.sha256(der).digest()


def test_repr_shows_no_key() -> None:
    assert "PRIVATE" not in repr(KEY)
