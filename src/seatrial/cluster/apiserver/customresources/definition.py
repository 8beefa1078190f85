"""What a CustomResourceDefinition means: its defaults, its status, and the resources it adds to the API.

The server keeps the catalog; everything here is a function of the definition alone. Whether a definition may be
stored says `validation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.customresources.validation import validate
from seatrial.kube.model.resources import Resource, SubResource, sort_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.kube.model.objects import Object

__all__ = [
    "default",
    "is_established",
    "printer_columns",
    "resources",
    "scale_paths",
    "selectable_fields",
    "status",
    "validate",
]

_AGE = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
    "description": "When the object was created: RFC 3339, in UTC.",
}
_SUBRESOURCE_VERBS = ("get", "patch", "update")
_CONFLICTS = (
    ("plural", "PluralConflict"),
    ("singular", "SingularConflict"),
    ("shortNames", "ShortNamesConflict"),
    ("kind", "KindConflict"),
    ("listKind", "ListKindConflict"),
)


def default(crd: Object) -> None:
    """Fill in, in place, the names that follow from the kind, and that versions are not converted."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        if not names.get("singular"):
            names["singular"] = names["kind"].lower()
        if not names.get("listKind"):
            names["listKind"] = names["kind"] + "List"
    if not spec.get("conversion"):
        spec["conversion"] = {"strategy": "None"}
    if spec.get("preserveUnknownFields") is False:
        del spec["preserveUnknownFields"]  # false is what its absence says, and how the API prints it


def status(crd: Object, taken: Mapping[str, str], now: str) -> dict[str, Any]:
    """The status after the definition was written at `now`: which names it has, and whether it is served.

    `taken` are the names (plural, singular, kind, ...) of other resources in the group, with their owner's plural.
    Once established, a definition stays so; a name it cannot have leaves the one it had.
    """
    found: dict[str, Any] = dict(crd.get("status") or {})
    accepted, problem = _accepted(crd["spec"]["names"], found.get("acceptedNames") or {}, taken)
    conditions = [dict(condition) for condition in found.get("conditions") or ()]
    if problem:
        _set(conditions, now, "NamesAccepted", "False", *problem)
    else:
        _set(conditions, now, "NamesAccepted", "True", "NoConflicts", "no conflicts found")
    if not problem:
        text = "the initial names have been accepted"
        _set(conditions, now, "Established", "True", "InitialNamesAccepted", text)
    elif not _is_true(conditions, "Established"):
        _set(conditions, now, "Established", "False", "NotAccepted", "not all names are accepted")
    stored = list(found.get("storedVersions") or ())
    storage = next(version["name"] for version in crd["spec"]["versions"] if version.get("storage"))
    found["acceptedNames"] = accepted
    found["conditions"] = conditions
    found["storedVersions"] = stored if storage in stored else [*stored, storage]
    return found


def is_established(crd: Object) -> bool:
    """Whether its names were accepted once, so that it is served."""
    return _is_true((crd.get("status") or {}).get("conditions") or [], "Established")


def resources(crd: Object) -> list[Resource]:
    """One for each served version, the preferred version first."""
    versions = {version["name"]: version for version in crd["spec"]["versions"] if version.get("served")}
    return [_resource(crd, versions[name]) for name in sort_versions(versions)]


def printer_columns(crd: Object, version: str) -> list[dict[str, Any]]:
    """The columns after the name; only the age if the version declares none."""
    return _version(crd, version).get("additionalPrinterColumns") or [_AGE]


def selectable_fields(crd: Object, version: str) -> list[str]:
    """Paths that field selectors may name, beside metadata's: `spec.color`."""
    declared = _version(crd, version).get("selectableFields") or ()
    return [field["jsonPath"].removeprefix(".") for field in declared]


def scale_paths(crd: Object, version: str) -> tuple[str, str, str]:
    """Where the scale sub-resource finds spec.replicas, status.replicas and the selector ("" if nowhere)."""
    scale = (_version(crd, version).get("subresources") or {}).get("scale") or {}
    return (
        scale.get("specReplicasPath") or "",
        scale.get("statusReplicasPath") or "",
        scale.get("labelSelectorPath") or "",
    )


def _version(crd: Object, name: str) -> dict[str, Any]:
    return next((version for version in crd["spec"]["versions"] if version["name"] == name), {})


def _resource(crd: Object, version: dict[str, Any]) -> Resource:
    spec = crd["spec"]
    names = (crd.get("status") or {}).get("acceptedNames") or spec["names"]
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=spec["names"]["kind"],
        plural=spec["names"]["plural"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular") or "",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=_subresources(crd, version),
        list_kind=names.get("listKind") or spec["names"].get("listKind") or "",
    )


def _subresources(crd: Object, version: dict[str, Any]) -> tuple[SubResource, ...]:
    declared = version.get("subresources") or {}
    found = []
    if declared.get("scale") is not None:
        found.append(SubResource("scale", "autoscaling", "v1", "Scale", _SUBRESOURCE_VERBS))
    if declared.get("status") is not None:
        spec = crd["spec"]
        own = (spec["group"], version["name"], spec["names"]["kind"])
        found.append(SubResource("status", *own, _SUBRESOURCE_VERBS))
    return tuple(found)


def _accepted(
    wanted: Mapping[str, Any], before: Mapping[str, Any], taken: Mapping[str, str]
) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """The names the definition has, and the first reason and message why it has not all it wants."""
    accepted = dict(wanted)
    problem: tuple[str, str] | None = None
    for field, reason in _CONFLICTS:
        value = wanted.get(field) or ""
        claimed: list[str] = [name for name in (value if isinstance(value, list) else [value]) if name in taken]
        if not claimed:
            continue
        problem = problem or (reason, f'"{claimed[0]}" is already in use by {taken[claimed[0]]}')
        if field in before:
            accepted[field] = before[field]
        else:
            # The schema wants a plural and a kind even where none is accepted.
            accepted = {**accepted, field: ""} if field in ("plural", "kind") else _without(accepted, field)
    return accepted, problem


def _without(names: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {key: value for key, value in names.items() if key != field}


def _is_true(conditions: list[dict[str, Any]], kind: str) -> bool:
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def _set(conditions: list[dict[str, Any]], now: str, kind: str, value: str, reason: str, message: str) -> None:
    """Write one condition; its transition time moves only with its status."""
    known = next((condition for condition in conditions if condition["type"] == kind), None)
    if known is None:
        known = {"type": kind}
        conditions.append(known)
    if known.get("status") != value:
        known["lastTransitionTime"] = now
    known |= {"status": value, "reason": reason, "message": message}
