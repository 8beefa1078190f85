"""The rbac group: roles and bindings. Whether the author may grant this much is decided by the authorizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, names
from seatrial.cluster.apiserver.kinds.rules import Rules, dig, struct
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required, unsupported_value

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


def _default_binding(obj: Object) -> None:
    reference = struct(obj, "roleRef")
    reference["apiGroup"] = reference.get("apiGroup") or GROUP
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = subject.get("apiGroup") or GROUP


def _validate_role(obj: Object) -> list[Cause]:
    return _rules(obj.get("rules") or [], namespaced=True)


def _validate_cluster_role(obj: Object) -> list[Cause]:
    causes = _rules(obj.get("rules") or [], namespaced=False)
    selectors = dig(obj, "aggregationRule", "clusterRoleSelectors")
    if obj.get("aggregationRule") is not None and not selectors:
        detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        causes.append(required("aggregationRule.clusterRoleSelectors", detail))
    for index, selector in enumerate(selectors or []):
        causes += checks.selector(selector, f"aggregationRule.clusterRoleSelectors[{index}]")
    return causes


def _rules(rules: list[dict[str, Any]], *, namespaced: bool) -> list[Cause]:
    causes: list[Cause] = []
    for index, rule in enumerate(rules):
        causes += _rule(rule, namespaced, f"rules[{index}]")
    return causes


def _rule(rule: dict[str, Any], namespaced: bool, field: str) -> list[Cause]:
    causes: list[Cause] = []
    if not rule.get("verbs"):
        causes.append(required(f"{field}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs") or []
    if urls:
        if namespaced:
            detail = "namespaced rules cannot apply to non-resource URLs"
            causes.append(invalid_value(f"{field}.nonResourceURLs", urls, detail))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            causes.append(invalid_value(f"{field}.nonResourceURLs", urls, detail))
        return causes
    if not rule.get("apiGroups"):
        detail = "resource rules must supply at least one api group"
        causes.append(required(f"{field}.apiGroups", detail))
    if not rule.get("resources"):
        detail = "resource rules must supply at least one resource"
        causes.append(required(f"{field}.resources", detail))
    return causes


def _validate_role_binding(obj: Object) -> list[Cause]:
    return _binding(obj, ("ClusterRole", "Role"), namespaced=True)


def _validate_cluster_role_binding(obj: Object) -> list[Cause]:
    return _binding(obj, ("ClusterRole",), namespaced=False)


def _binding(obj: Object, kinds: tuple[str, ...], *, namespaced: bool) -> list[Cause]:
    reference = obj.get("roleRef") or {}
    causes: list[Cause] = []
    if reference.get("apiGroup") != GROUP:
        causes.append(unsupported_value("roleRef.apiGroup", reference.get("apiGroup"), (GROUP,)))
    if reference.get("kind") not in kinds:
        causes.append(unsupported_value("roleRef.kind", reference.get("kind"), kinds))
    causes += checks.named(reference.get("name"), "roleRef.name", names.path_segment)
    for index, subject in enumerate(obj.get("subjects") or []):
        causes += _subject(subject, namespaced, f"subjects[{index}]")
    return causes


def _subject(subject: dict[str, Any], namespaced: bool, field: str) -> list[Cause]:
    kind, group = subject.get("kind"), subject.get("apiGroup") or ""
    causes = [] if subject.get("name") else [required(f"{field}.name")]
    if kind not in _SUBJECTS:
        return [*causes, unsupported_value(f"{field}.kind", kind, _SUBJECTS, as_given=True)]
    expected = "" if kind == "ServiceAccount" else GROUP
    if group != expected:
        causes.append(unsupported_value(f"{field}.apiGroup", group, (expected,)))
    if kind == "ServiceAccount":
        causes += checks.optional_name(subject.get("name"), f"{field}.name", names.subdomain)
        if not namespaced and not subject.get("namespace"):
            causes.append(required(f"{field}.namespace"))
    elif subject.get("namespace"):
        causes.append(forbidden_value(f"{field}.namespace", f"not allowed for a {kind}"))
    return causes


def _binding_update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(obj.get("roleRef"), old.get("roleRef"), "roleRef")


def _table_entry(**rules: Any) -> Rules:
    return Rules(name=names.path_segment, create_on_update=True, **rules)


RULES = {
    f"clusterrolebindings.{GROUP}": _table_entry(
        default=_default_binding,
        validate=_validate_cluster_role_binding,
        validate_update=_binding_update,
    ),
    f"clusterroles.{GROUP}": _table_entry(validate=_validate_cluster_role),
    f"rolebindings.{GROUP}": _table_entry(
        default=_default_binding, validate=_validate_role_binding, validate_update=_binding_update
    ),
    f"roles.{GROUP}": _table_entry(validate=_validate_role),
}
