from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.cluster.apiserver.auth.authorize import Authorizer
from seatrial.cluster.apiserver.auth.escalation import check, missing_rules
from seatrial.cluster.apiserver.auth.rules import Attributes, compile_rule
from seatrial.cluster.apiserver.auth.user import User
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

JANE = User("jane", ("dev",))
VIEW = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
EDIT = {"verbs": ["get", "delete", "create"], "apiGroups": [""], "resources": ["pods"]}
ALL = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]
RBAC = "rbac.authorization.k8s.io"


class Held:
    """A RoleSource in which jane holds `rules` (in `namespace`, or everywhere) and the role `target` exists."""

    revision = 1

    def __init__(self, *rules: dict[str, Any], namespace: str = "", target: list[dict[str, Any]] | None = None):
        self._namespace = namespace
        self._cluster_roles = [
            {"metadata": {"name": "held"}, "rules": list(rules)},
            *([{"metadata": {"name": "target"}, "rules": target}] if target is not None else []),
        ]
        self._binding = {
            "metadata": {"name": "b"},
            "roleRef": {"kind": "ClusterRole", "name": "held"},
            "subjects": [{"kind": "User", "name": "jane"}],
        }

    def roles(self, namespace: str) -> list[dict[str, Any]]:
        return []

    def cluster_roles(self) -> list[dict[str, Any]]:
        return self._cluster_roles

    def role_bindings(self, namespace: str) -> list[dict[str, Any]]:
        return [self._binding] if self._namespace == namespace else []

    def cluster_role_bindings(self) -> list[dict[str, Any]]:
        return [] if self._namespace else [self._binding]


def may(verb: str, resource: str, *names: str) -> dict[str, Any]:
    return {"verbs": [verb], "apiGroups": [RBAC], "resources": [resource], "resourceNames": list(names)}


def role(*rules: dict[str, Any], namespace: str = "prod", **more: Any) -> dict[str, Any]:
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": "new", "namespace": namespace} if namespace else {"name": "new"}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": list(rules), **more}


def binding(namespace: str = "prod", to: str = "target", kind: str = "ClusterRole") -> dict[str, Any]:
    made = role(namespace=namespace)
    made["kind"] += "Binding"
    return {**made, "roleRef": {"apiGroup": RBAC, "kind": kind, "name": to}}


def refusal(source: Held, obj: dict[str, Any], old: dict[str, Any] | None = None, user: User = JANE) -> str:
    """The message of the refusal; "" if it is allowed."""
    try:
        check(user, obj, old, Authorizer(source))
    except StatusError as error:
        assert error.code in (403, 404)
        return error.message
    return ""


def test_a_role_may_grant_what_its_author_holds() -> None:
    assert not refusal(Held(VIEW), role(VIEW))


def test_a_role_may_not_grant_more_than_its_author_holds() -> None:
    assert refusal(Held(VIEW), role(EDIT)) == (
        'roles.rbac.authorization.k8s.io "new" is forbidden: user "jane" (groups=["dev"]) is attempting to grant '
        "RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete" "create"]}'
    )


def test_what_is_held_in_another_namespace_does_not_count() -> None:
    assert not refusal(Held(VIEW, namespace="prod"), role(VIEW))
    assert refusal(Held(VIEW, namespace="test"), role(VIEW))
    assert refusal(Held(VIEW, namespace="prod"), role(VIEW, namespace=""))


def test_masters_may_grant_everything() -> None:
    assert not refusal(Held(), role(*ALL), user=User("root", ("system:masters",)))


def test_the_verb_escalate_lifts_the_check() -> None:
    assert not refusal(Held(may("escalate", "roles")), role(*ALL))
    assert refusal(Held(may("escalate", "clusterroles")), role(*ALL))
    assert not refusal(Held(may("escalate", "roles", "new")), role(*ALL), role())
    assert refusal(Held(may("escalate", "roles", "old")), role(*ALL), role())


def test_a_change_that_adds_no_more_than_is_held_passes_and_others_do_not() -> None:
    assert not refusal(Held(VIEW), role(VIEW), role(EDIT))
    assert refusal(Held(VIEW), role(VIEW, EDIT), role(VIEW))


