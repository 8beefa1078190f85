from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from seatrial.cluster.apiserver.auth.authorize import Attributes, Authorizer
from seatrial.cluster.apiserver.auth.bootstrap import NAMESPACES, default_objects
from seatrial.cluster.apiserver.auth.user import ANONYMOUS, User, authenticated
from seatrial.kube.model import objects
from seatrial.kube.model.roles import aggregate

DEFAULTS = default_objects()


class Defaults:
    """A RoleSource of the default objects and one binding of `bind` for jane."""

    revision = 1

    def __init__(self, bind: str = "") -> None:
        self._bind = bind

    def _of(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        return [obj for obj in DEFAULTS if obj["kind"] == kind and objects.namespace(obj) == namespace]

    def roles(self, namespace: str) -> list[dict[str, Any]]:
        return self._of("Role", namespace)

    def cluster_roles(self) -> list[dict[str, Any]]:
        return self._of("ClusterRole")

    def role_bindings(self, namespace: str) -> list[dict[str, Any]]:
        if namespace != "prod":
            return self._of("RoleBinding", namespace)
        subjects = [{"kind": "User", "name": "jane"}]
        return [{"metadata": {}, "roleRef": {"kind": "ClusterRole", "name": self._bind}, "subjects": subjects}]

    def cluster_role_bindings(self) -> list[dict[str, Any]]:
        return self._of("ClusterRoleBinding")


def test_every_default_object_is_marked_as_such() -> None:
    kinds = Counter(obj["kind"] for obj in DEFAULTS)
    assert sorted(kinds) == ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
    for obj in DEFAULTS:
        assert obj["apiVersion"] == "rbac.authorization.k8s.io/v1"
        assert objects.labels(obj)["kubernetes.io/bootstrapping"] == "rbac-defaults"
        assert objects.annotations(obj) == {"rbac.authorization.kubernetes.io/autoupdate": "true"}
        assert objects.namespace(obj) in ("", *NAMESPACES)


def test_every_default_binding_finds_its_role() -> None:
    roles = {(obj["kind"], objects.namespace(obj), objects.name(obj)) for obj in DEFAULTS}
    for obj in DEFAULTS:
        if "roleRef" in obj:
            where = objects.namespace(obj) if obj["roleRef"]["kind"] == "Role" else ""
            assert (obj["roleRef"]["kind"], where, obj["roleRef"]["name"]) in roles


def test_each_call_gives_objects_of_its_own() -> None:
    first = default_objects()
    first[0]["metadata"]["labels"]["changed"] = "yes"
    assert "changed" not in default_objects()[0]["metadata"]["labels"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/healthz", True),
        ("/livez", True),
        ("/readyz", True),
        ("/version", True),
        ("/", False),
        ("/metrics", False),
        ("/api", False),
        ("/apis", False),
        ("/openapi/v2", False),
    ],
)
def test_anonymous_callers_reach_health_and_version_only(path: str, allowed: bool) -> None:
    assert Authorizer(Defaults()).allowed(ANONYMOUS, Attributes("get", path=path)).allowed is allowed


@pytest.mark.parametrize("resource", ["pods", "secrets", "namespaces"])
def test_anonymous_callers_reach_no_resource(resource: str) -> None:
    assert not Authorizer(Defaults()).allowed(ANONYMOUS, Attributes("get", resource=resource))


def test_authenticated_callers_discover_the_api_and_themselves() -> None:
    authorizer, jane = Authorizer(Defaults()), authenticated(User("jane"))
    for path in ("/api", "/apis/apps/v1", "/openapi/v3", "/version"):
        assert authorizer.allowed(jane, Attributes("get", path=path))
    review = Attributes("create", "authorization.k8s.io", "v1", "selfsubjectaccessreviews")
    assert authorizer.allowed(jane, review)
    assert not authorizer.allowed(jane, Attributes("list", resource="pods", namespace="default"))


@pytest.mark.parametrize(
    ("role", "verb", "resource", "allowed"),
    [
        ("view", "get", "pods", True),
        ("view", "get", "secrets", False),
        ("view", "delete", "pods", False),
        ("edit", "delete", "pods", True),
        ("edit", "get", "secrets", True),
        ("edit", "get", "services", True),
        ("admin", "get", "services", True),
        ("admin", "delete", "secrets", True),
        ("cluster-admin", "delete", "nodes", True),
    ],
)
def test_the_user_facing_roles_hold_their_gathered_rules(role: str, verb: str, resource: str, allowed: bool) -> None:
    asked = Attributes(verb, resource=resource, namespace="prod")
    assert Authorizer(Defaults(role)).allowed(User("jane"), asked).allowed is allowed


@pytest.mark.parametrize(
    ("role", "allowed"), [("view", False), ("edit", False), ("admin", True), ("cluster-admin", True)]
)
def test_only_admins_hand_out_roles(role: str, allowed: bool) -> None:
    asked = Attributes("create", "rbac.authorization.k8s.io", "v1", "rolebindings", namespace="prod")
    assert Authorizer(Defaults(role)).allowed(User("jane"), asked).allowed is allowed


def cluster_role(name: str, labels: dict[str, str], *verbs: str) -> dict[str, Any]:
    rules = [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]} for verb in verbs]
    return {"kind": "ClusterRole", "metadata": {"name": name, "labels": labels}, "rules": rules}


def gathering(*selectors: dict[str, Any], rules: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    rule = {"clusterRoleSelectors": list(selectors)}
    return {"metadata": {"name": "sum", "labels": {"to": "sum"}}, "aggregationRule": rule, "rules": rules}


def test_aggregation_gathers_the_rules_of_selected_roles_once_in_order_of_names() -> None:
    roles = [
        cluster_role("z", {"to": "sum"}, "get", "list"),
        cluster_role("a", {"to": "sum"}, "watch", "list"),
        cluster_role("other", {"to": "other"}, "delete"),
    ]
    found = aggregate(gathering({"matchLabels": {"to": "sum"}}), roles)
    assert found is not None
    assert [rule["verbs"] for rule in found] == [["watch"], ["list"], ["get"]]


def test_aggregation_understands_expressions_and_several_selectors() -> None:
    roles = [
        cluster_role("a", {"x": "1"}, "get"),
        cluster_role("b", {"y": "1"}, "list"),
        cluster_role("c", {}, "watch"),
    ]
    exists = [{"matchExpressions": [{"key": key, "operator": "Exists"}]} for key in "yx"]
    found = aggregate(gathering(*exists), roles)
    assert found is not None
    assert [rule["verbs"] for rule in found] == [["list"], ["get"]]


def test_a_role_does_not_gather_from_itself() -> None:
    role = gathering({"matchLabels": {"to": "sum"}}, rules=[{"verbs": ["get"]}])
    assert aggregate(role, [role]) == []


def test_there_is_nothing_to_do_without_a_rule_or_a_change() -> None:
    roles = [cluster_role("a", {"to": "sum"}, "get")]
    assert aggregate(roles[0], roles) is None
    assert aggregate(gathering({"matchLabels": {"to": "sum"}}, rules=roles[0]["rules"]), roles) is None
