"""What the API server knows of each built-in kind beyond its schema: defaults, server-set fields, semantic checks.

The schema has pruned and type-checked an object before it comes here. Each group has a module with a table of
`Rules`; this module picks the kind's entry and adds what every kind shares. A kind without an entry (a custom
resource, or a built-in one with nothing special) gets the shared behaviour alone. Pure functions on dicts.

The order of a write: `default`, then `prepare_create` (name, uid and namespace already set), `prepare_update` or
`prepare_status_update`, then `validate`, then on updates `validate_update`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.kinds import (
    admission,
    autoscaling,
    batch,
    core,
    devices,
    discovery,
    events,
    extensions,
    identity,
    lifecycle,
    metadata,
    networking,
    pods,
    policy,
    rbac,
    scheduling,
    storage,
    workloads,
)
from seatrial.cluster.apiserver.kinds.rules import Rules
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource
    from seatrial.kube.model.status import Cause

_RULES: dict[str, Rules] = {
    **admission.RULES,
    **autoscaling.RULES,
    **batch.RULES,
    **core.RULES,
    **devices.RULES,
    **discovery.RULES,
    **events.RULES,
    **extensions.RULES,
    **identity.RULES,
    **networking.RULES,
    **policy.RULES,
    **rbac.RULES,
    **scheduling.RULES,
    **storage.RULES,
    **workloads.RULES,
}
_PLAIN = Rules()
_CUSTOM = Rules(generation=True, unconditional_update=False)


def _rules(resource: Resource) -> Rules:
    found = _RULES.get(resource.group_resource)
    if found is not None:
        return found
    return _PLAIN if lifecycle.is_builtin(resource) else _CUSTOM


def default(resource: Resource, obj: Object) -> None:
    """Fill in place what the client left out. Doing it twice changes nothing."""
    _rules(resource).default(obj)


def prepare_create(resource: Resource, obj: Object) -> None:
    """Set in place what the server decides at creation. The object has its name, namespace and uid."""
    rules = _rules(resource)
    lifecycle.prepare_create(resource, obj, rules)
    rules.create(obj)


def keep_status(resource: Resource, obj: Object, old: Object) -> None:
    """Take from the old object the status, if only its own sub-resource writes it."""
    lifecycle.keep_status(resource, obj, old)


def prepare_update(resource: Resource, obj: Object, old: Object) -> None:
    """Take from the old object what an update may not touch, and count the generation."""
    rules = _rules(resource)
    lifecycle.prepare_update(resource, obj, old)
    rules.update(obj, old)
    lifecycle.count_generation(resource, obj, old, rules)


def prepare_status_update(resource: Resource, obj: Object, old: Object) -> None:
    """Take everything but the status from the old object (the older kinds let labels and annotations through)."""
    lifecycle.prepare_status_update(resource, obj, old)
    _rules(resource).update_status(obj, old)


def validate(resource: Resource, obj: Object) -> list[Cause]:
    """Checks that a schema cannot express, on metadata and on the kind's own fields."""
    rules = _rules(resource)
    qualified = lifecycle.is_builtin(resource) and resource.group != "apiextensions.k8s.io"
    causes = metadata.validate(obj, resource.namespaced, rules.name, qualified_finalizers=qualified)
    return causes + rules.validate(obj)


def validate_update(resource: Resource, obj: Object, old: Object) -> list[Cause]:
    """What may not change. `validate` is called besides."""
    return metadata.validate_update(obj, old) + _rules(resource).validate_update(obj, old)


def validate_name(resource: Resource, name: str) -> list[str]:
    """What is wrong with a name for this kind; nothing if it is fine."""
    return _rules(resource).name(name)


def selectable_fields(resource: Resource, obj: Object) -> dict[str, str]:
    """The values field selectors compare with."""
    found = {"metadata.name": objects.name(obj), "metadata.namespace": objects.namespace(obj)}
    found.update({label: get(obj) for label, get in _rules(resource).fields.items()})
    return found


def selectable_field(resource: Resource, obj: Object, label: str) -> str:
    """The value of one field label; "" for one the kind does not have."""
    if label == "metadata.name":
        return objects.name(obj)
    if label == "metadata.namespace":
        return objects.namespace(obj)
    get = _rules(resource).fields.get(label)
    return get(obj) if get is not None else ""


def field_labels(resource: Resource) -> frozenset[str]:
    """The labels a field selector may use."""
    return frozenset({"metadata.name", "metadata.namespace", *_rules(resource).fields})


def allows_create_on_update(resource: Resource) -> bool:
    """Whether PUT to a name that does not exist creates it."""
    return _rules(resource).create_on_update


def allows_unconditional_update(resource: Resource) -> bool:
    """Whether PUT without a resourceVersion overwrites whatever is there."""
    return _rules(resource).unconditional_update


def default_grace(resource: Resource, obj: Object, asked: int | None) -> int | None:
    """Seconds between the request to delete and the deletion; None for kinds that go at once."""
    return pods.grace(obj, asked) if resource.group_resource == "pods" else None
