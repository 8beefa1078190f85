"""Which objects a list, watch or deletecollection is about: namespace, name, label and field selectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver import kinds
from seatrial.cluster.apiserver.customresources import definition
from seatrial.kube.model import objects, selectors, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.cluster.apiserver.catalog import Kind
    from seatrial.cluster.apiserver.core import Call
    from seatrial.kube.model.objects import Object

Matcher = "Callable[[Object], bool]"


def matcher(call: Call) -> Callable[[Object], bool] | None:
    """A predicate on objects of the served version, or None when everything matches. Raises 400."""
    labels_text = call.request.param("labelSelector")
    fields_text = call.request.param("fieldSelector")
    if not labels_text and not fields_text:
        return None
    by_labels = _label_matcher(labels_text) if labels_text else None
    by_fields = _field_matcher(fields_text, call.kind) if fields_text else None
    if by_labels is None or by_fields is None:
        return by_labels or by_fields
    first, second = by_labels, by_fields
    return lambda obj: first(obj) and second(obj)


def _label_matcher(text: str) -> Callable[[Object], bool] | None:
    selector = selectors.parse_label_selector(text)
    if selector.is_empty:
        return None
    return lambda obj: selector.matches(objects.labels(obj))


def _field_matcher(text: str, kind: Kind) -> Callable[[Object], bool] | None:
    selector = selectors.parse_field_selector(text)
    if not selector.requirements:
        return None
    known = field_labels(kind)
    for path, *_rest in selector.requirements:
        if path not in known:
            raise status.bad_request(_unknown(path, known))
    return lambda obj: selector.matches(lambda path: _value(kind, obj, path))


def _unknown(path: str, known: frozenset[str]) -> str:
    """Kubernetes has two texts: kinds with labels of their own name none of them."""
    if len(known) > 2:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def field_labels(kind: Kind) -> frozenset[str]:
    if kind.custom is None:
        return kinds.field_labels(kind.resource)
    declared = definition.selectable_fields(kind.custom.definition, kind.resource.version)
    return frozenset({"metadata.name", "metadata.namespace", *declared})


def _value(kind: Kind, obj: Object, path: str) -> str:
    if kind.custom is None or path.startswith("metadata."):
        return kinds.selectable_field(kind.resource, obj, path)
    return _at(obj, path)


def _at(obj: Object, path: str) -> str:
    value: object = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
