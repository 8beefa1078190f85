"""Secrets to look at: values become runs of `+`, and nothing else of them is shown.

Per key, equal values have equal runs, and each further value one that is four longer: so a diff shows which values
changed, and nothing of what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.gitops.diff.normalise import LAST_APPLIED, is_secret
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_SHORTEST, _STEP = 8, 4
_FIELDS = ("data", "stringData")
_OPAQUE = "++++++++"


def masked(*secrets: Object | None) -> list[Object | None]:
    """Copies of Secrets (as they are, or normalised) to be shown side by side; other objects as they are."""
    runs: dict[tuple[str, str], dict[str, str]] = {}
    return [_masked(obj, runs) if obj is not None and is_secret(obj) else obj for obj in secrets]


def _masked(obj: Object, runs: dict[tuple[str, str], dict[str, str]]) -> Object:
    made = objects.clone(obj)
    for field in _FIELDS:
        if field in made:
            made[field] = _hidden(field, made[field], runs)
    annotations = (made.get("metadata") or {}).get("annotations")
    if isinstance(annotations, dict) and LAST_APPLIED in annotations:
        annotations[LAST_APPLIED] = _masked_text(annotations[LAST_APPLIED], runs)
    return made


def _hidden(field: str, values: Any, runs: dict[tuple[str, str], dict[str, str]]) -> Any:
    if not isinstance(values, dict):
        return _OPAQUE if values else values
    hidden = {}
    for key, value in values.items():
        known = runs.setdefault((field, key), {})
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        hidden[key] = known.setdefault(text, "+" * (_SHORTEST + _STEP * len(known)))
    return hidden


def _masked_text(text: str, runs: dict[tuple[str, str], dict[str, str]]) -> str:
    """The annotation of client-side apply holds the manifest, values and all."""
    try:
        inner = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _OPAQUE
    return orjson.dumps(_masked(inner, runs)).decode() if isinstance(inner, dict) else _OPAQUE
