"""RBAC: may this user do this? Every request passes here after `authenticate.py`.

Rights only add up: a request is allowed as soon as one rule of one binding that names the user (or a group of
theirs) allows it. Bindings are indexed by subject and decisions remembered until an RBAC object changes.
"""

from __future__ import annotations

import html
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from seatrial.cluster.apiserver.auth.rules import Attributes, Rule, compile_rule
from seatrial.cluster.apiserver.auth.user import MASTERS, User, service_account_name
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from seatrial.kube.model.objects import Object

__all__ = ["Attributes", "Authorizer", "Decision", "RoleSource", "forbidden"]

RBAC_GROUP = "rbac.authorization.k8s.io"

CACHE_SIZE = 20_000
"""Decisions remembered. Full means start again, so that a caller who varies names cannot fill the memory."""


class RoleSource(Protocol):
    """The RBAC objects as they are now, from memory."""

    @property
    def revision(self) -> int:
        """Changes whenever any RBAC object changes."""

    def roles(self, namespace: str) -> Iterable[Object]: ...

    def cluster_roles(self) -> Iterable[Object]: ...

    def role_bindings(self, namespace: str) -> Iterable[Object]: ...

    def cluster_role_bindings(self) -> Iterable[Object]: ...


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.allowed


ALLOWED = Decision(True)


class RulesFor(NamedTuple):
    """Everything a user may do in a namespace, as SelfSubjectRulesReview lists it."""

    resource_rules: list[dict[str, Any]]
    non_resource_rules: list[dict[str, Any]]
    incomplete: bool
    error: str


class _Grant(NamedTuple):
    """One binding for one of its subjects."""

    binding: Object
    role_ref: dict[str, Any]
    subject: dict[str, Any]
    namespace: str


_Subject = tuple[str, str]
"""Kind (User or Group) and name; a service account is indexed by its user name."""


class Authorizer:
    def __init__(self, lookup: RoleSource) -> None:
        self._source = lookup
        self._forget(lookup.revision)

    def _forget(self, revision: int) -> None:
        self._revision = revision
        self._decisions: dict[tuple[str, tuple[str, ...], Attributes], Decision] = {}
        self._grants: dict[str, dict[_Subject, list[_Grant]]] = {}
        self._roles: dict[str, dict[str, Object]] = {}
        self._compiled: dict[tuple[str, str], tuple[Rule, ...]] = {}

    def _refresh(self) -> None:
        revision = self._source.revision
        if revision != self._revision:
            self._forget(revision)

    def allowed(self, user: User, attributes: Attributes) -> Decision:
        self._refresh()
        key = (user.name, user.groups, attributes)
        found = self._decisions.get(key)
        if found is None:
            found = self._decide(user, attributes)
            if len(self._decisions) >= CACHE_SIZE:
                self._decisions.clear()
            self._decisions[key] = found
        return found

    def _decide(self, user: User, asked: Attributes) -> Decision:
        if MASTERS in user.groups:
            return ALLOWED
        missing: list[str] = []
        namespace = "" if asked.path else asked.namespace
        for grant in self._grants_of(user, namespace):
            rules = self._compiled_rules(grant.role_ref, grant.namespace)
            if rules is None:
                missing.append(_role_not_found(grant.role_ref))
            elif any(rule.allows(asked) for rule in rules):
                return Decision(True, f"RBAC: allowed by {_described(grant)}")
        return Decision(False, f"RBAC: {_joined(missing)}" if missing else "")

    def rules_of(self, user: User, namespace: str) -> tuple[list[dict[str, Any]], list[str]]:
        """The rules that apply to a user, as written, and what is wrong with bindings that name them."""
        self._refresh()
        rules: list[dict[str, Any]] = []
        missing: list[str] = []
        for grant in self._grants_of(user, namespace):
            found = self.role_rules(grant.role_ref, grant.namespace)
            if found is None:
                missing.append(_role_not_found(grant.role_ref))
            else:
                rules += found
        return rules, missing

    def rules_for(self, user: User, namespace: str) -> RulesFor:
        rules, missing = self.rules_of(user, namespace)
        return RulesFor(
            [
                _only(rule, "verbs", "apiGroups", "resources", "resourceNames")
                for rule in rules
                if rule.get("resources")
            ],
            [_only(rule, "verbs", "nonResourceURLs") for rule in rules if rule.get("nonResourceURLs")],
            False,
            _joined(missing),
        )

    def role_rules(self, role_ref: dict[str, Any], namespace: str) -> list[dict[str, Any]] | None:
        """The rules of the role that a binding in `namespace` ("": cluster-wide) refers to, if it exists."""
        self._refresh()
        role = self._role(role_ref, namespace)
        return None if role is None else role.get("rules") or []

    def _compiled_rules(self, role_ref: dict[str, Any], namespace: str) -> tuple[Rule, ...] | None:
        where = namespace if role_ref.get("kind") == "Role" else ""
        key = (where, role_ref.get("name", ""))
        found = self._compiled.get(key)
        if found is None:
            role = self._role(role_ref, namespace)
            if role is None:
                return None
            found = self._compiled[key] = tuple(compile_rule(rule) for rule in role.get("rules") or ())
        return found

    def _role(self, role_ref: dict[str, Any], namespace: str) -> Object | None:
        kind, name = role_ref.get("kind"), role_ref.get("name", "")
        if kind == "ClusterRole":
            return self._roles_in("").get(name)
        if kind == "Role" and namespace:
            return self._roles_in(namespace).get(name)
        return None

    def _roles_in(self, namespace: str) -> dict[str, Object]:
        found = self._roles.get(namespace)
        if found is None:
            roles = self._source.roles(namespace) if namespace else self._source.cluster_roles()
            found = self._roles[namespace] = {objects.name(role): role for role in roles}
        return found

    def _grants_of(self, user: User, namespace: str) -> Iterator[_Grant]:
        """Cluster-wide first, then the namespace's."""
        subjects: list[_Subject] = [("User", user.name), *(("Group", group) for group in user.groups)]
        for where in ("", namespace) if namespace else ("",):
            index = self._grants_in(where)
            for subject in subjects:
                yield from index.get(subject, ())

    def _grants_in(self, namespace: str) -> dict[_Subject, list[_Grant]]:
        found = self._grants.get(namespace)
        if found is None:
            found = self._grants[namespace] = _indexed(
                self._source.role_bindings(namespace) if namespace else self._source.cluster_role_bindings(),
                namespace,
            )
        return found


