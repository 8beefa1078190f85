"""The apiextensions group: CustomResourceDefinition. Schemas inside a definition are checked
elsewhere; here are its names, versions and what it records of the versions it has stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, names
from seatrial.cluster.apiserver.kinds.rules import Rules, dig, setdefaults, struct
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def _default_definition(obj: Object) -> None:
    spec = struct(obj, "spec")
    wanted = struct(spec, "names")
    kind = wanted.get("kind") or ""
    wanted["singular"] = wanted.get("singular") or kind.lower()
    if kind:
        wanted["listKind"] = wanted.get("listKind") or f"{kind}List"
    setdefaults(spec, conversion={"strategy": "None"})


def _storage_versions(obj: Object) -> list[str]:
    versions = dig(obj, "spec", "versions") or []
    return [version.get("name") or "" for version in versions if version.get("storage")]


def _create_definition(obj: Object) -> None:
    obj["status"] = {
        "conditions": [],
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": _storage_versions(obj)[:1],
    }


def _update_definition(obj: Object, old: Object) -> None:
    """Objects may be stored in the new storage version from now on, so it counts as stored."""
    status = objects.clone(old.get("status") or {})
    stored = status.get("storedVersions") or []
    status["storedVersions"] = stored + [name for name in _storage_versions(obj)[:1] if name not in stored]
    obj["status"] = status


def _validate_definition(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    wanted = spec.get("names") or {}
    plural, group = wanted.get("plural") or "", spec.get("group") or ""
    causes: list[Cause] = []
    if objects.name(obj) != f"{plural}.{group}":
        detail = 'must be spec.names.plural+"."+spec.group'
        causes.append(invalid_value("metadata.name", objects.name(obj), detail))
    causes += checks.named(group, "spec.group", names.subdomain)
    if group and "." not in group:
        causes.append(invalid_value("spec.group", group, "should be a domain with at least one dot"))
    causes += checks.one_of(spec.get("scope"), "spec.scope", ("Cluster", "Namespaced"))
    causes += checks.named(plural, "spec.names.plural", names.label_1035)
    causes += checks.optional_name(wanted.get("singular"), "spec.names.singular", names.label_1035)
    for field in ("kind", "listKind"):
        text = wanted.get(field) or ""
        causes += [invalid_value(f"spec.names.{field}", text, complaint) for complaint in _kind(text)]
    if wanted.get("kind") and wanted.get("kind") == wanted.get("listKind"):
        detail = "kind and listKind may not be the same"
        causes.append(invalid_value("spec.names.listKind", wanted["listKind"], detail))
    for index, name in enumerate(wanted.get("shortNames") or []):
        causes += checks.named(name, f"spec.names.shortNames[{index}]", names.label_1035)
    return causes + _versions(spec.get("versions") or [])


def _kind(text: str) -> list[str]:
    if not text:
        return ["must not be empty"]
    return [f"may have mixed case, but should otherwise match: {found}" for found in names.label_1035(text.lower())]


def _versions(versions: list[dict[str, Any]]) -> list[Cause]:
    if not versions:
        return [required("spec.versions", "must have at least one version")]
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, version in enumerate(versions):
        field = f"spec.versions[{index}]"
        name = version.get("name") or ""
        causes += checks.named(name, f"{field}.name", names.label_1035)
        if name in seen:
            detail = "must contain unique version names"
            causes.append(invalid_value("spec.versions", [item.get("name") for item in versions], detail))
        seen.add(name)
        if dig(version, "schema", "openAPIV3Schema") is None:
            causes.append(required(f"{field}.schema.openAPIV3Schema", "schemas are required"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        shown = [version.get("name") for version in versions]
        detail = "must have exactly one version marked as storage version"
        causes.append(invalid_value("spec.versions", shown, detail))
    return causes


def _definition_update(obj: Object, old: Object) -> list[Cause]:
    """Group, plural, kind and scope are how objects are found; only a new definition changes them."""
    causes: list[Cause] = []
    for path in (("group",), ("names", "plural"), ("scope",), ("names", "kind")):
        field = ".".join(("spec", *path))
        causes += checks.unchanged(dig(obj, "spec", *path), dig(old, "spec", *path), field)
    return causes


RULES = {
    "customresourcedefinitions.apiextensions.k8s.io": Rules(
        default=_default_definition,
        create=_create_definition,
        update=_update_definition,
        validate=_validate_definition,
        validate_update=_definition_update,
        generation=True,
        unconditional_update=False,
    ),
}
