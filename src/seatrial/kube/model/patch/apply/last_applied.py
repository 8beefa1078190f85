"""Peace between kubectl's two ways to apply: the annotation client-side apply keeps its last configuration in.

Only for the manager `kubectl`: what the annotation says was applied from the client, and still is so, it may take
over without conflict, and a server-side apply writes the annotation anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from seatrial.kube.model import objects
from seatrial.kube.model.patch.apply.extract import StructureError, claimed, compared
from seatrial.kube.model.patch.apply.fieldset import EMPTY, FieldSet

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.schema.types import Type

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
MANAGER = "kubectl"
MAX_ANNOTATIONS_BYTES = 256 * 1024


def takeover(live: Object, type: Type) -> FieldSet:
    """The fields of `live` that client-side apply set and nobody changed since."""
    text = objects.annotations(live).get(ANNOTATION)
    if not text:
        return EMPTY
    try:
        last = orjson.loads(text)
        if not isinstance(last, dict) or last.get("apiVersion") != live.get("apiVersion"):
            return EMPTY
        since = compared(last, live, type)
        return claimed(last, type) - since.changed - since.removed
    except (ValueError, StructureError):
        return EMPTY


def synced(obj: Object, config: Object) -> Object:
    """`obj` with `config` in its annotation, if it has that annotation (and the new one fits)."""
    annotations = objects.annotations(obj)
    if not annotations.get(ANNOTATION):
        return obj
    annotations = {**annotations, ANNOTATION: _encoded(config)}
    if sum(len(key) + len(value.encode()) for key, value in annotations.items()) > MAX_ANNOTATIONS_BYTES:
        del annotations[ANNOTATION]
    return {**obj, "metadata": {**objects.metadata(obj), "annotations": annotations}}


def _encoded(config: Object) -> str:
    if ANNOTATION in objects.annotations(config):
        rest = {key: value for key, value in objects.annotations(config).items() if key != ANNOTATION}
        config = {**config, "metadata": {**objects.metadata(config), "annotations": rest}}
    return orjson.dumps(config, option=orjson.OPT_SORT_KEYS).decode() + "\n"
