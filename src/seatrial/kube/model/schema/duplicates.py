"""Keys that an object of a JSON body has twice: a decoder keeps the last and says nothing; `fieldValidation` tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.kube.model import status

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DUPLICATES = 100
"""Duplicate keys reported of one body."""


def duplicate_fields(body: bytes, parsed: object = None) -> list[str]:
    """`duplicate field "spec.replicas"` for each key that an object of a (valid) JSON body has twice.

    Cheap for a body without any: printed again, it must have as many colons, since parsing keeps every string but
    drops all but the last of equal keys. `parsed` saves parsing it once more. Raises 400 where the body is nested
    deeper than can be printed (about 250 levels).
    """
    try:
        again = orjson.dumps(orjson.loads(body) if parsed is None else parsed)
        if body.count(b":") == again.count(b":") and b"\\u003" not in body:
            return []
        tree = json.loads(body, object_pairs_hook=_Pairs)
        return list(dict.fromkeys(_duplicates(tree, "")))[:MAX_DUPLICATES]
    except (RecursionError, orjson.JSONEncodeError):
        raise status.bad_request("the object is nested too deeply") from None


class _Pairs(dict[str, Any]):
    """A JSON object that remembers which of its keys came twice."""

    __slots__ = ("repeated",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated: list[str] = []
        if len(pairs) > len(self):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.repeated.append(key)
                seen.add(key)


def _duplicates(value: object, path: str) -> Iterator[str]:
    if isinstance(value, _Pairs):
        prefix = f"{path}." if path else ""
        for key in value.repeated:
            yield f'duplicate field "{prefix}{key}"'
        for key, item in value.items():
            yield from _duplicates(item, prefix + key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _duplicates(item, f"{path}[{index}]")
