"""Pods from templates: what ReplicaSet, StatefulSet, DaemonSet and Job all make, and the hash that names a template."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

POD_TEMPLATE_HASH = "pod-template-hash"

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, 0, 1 or 3: a hash must not spell a word, and must be good in names and labels."""
_HASH_LENGTH = 10


def pod_from(template: Object, owner: Object, *, name: str = "") -> Object:
    """A pod as the template says, controlled by `owner`; without `name` the API makes one up from the owner's."""
    made = objects.clone(template)
    given = made.get("metadata") or {}
    meta: Object = {key: given[key] for key in ("labels", "annotations", "finalizers") if given.get(key)}
    meta["namespace"] = objects.namespace(owner)
    meta["ownerReferences"] = [objects.controller_reference(owner)]
    if name:
        meta["name"] = name
    else:
        meta["generateName"] = _prefix(objects.name(owner))
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": made.get("spec") or {}}


def _prefix(owner: str) -> str:
    """The server cuts what is too long, and adds its five random characters."""
    return f"{owner}-"


def stable_hash(value: Any, collisions: int = 0) -> str:
    """The same for equal JSON, whatever the order of its keys; `collisions` gives another one where it is taken."""
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if collisions:
        data += b"/%d" % collisions
    number = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
    letters = []
    for _ in range(_HASH_LENGTH):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)


def without_hash(template: Object) -> Object:
    """The template without the label that a Deployment adds to it."""
    meta = template.get("metadata") or {}
    labels = meta.get("labels") or {}
    if POD_TEMPLATE_HASH not in labels:
        return template
    kept = {key: value for key, value in labels.items() if key != POD_TEMPLATE_HASH}
    return {**template, "metadata": {**meta, "labels": kept}}


def same_template(one: Object, other: Object) -> bool:
    return bool(_compact(without_hash(one)) == _compact(without_hash(other)))


def _compact(value: Any) -> Any:
    """Without the nulls and empty maps and lists that mean the same as nothing."""
    if isinstance(value, dict):
        shrunk = {key: _compact(item) for key, item in value.items()}
        return {key: item for key, item in shrunk.items() if item not in (None, {}, [])}
    if isinstance(value, list):
        return [_compact(item) for item in value]
    return value
