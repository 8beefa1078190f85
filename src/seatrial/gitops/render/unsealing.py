"""Unsealing: files that SOPS encrypted, decrypted while they are gathered. Plaintext goes to a worker, nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Terminal
from seatrial.gitops.render import documents
from seatrial.gitops.render.documents import BadDocument
from seatrial.gitops.render.request import RenderFailed
from seatrial.unseal.sops import document as sops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seatrial.gitops.render.reading import Reading

    Decrypt = Callable[[bytes, str], bytes]
    """(content, path) -> the plain content, or the same object if it is not encrypted. Raises Terminal."""

_SHORTEST_SECRET = 4
"""Shorter ones would strike out half of every message."""


class Unsealing:
    def __init__(self, decrypt: Decrypt | None, reading: Reading) -> None:
        self._decrypt = decrypt
        self._reading = reading

    def __call__(self, content: bytes, path: str) -> bytes:
        """Raises RenderFailed."""
        if not sops.may_be_encrypted(content):
            return content
        if self._decrypt is None:
            raise RenderFailed(f"{path} is encrypted with SOPS, and there is no age key to decrypt it with")
        try:
            plain = self._decrypt(content, path)
        except Terminal as error:
            raise RenderFailed(error.message) from None
        if plain is not content:
            self._reading.unsealed.append(path)
            self._reading.secrets |= _secrets(plain, content)
        return plain


def _secrets(plain: bytes, sealed: bytes) -> set[str]:
    """The texts that the sealed file does not show."""
    shown = set(_texts(sealed))
    return {text for text in _texts(plain) if len(text) >= _SHORTEST_SECRET and text not in shown}


def _texts(plain: bytes) -> Iterator[str]:
    """Each scalar and each line of it."""
    text = plain.decode(errors="replace")
    for line in text.splitlines():
        stripped = line.strip()
        yield stripped
        yield from (part.strip().strip("\"'") for part in (*stripped.split("=", 1)[1:], *stripped.split(":", 1)[1:]))
    try:
        pending: list[Any] = list(documents.documents(plain, strict=False))
    except BadDocument:
        return
    for value in pending:
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif value is not None and not isinstance(value, bool):
            yield str(value)
            yield from (line.strip() for line in str(value).splitlines())
