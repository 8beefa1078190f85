from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.base.clock import ManualClock, rfc3339
from seatrial.cluster.apiserver.auth import reviews
from seatrial.cluster.apiserver.auth.authenticate import Authenticator
from seatrial.cluster.apiserver.auth.authorize import Authorizer
from seatrial.cluster.apiserver.auth.tokens import ISSUER, TokenIssuer
from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.pki import Authority
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from pathlib import Path

JANE = User("jane", ("dev",), "7", {"scope": ("a",)})
GET_PODS = {"verb": "get", "resource": "pods", "namespace": "prod"}


class OneRole:
    """A RoleSource in which the group dev may get pods and /metrics."""

    revision = 1

    def roles(self, namespace: str) -> list[dict[str, Any]]:
        return []

    def role_bindings(self, namespace: str) -> list[dict[str, Any]]:
        return []

    def cluster_roles(self) -> list[dict[str, Any]]:
        rules = [
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["get"], "nonResourceURLs": ["/metrics"]},
        ]
        return [{"metadata": {"name": "r"}, "rules": rules}]

    def cluster_role_bindings(self) -> list[dict[str, Any]]:
        role = {"kind": "ClusterRole", "name": "r"}
        return [{"metadata": {"name": "b"}, "roleRef": role, "subjects": [{"kind": "Group", "name": "dev"}]}]


AUTHORIZER = Authorizer(OneRole())


def body(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "Review", "metadata": {}, "spec": spec}


def local(body: dict[str, Any], namespace: str = "prod") -> dict[str, Any]:
    return reviews.local_subject_access_review(body, namespace, AUTHORIZER)


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({"resourceAttributes": GET_PODS}, True),
        ({"resourceAttributes": {**GET_PODS, "verb": "delete"}}, False),
        ({"resourceAttributes": {**GET_PODS, "subresource": "log"}}, False),
        ({"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}, True),
        ({"nonResourceAttributes": {"verb": "get", "path": "/logs"}}, False),
        ({"nonResourceAttributes": {}}, False),
        ({"resourceAttributes": {}}, False),
    ],
)
def test_callers_learn_what_they_may_do(spec: dict[str, Any], allowed: bool) -> None:
    answer = reviews.self_subject_access_review(JANE, body(**spec), AUTHORIZER)
    assert answer["status"]["allowed"] is allowed
    assert answer["spec"] == spec


def test_an_answer_gives_the_reason() -> None:
    answer = reviews.self_subject_access_review(JANE, body(resourceAttributes=GET_PODS), AUTHORIZER)
    reason = 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "dev"'
    assert answer["status"] == {"allowed": True, "reason": reason}


@pytest.mark.parametrize(
    ("who", "allowed"),
    [({"groups": ["dev"]}, True), ({"user": "jane"}, False), ({"user": "x", "groups": ["a", "dev"]}, True)],
)
def test_an_access_review_judges_the_subject_in_its_spec(who: dict[str, Any], allowed: bool) -> None:
    spec = {"resourceAttributes": GET_PODS, "extra": {"scope": ["a"]}, **who}
    assert reviews.subject_access_review(body(**spec), AUTHORIZER)["status"]["allowed"] is allowed
    assert local(body(**spec))["status"]["allowed"] is allowed


