"""Whether a CustomResourceDefinition may be stored.

The definition is type-checked and defaulted before it comes here; `structure` knows the rules of its schemas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from seatrial.cluster.apiserver.customresources import jsonpath
from seatrial.cluster.apiserver.kinds import names as naming
from seatrial.kube.model import objects
from seatrial.kube.model.schema.structure import structural_errors
from seatrial.kube.model.status import (
    Cause,
    duplicate_value,
    forbidden_value,
    invalid_value,
    required,
    unsupported_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seatrial.kube.model.objects import Object

APPROVAL = "api-approved.kubernetes.io"
MAX_SELECTABLE_FIELDS = 8
MAX_WARNING = 256
"""Characters of a deprecation warning."""

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_PROTECTED = ("k8s.io", "kubernetes.io")
_AT_ROOT_WITH_STATUS = frozenset(
    (
        "description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
        "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required", "items",
        "properties", "externalDocs", "example", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations",
    )
)  # fmt: skip
"""A status sub-resource is validated by properties[status] alone; other keywords at the root would be lost."""


def validate(crd: Object, old: Object | None) -> list[Cause]:
    """Every rule the definition breaks; `old` is the stored one it replaces."""
    spec = crd.get("spec") or {}
    causes = [
        *_name(crd, spec),
        *_group(spec),
        *_approval(crd, spec, old),
        *_scope(spec),
        *_names(spec.get("names") or {}),
        *_versions(spec.get("versions") or []),
        *_conversion(spec.get("conversion") or {}),
        *_stored_versions(crd, spec),
    ]
    if spec.get("preserveUnknownFields"):
        detail = "cannot be true: set x-kubernetes-preserve-unknown-fields in the schema of a version instead"
        causes.append(invalid_value("spec.preserveUnknownFields", True, detail))
    return causes if old is None else causes + _immutable(spec, old)


def _name(crd: Object, spec: dict[str, Any]) -> list[Cause]:
    name, plural, group = objects.name(crd), (spec.get("names") or {}).get("plural"), spec.get("group")
    if plural and group and name != f"{plural}.{group}":
        return [invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')]
    return []


def _group(spec: dict[str, Any]) -> list[Cause]:
    group = spec.get("group")
    if not group:
        return [required("spec.group")]
    causes = _checked("spec.group", group, naming.subdomain)
    if not causes and "." not in group:
        causes.append(invalid_value("spec.group", group, "should be a domain with at least one dot"))
    return causes


def _approval(crd: Object, spec: dict[str, Any], old: Object | None) -> list[Cause]:
    """Groups of the Kubernetes project want a link to their review, or a word why there is none."""
    group = spec.get("group") or ""
    if not any(group == protected or group.endswith(f".{protected}") for protected in _PROTECTED):
        return []
    given = objects.annotations(crd).get(APPROVAL, "")
    if old is not None and objects.annotations(old).get(APPROVAL, "") == given:
        return []
    field = f"metadata.annotations[{APPROVAL}]"
    if not given:
        return [required(field, "groups under k8s.io and kubernetes.io need it: a URL, or unapproved and a reason")]
    if given.startswith("unapproved") or _is_url(given):
        return []
    return [invalid_value(field, given, 'must be a URL or a reason starting with "unapproved"')]


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def _scope(spec: dict[str, Any]) -> list[Cause]:
    scope, known = spec.get("scope"), ("Cluster", "Namespaced")
    if not scope:
        return [required("spec.scope")]
    return [] if scope in known else [unsupported_value("spec.scope", scope, known)]


def _names(names: dict[str, Any]) -> list[Cause]:
    causes = [
        required(f"spec.names.{field}") for field in ("plural", "singular", "kind", "listKind") if not names.get(field)
    ]
    for field in ("plural", "singular"):
        causes += _checked(f"spec.names.{field}", names.get(field), naming.label_1035)
    for field in ("kind", "listKind"):
        causes += _mixed_case(f"spec.names.{field}", names.get(field))
    for field in ("shortNames", "categories"):
        for index, name in enumerate(names.get(field) or ()):
            causes += _checked(f"spec.names.{field}[{index}]", name, naming.label_1035)
    if names.get("kind") and names["kind"] == names.get("listKind"):
        causes.append(invalid_value("spec.names.listKind", names["listKind"], "must not be the same as kind"))
    return causes


def _mixed_case(field: str, name: str | None) -> list[Cause]:
    problems = naming.label_1035(name.lower()) if name else []
    detail = "may have mixed case, but should otherwise match: " + ",".join(problems)
    return [invalid_value(field, name, detail)] if problems else []


def _checked(field: str, value: str | None, check: Callable[[str], list[str]]) -> list[Cause]:
    problems = check(value) if value else []
    return [invalid_value(field, value, ",".join(problems))] if problems else []


def _versions(versions: list[dict[str, Any]]) -> list[Cause]:
    if not versions:
        return [required("spec.versions", "must have at least one version")]
    given = [version.get("name") or "" for version in versions]
    causes: list[Cause] = []
    if len(set(given)) < len(given):
        causes.append(invalid_value("spec.versions", given, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        causes.append(invalid_value("spec.versions", given, detail))
    if not any(version.get("served") for version in versions):
        causes.append(invalid_value("spec.versions", given, "must have at least one version that is served"))
    for index, version in enumerate(versions):
        causes += _version(version, f"spec.versions[{index}]")
    return causes


def _version(version: dict[str, Any], path: str) -> list[Cause]:
    causes = [] if version.get("name") else [required(f"{path}.name")]
    causes += _checked(f"{path}.name", version.get("name"), naming.label_1035)
    causes += _deprecation(version, path)
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        return [*causes, required(f"{path}.schema.openAPIV3Schema", "schemas are required")]
    subresources = version.get("subresources") or {}
    broken = structural_errors(schema, f"{path}.schema.openAPIV3Schema")
    causes += broken
    if subresources.get("status") is not None:
        causes += _root_with_status(schema, f"{path}.schema.openAPIV3Schema")
    causes += _scale(subresources.get("scale"), f"{path}.subresources.scale")
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        causes += _column(column, f"{path}.additionalPrinterColumns[{index}]")
    if not broken:
        causes += _selectable(version.get("selectableFields") or (), schema, f"{path}.selectableFields")
    return causes


def _deprecation(version: dict[str, Any], path: str) -> list[Cause]:
    warning, field = version.get("deprecationWarning"), f"{path}.deprecationWarning"
    if warning is None:
        return []
    if not version.get("deprecated"):
        return [invalid_value(field, warning, "can only be set for deprecated versions")]
    if not warning or len(warning) > MAX_WARNING or not warning.isprintable():
        return [invalid_value(field, warning, f"must be 1 to {MAX_WARNING} printable characters")]
    return []


def _root_with_status(schema: dict[str, Any], path: str) -> list[Cause]:
    lost = sorted(key for key, value in schema.items() if value and key not in _AT_ROOT_WITH_STATUS)
    detail = "is not allowed at the root of the schema if the status subresource is enabled"
    return [forbidden_value(f"{path}.{key}", detail) for key in lost]


def _scale(scale: dict[str, Any] | None, path: str) -> list[Cause]:
    if scale is None:
        return []
    return [
        *_scale_path(scale.get("specReplicasPath"), f"{path}.specReplicasPath", (".spec.",)),
        *_scale_path(scale.get("statusReplicasPath"), f"{path}.statusReplicasPath", (".status.",)),
        *(
            _scale_path(scale["labelSelectorPath"], f"{path}.labelSelectorPath", (".spec.", ".status."))
            if scale.get("labelSelectorPath")
            else ()
        ),
    ]


def _scale_path(given: str | None, field: str, roots: tuple[str, ...]) -> list[Cause]:
    if not given:
        return [required(field)]
    if not given.startswith(roots) or not _is_simple(given):
        where = " or ".join(root.strip(".") for root in roots)
        return [invalid_value(field, given, f"should be a json path of field names under .{where}")]
    return []


def _is_simple(path: str) -> bool:
    """Field names and dots only."""
    return all(part and not set(part) & set("[]*?@(){}'\"\\ ") for part in path.removeprefix(".").split("."))


def _column(column: dict[str, Any], path: str) -> list[Cause]:
    causes = [] if column.get("name") else [required(f"{path}.name")]
    kind, given = column.get("type"), column.get("jsonPath")
    if not kind:
        causes.append(required(f"{path}.type", f"must be one of {','.join(_COLUMN_TYPES)}"))
    elif kind not in _COLUMN_TYPES:
        causes.append(invalid_value(f"{path}.type", kind, f"must be one of {','.join(_COLUMN_TYPES)}"))
    if column.get("format") and column["format"] not in _COLUMN_FORMATS:
        detail = f"must be one of {','.join(_COLUMN_FORMATS)}"
        causes.append(invalid_value(f"{path}.format", column["format"], detail))
    if not given:
        return [*causes, required(f"{path}.jsonPath")]
    return causes + _json_path(given, f"{path}.jsonPath")


def _json_path(given: str, field: str) -> list[Cause]:
    if not given.startswith("."):
        return [invalid_value(field, given, "must be a simple json path starting with .")]
    try:
        jsonpath.parse(given)
    except jsonpath.PathError as error:
        return [invalid_value(field, given, str(error))]
    return []


def _selectable(declared: Sequence[dict[str, Any]], schema: dict[str, Any], path: str) -> list[Cause]:
    causes: list[Cause] = []
    if len(declared) > MAX_SELECTABLE_FIELDS:
        detail = f"must have at most {MAX_SELECTABLE_FIELDS} items"
        causes.append(Cause("FieldValueTooMany", f"Too many: {len(declared)}: {detail}", path))
    seen: set[str] = set()
    for index, item in enumerate(declared):
        given, field = item.get("jsonPath") or "", f"{path}[{index}].jsonPath"
        causes += _selectable_field(given, schema, field)
        if given in seen:
            causes.append(duplicate_value(field, given))
        seen.add(given)
    return causes


def _selectable_field(given: str, schema: dict[str, Any], field: str) -> list[Cause]:
    if not given:
        return [required(field)]
    if not given.startswith(".") or not _is_simple(given):
        return [invalid_value(field, given, "must be a path of field names starting with .")]
    parts = given.removeprefix(".").split(".")
    if parts[0] == "metadata":
        return [invalid_value(field, given, "must not point to fields in metadata")]
    node: Any = schema
    for part in parts:
        node = (node.get("properties") or {}).get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        return [invalid_value(field, given, "is no field of the schema")]
    if node.get("type") not in ("string", "boolean", "integer"):
        return [invalid_value(field, given, "must point to a field of type string, boolean or integer")]
    return []


def _conversion(conversion: dict[str, Any]) -> list[Cause]:
    strategy = conversion.get("strategy") or "None"
    if strategy == "Webhook":
        detail = "conversion webhooks are not supported here: use strategy None, which changes apiVersion only"
        return [forbidden_value("spec.conversion.strategy", detail)]
    if strategy != "None":
        return [unsupported_value("spec.conversion.strategy", strategy, ("None", "Webhook"))]
    if conversion.get("webhook"):
        return [forbidden_value("spec.conversion.webhook", "should not be set when strategy is not set to Webhook")]
    return []


def _stored_versions(crd: Object, spec: dict[str, Any]) -> list[Cause]:
    """Objects may be stored in every version that was the storage version once; none of them may go."""
    known = {version.get("name") for version in spec.get("versions") or ()}
    stored = (crd.get("status") or {}).get("storedVersions") or ()
    return [
        invalid_value(
            f"status.storedVersions[{index}]",
            name,
            f"missing from spec.versions: objects may be stored in {name}; keep it there until they are rewritten "
            f"in another version and {name} is removed from status.storedVersions",
        )
        for index, name in enumerate(stored)
        if name not in known
    ]


def _immutable(spec: dict[str, Any], old: Object) -> list[Cause]:
    before, names = old["spec"], spec.get("names") or {}
    conditions = (old.get("status") or {}).get("conditions") or ()
    fixed = [
        ("spec.group", spec.get("group"), before["group"]),
        ("spec.names.plural", names.get("plural"), before["names"]["plural"]),
    ]
    if any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions):
        fixed += [
            ("spec.scope", spec.get("scope"), before["scope"]),
            ("spec.names.kind", names.get("kind"), before["names"]["kind"]),
        ]
    return [invalid_value(field, now, "field is immutable") for field, now, then in fixed if now != then]
