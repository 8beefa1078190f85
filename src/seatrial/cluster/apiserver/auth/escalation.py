"""Nobody grants more than they hold: checked when a role or binding is created or changed.

The verbs `escalate` (on roles) and `bind` (on the role a binding refers to) and the group system:masters lift
the check. The server calls `check` before it writes any object of rbac.authorization.k8s.io.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.apiserver.auth.authorize import RBAC_GROUP
from seatrial.cluster.apiserver.auth.rules import ALL, Attributes, covers_resource
from seatrial.cluster.apiserver.auth.user import MASTERS, User
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from seatrial.cluster.apiserver.auth.authorize import Authorizer
    from seatrial.kube.model.objects import Object

    PolicyRule = dict[str, Any]

_PLURALS = {
    "Role": "roles",
    "ClusterRole": "clusterroles",
    "RoleBinding": "rolebindings",
    "ClusterRoleBinding": "clusterrolebindings",
}

_EVERYTHING: list[dict[str, Any]] = [
    {"verbs": [ALL], "apiGroups": [ALL], "resources": [ALL]},
    {"verbs": [ALL], "nonResourceURLs": [ALL]},
]

_HOUSEKEEPING = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "selfLink", "generation")
"""Metadata anybody who may update the object may change: what garbage collection needs."""


def check(user: User, obj: Object, old: Object | None, authorizer: Authorizer) -> None:
    """Raises StatusError 403 if writing `obj` over `old` (None: creating) would grant what `user` does not hold.

    Objects of other kinds pass. Raises StatusError 404 for a binding to a role that does not exist.
    """
    if objects.ref(obj).group != RBAC_GROUP or MASTERS in user.groups:
        return
    if old is not None and _same_but_for_housekeeping(obj, old):
        return
    if obj["kind"] in ("Role", "ClusterRole"):
        _check_role(user, obj, old, authorizer)
    elif obj["kind"] in ("RoleBinding", "ClusterRoleBinding"):
        _check_binding(user, obj, authorizer)


def _check_role(user: User, role: Object, old: Object | None, authorizer: Authorizer) -> None:
    name = objects.name(role) if old is not None else ""
    namespace = objects.namespace(role)
    asked = Attributes("escalate", RBAC_GROUP, ALL, _PLURALS[role["kind"]], namespace=namespace, name=name)
    if authorizer.allowed(user, asked):
        return
    _confirm(user, role, role.get("rules") or [], authorizer)
    if _aggregates(role) or (old is not None and _aggregates(old)):
        held, _ = authorizer.rules_of(user, namespace)
        if missing_rules(held, _EVERYTHING):
            raise _forbidden(role, "must have cluster-admin privileges to use the aggregationRule")


def _check_binding(user: User, binding: Object, authorizer: Authorizer) -> None:
    role_ref, namespace = binding.get("roleRef") or {}, objects.namespace(binding)
    plural, name = _PLURALS.get(role_ref.get("kind", ""), ""), role_ref.get("name", "")
    asked = Attributes("bind", RBAC_GROUP, ALL, plural, namespace=namespace, name=name)
    if plural in ("roles", "clusterroles") and authorizer.allowed(user, asked):
        return
    rules = authorizer.role_rules(role_ref, namespace)
    if rules is None:
        message = f'{plural}.{RBAC_GROUP} "{name}" not found'
        raise StatusError(404, "NotFound", message, details={"name": name, "group": RBAC_GROUP, "kind": plural})
    _confirm(user, binding, rules, authorizer)


def _confirm(user: User, obj: Object, wanted: list[PolicyRule], authorizer: Authorizer) -> None:
    held, problems = authorizer.rules_of(user, objects.namespace(obj))
    missing = missing_rules(held, wanted)
    if not missing:
        return
    shown = "\n".join(sorted({_shown(rule) for rule in missing}))
    text = (
        f"user {_quoted(user.name)} (groups={_quoted(user.groups)}) is attempting to grant RBAC permissions "
        f"not currently held:\n{shown}"
    )
    if problems:
        text += f"; resolution errors: {problems}"
    raise _forbidden(obj, text)


def missing_rules(held: Iterable[PolicyRule], wanted: Iterable[PolicyRule]) -> list[PolicyRule]:
    """What `wanted` grants beyond `held`: a rule per resource, resource name or URL, with its missing verbs."""
    held = list(held)
    missing: dict[tuple[str, ...], PolicyRule] = {}
    for single in (single for rule in wanted for single in _singles(rule)):
        if not any(_covers(rule, single) for rule in held):
            key = tuple(value for field in sorted(single) if field != "verbs" for value in (field, *single[field]))
            verbs = missing.setdefault(key, {**single, "verbs": []})["verbs"]
            if single["verbs"][0] not in verbs:
                verbs += single["verbs"]
    return list(missing.values())


def _singles(rule: PolicyRule) -> Iterator[PolicyRule]:
    """The rule as rules of one verb, group, resource and name each."""
    for verb in rule.get("verbs") or ():
        for url in rule.get("nonResourceURLs") or ():
            yield {"nonResourceURLs": [url], "verbs": [verb]}
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                single = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames") or ()
                yield from ({**single, "resourceNames": [name]} for name in names) if names else (single,)


def _covers(held: PolicyRule, single: PolicyRule) -> bool:
    verbs = held.get("verbs") or ()
    if ALL not in verbs and single["verbs"][0] not in verbs:
        return False
    if "nonResourceURLs" in single:
        return _covers_url(held.get("nonResourceURLs") or (), single["nonResourceURLs"][0])
    groups = held.get("apiGroups") or ()
    if ALL not in groups and single["apiGroups"][0] not in groups:
        return False
    names = held.get("resourceNames")
    if names and not ("resourceNames" in single and single["resourceNames"][0] in names):
        return False
    return covers_resource(held.get("resources") or (), single["resources"][0])


def _covers_url(granted: Iterable[str], url: str) -> bool:
    return any(own in (ALL, url) or (own.endswith(ALL) and url.startswith(own.rstrip(ALL))) for own in granted)


def _aggregates(role: Object) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def _same_but_for_housekeeping(obj: Object, old: Object) -> bool:
    return _essence(obj) == _essence(old)


def _essence(obj: Object) -> Object:
    metadata = {key: value for key, value in objects.metadata(obj).items() if key not in _HOUSEKEEPING}
    return {**obj, "metadata": metadata}


def _shown(rule: PolicyRule) -> str:
    fields = {
        "APIGroups": rule.get("apiGroups"),
        "Resources": rule.get("resources"),
        "NonResourceURLs": rule.get("nonResourceURLs"),
        "ResourceNames": rule.get("resourceNames"),
        "Verbs": rule.get("verbs"),
    }
    return "{" + ", ".join(f"{label}:{_quoted(values)}" for label, values in fields.items() if values) + "}"


def _quoted(value: str | Iterable[str]) -> str:
    """Go's %q, as users know it from these messages: `"a"` and `["a" "b"]`."""
    if isinstance(value, str):
        return orjson.dumps(value).decode()
    return "[" + " ".join(_quoted(item) for item in value) + "]"


def _forbidden(obj: Object, detail: str) -> StatusError:
    plural, name = _PLURALS[obj["kind"]], objects.name(obj)
    details = {"name": name, "group": RBAC_GROUP, "kind": plural}
    subject = f'{plural}.{RBAC_GROUP} "{name}"' if name else f"{plural}.{RBAC_GROUP}"
    return StatusError(403, "Forbidden", f"{subject} is forbidden: {detail}", details=details)