BOTH = {"resourceAttributes": GET_PODS, "nonResourceAttributes": {"path": "/"}}


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({}, "spec", "exactly one of nonResourceAttributes or resourceAttributes must be specified"),
        (BOTH, "spec", "exactly one of nonResourceAttributes or resourceAttributes must be specified"),
        (
            {"resourceAttributes": {"labelSelector": {"rawSelector": "a", "requirements": [{}]}}},
            "spec.resourceAttributes.labelSelector.rawSelector",
            "may not specified at the same time as requirements",
        ),
        (
            {"resourceAttributes": {"fieldSelector": {}}},
            "spec.resourceAttributes.fieldSelector.requirements",
            "requirements or rawSelector is required",
        ),
    ],
)
def test_an_access_review_of_bad_form_is_invalid(spec: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(StatusError) as error:
        reviews.self_subject_access_review(JANE, body(**spec), AUTHORIZER)
    assert error.value.code == 422
    [cause] = error.value.details["causes"]
    assert cause["field"] == field
    assert message in cause["message"]


def test_an_access_review_needs_a_subject() -> None:
    with pytest.raises(StatusError, match="at least one of user or group must be specified"):
        reviews.subject_access_review(body(resourceAttributes=GET_PODS), AUTHORIZER)


def test_an_access_review_has_no_metadata() -> None:
    named = {**body(resourceAttributes=GET_PODS), "metadata": {"name": "x"}}
    with pytest.raises(StatusError, match="must be empty"):
        reviews.self_subject_access_review(JANE, named, AUTHORIZER)
    ignored = {"metadata": {"creationTimestamp": None, "managedFields": [{"manager": "x"}]}}
    assert reviews.self_subject_access_review(JANE, {**named, **ignored}, AUTHORIZER)["status"]["allowed"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"resourceAttributes": {**GET_PODS, "namespace": "test"}}, "must match metadata.namespace"),
        ({"nonResourceAttributes": {"path": "/"}}, "disallowed on this kind of request"),
    ],
)
def test_a_local_access_review_stays_in_its_namespace(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(StatusError, match=message) as error:
        local(body(user="jane", **spec))
    assert error.value.code == 422


def test_a_local_access_review_of_another_namespace_is_refused() -> None:
    given = body(user="jane", resourceAttributes=GET_PODS) | {"metadata": {"namespace": "prod"}}
    assert local(given)["metadata"]["namespace"] == "prod"
    with pytest.raises(StatusError, match="does not match the namespace sent on the request") as error:
        local(given, "test")
    assert error.value.code == 400


@pytest.mark.parametrize(
    "spec",
    [
        [],
        "x",
        {"resourceAttributes": []},
        {"resourceAttributes": "x"},
        {"nonResourceAttributes": 1},
        {"resourceAttributes": {"labelSelector": "a"}},
        {"resourceAttributes": {"verb": 1, "name": []}, "user": "u", "extra": "x"},
        {"resourceAttributes": {"verb": 1, "name": []}, "user": [1], "groups": {"a": 1}, "extra": {"a": 1}},
    ],
)
def test_wrong_types_are_a_clients_error_or_nothing_granted(spec: Any) -> None:
    given = {"kind": "Review", "spec": spec}
    try:
        assert not reviews.subject_access_review(given, AUTHORIZER)["status"]["allowed"]
    except StatusError as error:
        assert error.code in (400, 422)


def test_a_rules_review_lists_rules() -> None:
    answer = reviews.self_subject_rules_review(JANE, body(namespace="prod"), AUTHORIZER)
    assert answer["status"] == {
        "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}],
        "incomplete": False,
    }


def test_a_rules_review_needs_a_namespace() -> None:
    with pytest.raises(StatusError, match="no namespace on request"):
        reviews.self_subject_rules_review(JANE, body(), AUTHORIZER)


def test_callers_learn_who_they_are() -> None:
    answer = reviews.self_subject_review(JANE, {"kind": "SelfSubjectReview"}, 1_700_000_000)
    assert answer["metadata"] == {"creationTimestamp": rfc3339(1_700_000_000)}
    assert answer["status"]["userInfo"] == {
        "username": "jane",
        "uid": "7",
        "groups": ["dev"],
        "extra": {"scope": ["a"]},
    }


@pytest.fixture
def authenticator(tmp_path: Path) -> Authenticator:
    clock = ManualClock()
    issuer = TokenIssuer(Authority.load_or_create(tmp_path, clock=clock).service_account_key, clock=clock)
    return Authenticator(
        static_tokens={"good": JANE},
        service_accounts=issuer,
        service_account_lookup=lambda *_: None,
        pod_lookup=lambda *_: None,
        secret_lookup=lambda *_: None,
        node_lookup=lambda *_: None,
        clock=clock,
    )


def test_a_good_token_is_reviewed_with_its_user(authenticator: Authenticator) -> None:
    status = reviews.token_review(body(token="good", audiences=[ISSUER, "x"]), authenticator)["status"]
    assert status["authenticated"] is True
    assert status["user"]["username"] == "jane"
    assert status["user"]["groups"] == ["dev", "system:authenticated"]
    assert status["audiences"] == [ISSUER]


@pytest.mark.parametrize("spec", [{"token": "bad"}, {"token": "good", "audiences": ["x"]}])
def test_a_bad_token_is_reviewed_without_a_user(authenticator: Authenticator, spec: dict[str, Any]) -> None:
    status = reviews.token_review(body(**spec), authenticator)["status"]
    assert status == {"user": {}, "error": "invalid bearer token"}


def test_a_token_review_needs_a_token(authenticator: Authenticator) -> None:
    with pytest.raises(StatusError, match="token is required") as error:
        reviews.token_review(body(), authenticator)
    assert error.value.code == 400
