"""Quantities in one spelling, where a built-in type stands inside a custom resource ("1000m" there stays "1000m")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model import quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.kube.model.objects import Object


def respell(obj: Object, path: str, type: str) -> None:
    """Change the field at `path` (with dots) of `obj`, if it is there and the type is known."""
    change = _TYPES.get(type)
    *parents, last = path.split(".")
    holder: Any = obj
    for name in parents:
        holder = holder.get(name) if isinstance(holder, dict) else None
    if change is not None and isinstance(holder, dict) and last in holder:
        holder[last] = change(holder[last])


def _quantity(value: Any) -> Any:
    try:
        return quantity.canonical(value)
    except (ValueError, TypeError):
        return value


def _resource_list(value: Any) -> Any:
    return {name: _quantity(item) for name, item in value.items()} if isinstance(value, dict) else value


def _requirements(value: Any) -> Any:
    return _with(value, limits=_resource_list, requests=_resource_list)


def _container(value: Any) -> Any:
    return _with(value, resources=_requirements)


def _empty_dir(value: Any) -> Any:
    return _with(value, sizeLimit=_quantity)


def _volume(value: Any) -> Any:
    return _with(value, emptyDir=_empty_dir)


def _pod_spec(value: Any) -> Any:
    each = _each(_container)
    return _with(
        value, containers=each, initContainers=each, ephemeralContainers=each, volumes=_each(_volume),
        overhead=_resource_list, resources=_requirements,
    )  # fmt: skip


def _pod_template(value: Any) -> Any:
    return _with(value, spec=_pod_spec)


def _claim_spec(value: Any) -> Any:
    return _with(value, resources=_requirements)


def _claim(value: Any) -> Any:
    return _with(value, spec=_claim_spec)


def _with(value: Any, **changes: Callable[[Any], Any]) -> Any:
    if not isinstance(value, dict):
        return value
    return {**value, **{name: change(value[name]) for name, change in changes.items() if name in value}}


def _each(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: [change(item) for item in value] if isinstance(value, list) else value


_TYPES: dict[str, Callable[[Any], Any]] = {
    "core/Quantity": _quantity,
    "core/v1/Quantity": _quantity,
    "core/v1/ResourceList": _resource_list,
    "core/v1/ResourceRequirements": _requirements,
    "core/v1/Container": _container,
    "core/v1/PodSpec": _pod_spec,
    "core/v1/PodTemplateSpec": _pod_template,
    "core/v1/PersistentVolumeClaim": _claim,
    "core/v1/PersistentVolumeClaimSpec": _claim_spec,
    "core/v1/Volume": _volume,
}
