"""What an update would make of a live object, for manifests that no server-side apply takes.

Such a manifest names an item of a keyed list twice (an environment variable, as charts often do).
"""

from __future__ import annotations

from typing import Any


def updated(live: Any, desired: Any) -> Any:
    """`live` with what `desired` says; lists by the names of their items where these are unique, else as a whole."""
    if isinstance(live, dict) and isinstance(desired, dict):
        said = {key: updated(live.get(key), value) for key, value in desired.items() if value is not None}
        return {**live, **said}
    if isinstance(live, list) and isinstance(desired, list):
        before, after = _by_name(live), _by_name(desired)
        if before is not None and after is not None:
            return [updated(before.get(name), item) for name, item in after.items()]
    return desired


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """None: the items have no names, or not each its own."""
    found = {item["name"]: item for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)}
    return found if len(found) == len(items) else None