def _indexed(bindings: Iterable[Object], namespace: str) -> dict[_Subject, list[_Grant]]:
    index: dict[_Subject, list[_Grant]] = defaultdict(list)
    for binding in bindings:
        for subject in binding.get("subjects") or ():
            key = _subject_key(subject, namespace)
            if key is not None:
                index[key].append(_Grant(binding, binding.get("roleRef") or {}, subject, namespace))
    return dict(index)


def _subject_key(subject: dict[str, Any], namespace: str) -> _Subject | None:
    """None for a subject that can be nobody, such as a service account without a namespace."""
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind in ("User", "Group"):
        return kind, name
    home = subject.get("namespace") or namespace
    if kind == "ServiceAccount" and home:
        return "User", service_account_name(home, name)
    return None


def _described(grant: _Grant) -> str:
    name, subject, role = objects.name(grant.binding), grant.subject, grant.role_ref
    title = f'RoleBinding "{name}/{grant.namespace}"' if grant.namespace else f'ClusterRoleBinding "{name}"'
    who = subject["name"]
    if subject["kind"] == "ServiceAccount":
        who = f"{who}/{subject.get('namespace') or grant.namespace}"
    return f'{title} of {role["kind"]} "{role["name"]}" to {subject["kind"]} "{who}"'


def _role_not_found(role_ref: dict[str, Any]) -> str:
    plural = "roles" if role_ref.get("kind") == "Role" else "clusterroles"
    return f'{plural}.{RBAC_GROUP} "{role_ref.get("name", "")}" not found'


def _joined(problems: list[str]) -> str:
    distinct = list(dict.fromkeys(problems))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]" if distinct else ""


def _only(rule: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: rule[key] for key in keys if rule.get(key)}


def forbidden(user: User, attributes: Attributes, reason: str = "") -> StatusError:
    """403 in the words kubectl users know. The text is safe to show in a browser."""
    message = html.escape(_refusal(user, attributes), quote=False)
    text = f"{message}: {reason}" if reason else message
    if attributes.path:
        return StatusError(403, "Forbidden", f"forbidden: {text}")
    resource, group = attributes.resource, attributes.group
    subject = f"{resource}.{group}" if group else resource
    if attributes.name:
        subject += f' "{attributes.name}"'
    details = {"name": attributes.name, "group": group, "kind": resource}
    return StatusError(
        403,
        "Forbidden",
        f"{subject} is forbidden: {text}",
        details={key: value for key, value in details.items() if value},
    )


def _refusal(user: User, asked: Attributes) -> str:
    who = f"User {_quoted(user.name)} cannot {asked.verb}"
    if asked.path:
        return f"{who} path {_quoted(asked.path)}"
    what = f"{who} resource {_quoted(asked.full_resource)} in API group {_quoted(asked.group)}"
    if asked.namespace:
        return f"{what} in the namespace {_quoted(asked.namespace)}"
    return f"{what} at the cluster scope"


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
