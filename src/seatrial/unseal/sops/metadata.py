"""What a SOPS file says of itself: the rules of what is encrypted, the data key for each recipient, the checksum."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyrage

from seatrial.unseal.sops.errors import SopsFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_OTHER_KEYS = ("kms", "gcp_kms", "azure_kv", "hc_vault", "pgp")
_LONGEST_PATTERN = 1000


@dataclass(frozen=True, slots=True)
class Metadata:
    age: tuple[str, ...]
    """The data key, encrypted for one recipient each (ASCII armour)."""
    recipients: tuple[str, ...]
    mac: str
    last_modified: str
    mac_only_encrypted: bool
    unencrypted_suffix: str
    encrypted_suffix: str
    unencrypted_regex: re.Pattern[str] | None
    encrypted_regex: re.Pattern[str] | None

    def is_encrypted(self, path: Sequence[str]) -> bool:
        """Whether the value at this path is to be: the last rule that is given decides."""
        encrypted = True
        if self.unencrypted_suffix:
            encrypted = not any(part.endswith(self.unencrypted_suffix) for part in path)
        if self.encrypted_suffix:
            encrypted = any(part.endswith(self.encrypted_suffix) for part in path)
        if self.unencrypted_regex is not None and any(map(self.unencrypted_regex.search, path)):
            encrypted = False
        if self.encrypted_regex is not None:
            encrypted = any(map(self.encrypted_regex.search, path))
        return encrypted

    def data_key(self, identities: Iterable[str]) -> bytes:
        """Raises SopsFailed, naming the recipients, if no identity is one of theirs."""
        known = [pyrage.x25519.Identity.from_str(text) for text in identities]
        for armoured in self.age if known else ():
            try:
                return bytes(pyrage.decrypt(armoured.encode(), known))
            except pyrage.DecryptError:
                continue
        raise SopsFailed(
            f"the file is encrypted for {', '.join(self.recipients) or 'nobody we know'}, and none of the "
            f"{len(known)} age keys here is one of theirs"
        )


def parse(raw: Mapping[str, Any]) -> Metadata:
    """Raises SopsFailed for what is missing, and for what this does not support."""
    entries = [*_dicts(raw.get("age")), *(entry for group in _groups(raw) for entry in _dicts(group.get("age")))]
    if not entries:
        others = [name for name in _OTHER_KEYS if raw.get(name)]
        what = f"by {', '.join(others)}" if others else "for nobody"
        raise SopsFailed(
            f"the file is encrypted {what}: only age recipients are supported. Add one with `sops updatekeys`"
        )
    for rule in ("unencrypted_comment_regex", "encrypted_comment_regex"):
        if raw.get(rule):
            raise SopsFailed(f"sops.{rule} is not supported: use encrypted_regex or a suffix")
    if not raw.get("mac") or not raw.get("lastmodified"):
        raise SopsFailed("sops.mac and sops.lastmodified are missing: nothing shows that the file is whole")
    return Metadata(
        age=tuple(str(entry.get("enc") or "") for entry in entries),
        recipients=tuple(str(entry.get("recipient") or "") for entry in entries),
        mac=str(raw["mac"]),
        last_modified=str(raw["lastmodified"]),
        mac_only_encrypted=_truth(raw.get("mac_only_encrypted")),
        unencrypted_suffix=str(raw.get("unencrypted_suffix") or ""),
        encrypted_suffix=str(raw.get("encrypted_suffix") or ""),
        unencrypted_regex=_pattern(raw, "unencrypted_regex"),
        encrypted_regex=_pattern(raw, "encrypted_regex"),
    )


def _groups(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups = _dicts(raw.get("key_groups"))
    if len(groups) > 1 or int(raw.get("shamir_threshold") or 0) > 1:
        raise SopsFailed("the data key is split over several key groups: this is not supported")
    return groups


def _dicts(found: object) -> list[Mapping[str, Any]]:
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _truth(value: object) -> bool:
    return str(value).lower() == "true"


def _pattern(raw: Mapping[str, Any], rule: str) -> re.Pattern[str] | None:
    text = str(raw.get(rule) or "")
    if not text:
        return None
    try:
        if len(text) > _LONGEST_PATTERN:
            raise re.error("too long")
        return re.compile(text)
    except re.error as error:
        raise SopsFailed(f"sops.{rule} is no regular expression: {error}") from None