def test_housekeeping_of_a_mightier_role_is_allowed() -> None:
    old = role(*ALL)
    new = objects.clone(old)
    new["metadata"] |= {"finalizers": ["x"], "ownerReferences": [{"name": "o"}], "resourceVersion": "2"}
    assert not refusal(Held(VIEW), new, old)
    new["metadata"]["labels"] = {"aggregate-to-admin": "true"}
    assert refusal(Held(VIEW), new, old)


def test_only_who_holds_everything_may_use_aggregation() -> None:
    gathers = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    message = 'clusterroles.rbac.authorization.k8s.io "new" is forbidden: must have cluster-admin privileges to use '
    assert refusal(Held(VIEW), role(namespace="", **gathers)) == f"{message}the aggregationRule"
    assert refusal(Held(VIEW), role(namespace=""), role(namespace="", **gathers))
    assert not refusal(Held(*ALL), role(namespace="", **gathers))


@pytest.mark.parametrize("namespace", ["prod", ""])
def test_a_binding_may_hand_on_what_its_author_holds_and_no_more(namespace: str) -> None:
    assert not refusal(Held(VIEW, target=[VIEW]), binding(namespace))
    assert "not currently held" in refusal(Held(VIEW, target=[EDIT]), binding(namespace))


def test_the_verb_bind_on_the_role_lifts_the_check() -> None:
    assert not refusal(Held(may("bind", "clusterroles", "target"), target=ALL), binding())
    assert refusal(Held(may("bind", "clusterroles", "other"), target=ALL), binding())
    assert refusal(Held(may("bind", "roles"), target=ALL), binding())
    local = Held(may("bind", "clusterroles"), namespace="prod", target=ALL)
    assert not refusal(local, binding("prod"))
    assert refusal(local, binding(""))


def test_a_binding_to_a_missing_role_is_not_found() -> None:
    assert refusal(Held(*[VIEW]), binding(to="gone")) == f'clusterroles.{RBAC} "gone" not found'
    assert refusal(Held(*[VIEW]), binding(to="gone", kind="Role")) == f'roles.{RBAC} "gone" not found'


def test_other_kinds_pass() -> None:
    assert not refusal(Held(), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}})


def test_a_name_that_is_empty_does_not_stand_for_every_name() -> None:
    held = {**VIEW, "resourceNames": [""]}
    assert missing_rules([held], [VIEW])


words = st.lists(st.sampled_from(["*", "a", "b"]), min_size=1, max_size=2)
resource_rules = st.fixed_dictionaries(
    {
        "verbs": words,
        "apiGroups": words,
        "resources": st.lists(st.sampled_from(["*", "a", "a/s", "*/s", "b"]), min_size=1, max_size=2),
    },
    optional={"resourceNames": st.lists(st.sampled_from(["", "x", "y"]), max_size=2)},
)
url_rules = st.fixed_dictionaries(
    {"verbs": words, "nonResourceURLs": st.lists(st.sampled_from(["*", "/*", "/a", "/a*", "/a/*"]), max_size=2)}
)
requests = st.builds(
    Attributes,
    verb=st.sampled_from(["a", "b", "c"]),
    group=st.sampled_from(["a", "b", "c"]),
    resource=st.sampled_from(["a", "b", "c"]),
    subresource=st.sampled_from(["", "s", "t"]),
    name=st.sampled_from(["", "x", "z"]),
    path=st.sampled_from(["", "/", "/a", "/ab", "/a/b"]),
)
rule_lists = st.lists(resource_rules | url_rules, max_size=3)


@given(rule_lists, rule_lists, requests)
def test_nothing_missing_means_nothing_gained(
    held: list[dict[str, Any]], wanted: list[dict[str, Any]], asked: Attributes
) -> None:
    if not missing_rules(held, wanted) and any(compile_rule(rule).allows(asked) for rule in wanted):
        assert any(compile_rule(rule).allows(asked) for rule in held)


@given(rule_lists, rule_lists)
def test_holding_what_is_missing_leaves_nothing_missing(
    held: list[dict[str, Any]], wanted: list[dict[str, Any]]
) -> None:
    assert not missing_rules(held + missing_rules(held, wanted), wanted)
    assert not missing_rules(wanted, wanted)
