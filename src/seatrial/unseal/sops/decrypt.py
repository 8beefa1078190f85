"""A whole file: every value decrypted, and the checksum over all of them compared before any is given away."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from seatrial.unseal.sops import cipher, document
from seatrial.unseal.sops import metadata as metadatas
from seatrial.unseal.sops.errors import SopsFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.unseal.sops.metadata import Metadata

_ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()
"""What the checksum begins with when it is over encrypted values only."""


def decrypt(data: bytes, path: str, identities: Iterable[str]) -> bytes:
    """The plain content, or `data` itself if SOPS had nothing to do with it. `path` tells the format.

    Raises SopsFailed, naming the file and the place, never a value.
    """
    if not document.may_be_encrypted(data):
        return data
    try:
        return _decrypt(data, path, list(identities))
    except SopsFailed as error:
        raise SopsFailed(f"{path}: {error.message}") from None


def _decrypt(data: bytes, path: str, identities: list[str]) -> bytes:
    found = document.parse(data, document.format_of(path))
    if found is None:
        return data
    metadata = metadatas.parse(found.metadata)
    walk = _Walk(metadata, metadata.data_key(identities))
    trees = tuple(walk.branch(tree, ()) for tree in found.trees)
    walk.check()
    return document.emit(found.format, trees)


class _Walk:
    def __init__(self, metadata: Metadata, key: bytes) -> None:
        self._metadata = metadata
        self._key = key
        self._sum = hashlib.sha512()
        if metadata.mac_only_encrypted:
            self._sum.update(_ONLY_ENCRYPTED)

    def branch(self, tree: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        return {key: self._value(value, (*path, str(key))) for key, value in tree.items()}

    def _value(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return self.branch(value, path)
        if isinstance(value, list):
            return [self._value(item, path) for item in value if not cipher.is_comment(item)]
        return None if value is None else self._leaf(value, path)

    def _leaf(self, value: Any, path: tuple[str, ...]) -> Any:
        encrypted = self._metadata.is_encrypted(path)
        if encrypted:
            if not isinstance(value, str):
                raise SopsFailed(
                    f"{':'.join(path)}: the value is not encrypted, though by the file's rules it should be"
                )
            value = cipher.decrypt(value, self._key, ":".join(path) + ":")
        if encrypted or not self._metadata.mac_only_encrypted:
            self._sum.update(cipher.mac_bytes(value))
        return value

    def check(self) -> None:
        """Raises SopsFailed if any value was changed, added, removed or moved since the file was encrypted."""
        wanted = cipher.decrypt(self._metadata.mac, self._key, self._metadata.last_modified)
        if not hmac.compare_digest(str(wanted), self._sum.hexdigest().upper()):
            raise SopsFailed("the checksum does not match: something was changed without sops")
