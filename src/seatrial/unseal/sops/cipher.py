"""One encrypted value: `ENC[AES256_GCM,data:...,iv:...,tag:...,type:...]`, bound to its place in the document."""

from __future__ import annotations

import base64
import binascii
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seatrial.unseal.sops.errors import SopsFailed

Scalar = str | int | float | bool | bytes

_FORM = re.compile(r"ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\]")


def is_comment(value: object) -> bool:
    """Comments between the items of a list are kept as items themselves; the checksum leaves them out."""
    return isinstance(value, str) and value.startswith("ENC[AES256_GCM,") and value.endswith(",type:comment]")


def decrypt(text: str, key: bytes, bound_to: str) -> Scalar:
    """`bound_to` is the additional data: the value's path. Raises SopsFailed."""
    if text == "":
        return ""  # SOPS leaves an empty value as it is
    form = _FORM.fullmatch(text)
    place = bound_to.rstrip(":") or "the document"
    if form is None:
        raise SopsFailed(f"{place}: the value is not encrypted, though by the file's rules it should be")
    try:
        data, nonce, tag = (base64.b64decode(part, validate=True) for part in form.groups()[:3])
        plain = AESGCM(key).decrypt(nonce, data + tag, bound_to.encode())
    except (binascii.Error, ValueError, InvalidTag):
        raise SopsFailed(f"{place}: the value does not decrypt: it was changed or moved") from None
    return _typed(plain, form[4], place)


def _typed(plain: bytes, type_: str, place: str) -> Scalar:
    try:
        match type_:
            case "str" | "comment" | "time":
                return plain.decode()
            case "int":
                return int(plain)
            case "float":
                return float(plain)
            case "bool":
                return {"true": True, "false": False}[plain.decode().lower()]
            case "bytes":
                return plain
    except (ValueError, KeyError):
        raise SopsFailed(f"{place}: the value is no {type_}") from None
    raise SopsFailed(f"{place}: values of type {type_} are not supported")


def mac_bytes(value: Scalar) -> bytes:
    """What the checksum over all values takes of this one."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"True" if value else b"False"
    if isinstance(value, float):
        return _shortest(value).encode()
    return str(value).encode()


def _shortest(value: float) -> str:
    """The fewest digits that mean this number, without an exponent (Go's format 'f', precision -1)."""
    from decimal import Decimal

    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(repr(value), "NaN")
    text = format(Decimal(repr(value)), "f")
    return text[:-2] if text.endswith(".0") else text
