"""What is known of one built-in kind, as data: each group module fills a table of `Rules`, the package reads it.

A field that a kind does not set keeps the behaviour every kind has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.status import Cause

    Getter = Callable[[Object], str]


def _leave(_obj: Object) -> None:
    """Nothing to set."""


def _leave_both(_obj: Object, _old: Object) -> None:
    """Nothing to carry over."""


def _accept(_obj: Object) -> list[Cause]:
    return []


def _accept_both(_obj: Object, _old: Object) -> list[Cause]:
    return []


@dataclass(frozen=True, slots=True)
class Rules:
    default: Callable[[Object], None] = _leave
    """Fill what the client left out; applied to every object read from a request."""
    create: Callable[[Object], None] = _leave
    """Set what the server decides at creation."""
    update: Callable[[Object, Object], None] = _leave_both
    """Take from the old object what an update may not touch."""
    update_status: Callable[[Object, Object], None] = _leave_both
    """Take more from the old object than a status update takes anyway."""
    validate: Callable[[Object], list[Cause]] = _accept
    validate_update: Callable[[Object, Object], list[Cause]] = _accept_both
    fields: Mapping[str, Getter] = field(default_factory=dict)
    """Field-selector labels beyond metadata.name and metadata.namespace, and how to read each."""
    name: names.NameCheck = names.subdomain
    generation: bool = False
    """metadata.generation counts changes of the specification."""
    empty_status: Mapping[str, Any] = field(default_factory=dict)
    """The status a new object starts with, where the kind has the sub-resource."""
    status_on_create: bool = False
    """A new object may bring its status (only a Node does)."""
    create_on_update: bool = False
    """PUT to a name that does not exist creates it."""
    unconditional_update: bool = True
    """PUT without a resourceVersion overwrites whatever is there."""


def dig(obj: Any, *path: str) -> Any:
    """The value under nested keys, or None where any of them is missing."""
    for key in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(key)
    return obj


def text(*path: str) -> Getter:
    """A getter for a field selector: the value as text, "" when unset, `true`/`false` for booleans."""

    def get(obj: Object) -> str:
        return shown(dig(obj, *path))

    return get


def truth(*path: str) -> Getter:
    """Like `text`, for a boolean that reads `false` when unset."""

    def get(obj: Object) -> str:
        return shown(bool(dig(obj, *path)))

    return get


def number(*path: str) -> Getter:
    """Like `text`, for a number that reads `0` when unset."""

    def get(obj: Object) -> str:
        return shown(dig(obj, *path) or 0)

    return get


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def setdefaults(holder: dict[str, Any], **defaults: Any) -> None:
    """Set each field that is missing or null (the API reads null as unset)."""
    for key, value in defaults.items():
        if holder.get(key) is None:
            holder[key] = value


def struct(holder: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`, made if it is missing."""
    found = holder.get(key)
    if not isinstance(found, dict):
        found = holder[key] = {}
    return found
