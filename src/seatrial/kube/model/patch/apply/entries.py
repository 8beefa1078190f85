"""Reads and writes `metadata.managedFields`: one entry per manager, operation, version and sub-resource."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from seatrial.kube.model.patch.apply.fieldset import FieldSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object

Operation = Literal["Apply", "Update"]

MAX_UPDATE_ENTRIES = 10
"""More managers than this that wrote without apply share an entry: nobody resolves conflicts among so many."""

OLD_UPDATES_MANAGER = "ancient-changes"


@dataclass(slots=True)
class Entry:
    """What one manager owns. Never changed once made: `with_fields` gives a new one."""

    manager: str
    operation: Operation
    api_version: str
    subresource: str
    time: str
    fields: FieldSet
    source: Object | None = None
    """The entry as it stands in the object, while it says the same."""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """An applier stays the same when it goes on with another version; an updater does not."""
        version = "" if self.operation == "Apply" else self.api_version
        return (self.operation, self.manager, version, self.subresource)

    def with_fields(self, fields: FieldSet) -> Entry:
        if fields is self.fields:
            return self
        return replace(self, fields=fields, source=None)

    def to_json(self) -> Object:
        if self.source is not None:
            return self.source
        shown: Object = {"manager": self.manager, "operation": self.operation, "apiVersion": self.api_version}
        if self.time:
            shown["time"] = self.time
        shown["fieldsType"] = "FieldsV1"
        shown["fieldsV1"] = self.fields.to_fields_v1()
        if self.subresource:
            shown["subresource"] = self.subresource
        return shown


def decode(managed_fields: Any) -> list[Entry]:
    """The entries of a `managedFields`. Raises ValueError if any of them is malformed."""
    if not managed_fields:
        return []
    if not isinstance(managed_fields, list):
        raise ValueError("managedFields must be a list")
    entries = [_decode_one(entry) for entry in managed_fields]
    return list({entry.identity: entry for entry in entries}.values())


def _decode_one(entry: Any) -> Entry:
    if not isinstance(entry, dict):
        raise ValueError("an entry of managedFields must be an object")
    operation = entry.get("operation")
    if operation not in ("Apply", "Update"):
        raise ValueError("operation must be `Apply` or `Update`")
    if entry.get("fieldsType") != "FieldsV1":
        raise ValueError(f"fieldsType must be FieldsV1, got {entry.get('fieldsType')!r}")
    texts = [entry.get(key) or "" for key in ("manager", "apiVersion", "subresource", "time")]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("manager, apiVersion, subresource and time of a managedFields entry must be strings")
    manager, api_version, subresource, time = texts
    if not api_version:
        raise ValueError("apiVersion must not be empty")
    given = entry.get("fieldsV1") or {}
    fields = FieldSet.from_fields_v1(given)
    source = entry if fields.node == given else None
    return Entry(manager, operation, api_version, subresource, time, fields, source)


def encode(entries: Iterable[Entry]) -> list[Object]:
    """The `managedFields` with these entries, appliers first, then by time."""
    ordered = sorted(
        entries,
        key=lambda entry: (entry.operation, entry.time, entry.manager, entry.api_version, entry.subresource),
    )
    return [entry.to_json() for entry in ordered]


def is_reset(managed_fields: Any) -> bool:
    """`[]` and `[{}]` ask to forget all owners."""
    return managed_fields in ([], [{}])


def put(entries: list[Entry], entry: Entry) -> list[Entry]:
    """The entries with `entry` in place of the one with its identity, if any."""
    return [*(other for other in entries if other.identity != entry.identity), entry]


def find(entries: list[Entry], identity: tuple[str, str, str, str]) -> Entry | None:
    return next((entry for entry in entries if entry.identity == identity), None)


def capped(entries: list[Entry]) -> list[Entry]:
    """The entries with the oldest updates of the same version thrown together while there are too many."""
    updates = [entry for entry in entries if entry.operation == "Update"]
    surplus = len(updates) - MAX_UPDATE_ENTRIES
    if surplus <= 0:
        return entries
    oldest: dict[str, Entry] = {}
    for entry in sorted(updates, key=lambda entry: (entry.time, entry.identity)):
        bucket = oldest.get(entry.api_version)
        if bucket is None:
            oldest[entry.api_version] = entry
            continue
        union = replace(
            entry,
            manager=OLD_UPDATES_MANAGER,
            subresource="",
            fields=bucket.fields | entry.fields,
            source=None,
        )
        entries = [other for other in entries if other is not bucket and other is not entry]
        entries = put(entries, union)
        oldest[entry.api_version] = union
        surplus -= 1
        if surplus <= 0:
            break
    return entries
