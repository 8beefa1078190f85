"""Events, in the two shapes the API serves them: the core one, which is stored, and that of `events.k8s.io`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.kinds import checks
from seatrial.cluster.apiserver.kinds.rules import Rules, dig, shown, text
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_NOTE_LIMIT = 1024
_TYPES = ("Normal", "Warning")
_NEW_FIELDS_REQUIRED = ("reportingController", "reportingInstance", "action", "reason")
_NEW_FIELDS_FIXED = (
    "eventTime",
    "reportingController",
    "reportingInstance",
    "action",
    "reason",
    "regarding",
    "related",
    "note",
    "type",
)


def _place(obj: Object, reference: str) -> list[Cause]:
    """A cluster-scoped object's events live in `default`; those of a namespaced object beside it."""
    namespace, about = objects.namespace(obj), dig(obj, reference, "namespace") or ""
    if (about or "default") == namespace or (not about and namespace == "kube-system"):
        return []
    return [invalid_value(f"{reference}.namespace", about, "does not match event.namespace")]


def _validate_core(obj: Object) -> list[Cause]:
    return _place(obj, "involvedObject")


def _validate_new(obj: Object) -> list[Cause]:
    causes = _place(obj, "regarding")
    if not obj.get("eventTime"):
        return causes
    causes += [required(field) for field in _NEW_FIELDS_REQUIRED if not obj.get(field)]
    causes += checks.one_of(obj.get("type"), "type", _TYPES)
    note = obj.get("note") or ""
    if len(note.encode()) > _NOTE_LIMIT:
        causes.append(invalid_value("message", "", f"can have at most {_NOTE_LIMIT} bytes"))
    return causes


def _validate_new_update(obj: Object, old: Object) -> list[Cause]:
    """An event of the new API is a fact: only its series goes on."""
    if not old.get("eventTime"):
        return []
    return [cause for field in _NEW_FIELDS_FIXED for cause in checks.unchanged(obj.get(field), old.get(field), field)]


def _source(obj: Object) -> str:
    return shown(dig(obj, "source", "component") or obj.get("reportingComponent"))


CORE = Rules(
    validate=_validate_core,
    fields={
        **{f"involvedObject.{key}": text("involvedObject", key) for key in _REFERENCE},
        "reason": text("reason"),
        "reportingComponent": text("reportingComponent"),
        "source": _source,
        "type": text("type"),
    },
    create_on_update=True,
)

EVENTS = Rules(
    validate=_validate_new,
    validate_update=_validate_new_update,
    fields={
        **{f"regarding.{key}": text("regarding", key) for key in _REFERENCE},
        "reason": text("reason"),
        "reportingController": text("reportingController"),
        "type": text("type"),
    },
    create_on_update=True,
)

RULES = {"events.events.k8s.io": EVENTS}
