from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seatrial.base.clock import ManualClock, rfc3339
from seatrial.cluster.apiserver.auth.jws import SigningKey
from seatrial.cluster.apiserver.auth.tokens import ISSUER, LEEWAY, TokenIssuer, token_request
from seatrial.kube.model.status import StatusError

PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
ACCOUNT = {"kind": "ServiceAccount", "metadata": {"namespace": "prod", "name": "bot", "uid": "sa-uid"}}
POD = {
    "metadata": {"namespace": "prod", "name": "web-0", "uid": "pod-uid"},
    "spec": {"serviceAccountName": "bot", "nodeName": "n1"},
}
STORED: dict[tuple[str, str, str], dict[str, Any]] = {
    ("pods", "prod", "web-0"): POD,
    ("pods", "prod", "other"): {"metadata": {"name": "other"}, "spec": {"serviceAccountName": "default"}},
    ("secrets", "prod", "s"): {"metadata": {"name": "s", "uid": "secret-uid"}},
    ("nodes", "", "n1"): {"metadata": {"name": "n1", "uid": "node-uid"}},
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def issuer(clock: ManualClock) -> TokenIssuer:
    return TokenIssuer(PEM, clock=clock)


def ask(issuer: TokenIssuer, clock: ManualClock, spec: object = None, **metadata: str) -> dict[str, Any]:
    return token_request(
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": metadata, "spec": spec},
        service_account=ACCOUNT,
        issuer=issuer,
        lookup=lambda *key: STORED.get(key),
        now=clock.time(),
    )


def bound_to(kind: str, name: str, uid: str = "", api_version: str = "v1") -> dict[str, Any]:
    return {"boundObjectRef": {"kind": kind, "name": name, "uid": uid, "apiVersion": api_version}}


def test_a_token_holds_the_claims_of_kubernetes(issuer: TokenIssuer, clock: ManualClock) -> None:
    token, ends = issuer.issue("prod", ACCOUNT, ["vault", ISSUER], 1000)
    claims = issuer.verify(token)
    assert claims is not None
    assert claims.pop("jti")
    now = int(clock.time())
    assert ends == now + 1000
    assert claims == {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "aud": ["vault", ISSUER],
        "iat": now,
        "nbf": now,
        "exp": now + 1000,
        "sub": "system:serviceaccount:prod:bot",
        "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "bot", "uid": "sa-uid"}},
    }


def test_every_token_has_its_own_id(issuer: TokenIssuer) -> None:
    first, second = (issuer.verify(issuer.issue("prod", ACCOUNT)[0]) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first["jti"] != second["jti"]


def test_a_token_is_valid_until_it_expires_give_or_take_the_leeway(issuer: TokenIssuer, clock: ManualClock) -> None:
    token, ends = issuer.issue("prod", ACCOUNT, (), 600)
    assert issuer.verify(token, now=ends + LEEWAY)
    assert issuer.verify(token, now=ends + LEEWAY + 1) is None
    assert issuer.verify(token, now=clock.time() - LEEWAY)
    assert issuer.verify(token, now=clock.time() - LEEWAY - 1) is None


def test_a_token_for_others_is_not_for_this_server(issuer: TokenIssuer) -> None:
    token, _ = issuer.issue("prod", ACCOUNT, ["vault"])
    assert issuer.verify(token) is None
    assert issuer.verify(token, ["x", "vault"])


def test_a_token_of_another_issuer_with_the_same_key_is_refused(issuer: TokenIssuer, clock: ManualClock) -> None:
    other = TokenIssuer(PEM, clock=clock, issuer="https://elsewhere", audiences=[ISSUER])
    assert issuer.verify(other.issue("prod", ACCOUNT)[0]) is None


def test_a_token_says_where_its_pod_runs(issuer: TokenIssuer) -> None:
    node = {"metadata": {"name": "n1", "uid": "node-uid"}}
    claims = issuer.verify(issuer.issue("prod", ACCOUNT, bound={"kind": "Pod", **POD}, node=node)[0])
    assert claims is not None
    assert claims["kubernetes.io"]["pod"] == {"name": "web-0", "uid": "pod-uid"}
    assert claims["kubernetes.io"]["node"] == {"name": "n1", "uid": "node-uid"}


@pytest.mark.parametrize(
    "change",
    [
        {"exp": "tomorrow"},
        {"exp": None},
        {"exp": True},
        {"iat": None},
        {"aud": ISSUER},
        {"aud": [1]},
        {"jti": None},
        {"sub": "system:serviceaccount:prod:admin"},
        {"kubernetes.io": None},
        {"kubernetes.io": {"namespace": "prod"}},
        {"kubernetes.io": {"namespace": 1, "serviceaccount": {"name": "bot"}}},
        {"kubernetes.io": {"namespace": "prod", "serviceaccount": "bot"}},
        {"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "bot"}, "pod": {"name": 1}}},
    ],
)
def test_signed_claims_of_the_wrong_form_are_no_token(issuer: TokenIssuer, change: dict[str, Any]) -> None:
    claims = issuer.verify(issuer.issue("prod", ACCOUNT)[0])
    assert claims is not None
    assert issuer.verify(SigningKey(PEM).sign({**claims, **change})) is None


def test_the_openid_documents_describe_the_key(issuer: TokenIssuer) -> None:
    document = issuer.openid_configuration("https://127.0.0.1:6443/openid/v1/jwks")
    assert document == {
        "issuer": ISSUER,
        "jwks_uri": "https://127.0.0.1:6443/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
    assert [key["kty"] for key in issuer.jwks()["keys"]] == ["EC"]


def test_a_token_request_defaults_to_an_hour_for_this_server(issuer: TokenIssuer, clock: ManualClock) -> None:
    answer = ask(issuer, clock)
    assert answer["spec"] == {"audiences": [ISSUER], "expirationSeconds": 3600}
    assert answer["status"]["expirationTimestamp"] == rfc3339(clock.time() + 3600)
    assert issuer.verify(answer["status"]["token"])
    assert answer["metadata"] == {
        "name": "bot",
        "namespace": "prod",
        "uid": "sa-uid",
        "creationTimestamp": rfc3339(clock.time()),
    }


def test_a_token_request_leaves_the_body_alone(issuer: TokenIssuer, clock: ManualClock) -> None:
    spec = {"audiences": ["vault"], "expirationSeconds": 900}
    answer = ask(issuer, clock, spec)
    assert answer["spec"] == spec == {"audiences": ["vault"], "expirationSeconds": 900}


@pytest.mark.parametrize(
    ("spec", "claims"),
    [
        (
            bound_to("Pod", "web-0", "pod-uid"),
            {"pod": {"name": "web-0", "uid": "pod-uid"}, "node": {"name": "n1", "uid": "node-uid"}},
        ),
        (bound_to("Secret", "s"), {"secret": {"name": "s", "uid": "secret-uid"}}),
        (bound_to("Node", "n1"), {"node": {"name": "n1", "uid": "node-uid"}}),
    ],
    ids=["pod", "secret", "node"],
)
def test_a_token_request_binds_to_an_object(
    issuer: TokenIssuer, clock: ManualClock, spec: dict[str, Any], claims: dict[str, Any]
) -> None:
    found = issuer.verify(ask(issuer, clock, spec)["status"]["token"])
    assert found is not None
    private = {key: value for key, value in found["kubernetes.io"].items() if key in ("pod", "secret", "node")}
    assert private == claims


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ({"expirationSeconds": 599}, 422, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 2**32 + 1}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"expirationSeconds": "1h"}, 422, "must be an integer"),
        ({"expirationSeconds": True}, 422, "must be an integer"),
        ({"audiences": "me"}, 422, "must be a list of strings"),
        ({"boundObjectRef": "pod"}, 400, "must be an object"),
        (bound_to("Pod", "gone"), 404, 'pods "gone" not found'),
        (bound_to("Pod", "other"), 400, "to pod running with different serviceaccount name"),
        (bound_to("Pod", "web-0", "old"), 409, "does not match the UID in record"),
        (bound_to("ConfigMap", "x"), 400, "cannot bind token to object of type v1, Kind=ConfigMap"),
        (bound_to("Pod", "web-0", "", "apps/v1"), 400, "cannot bind token"),
    ],
)
def test_a_bad_token_request_is_refused(
    issuer: TokenIssuer, clock: ManualClock, spec: dict[str, Any], code: int, message: str
) -> None:
    with pytest.raises(StatusError) as error:
        ask(issuer, clock, spec)
    assert error.value.code == code
    assert message in error.value.message


@pytest.mark.parametrize(
    ("metadata", "code"),
    [({"name": "x"}, 422), ({"namespace": "x"}, 422), ({"uid": "x"}, 409), ({"name": "bot", "uid": "sa-uid"}, 0)],
)
def test_a_token_request_must_mean_the_account_in_its_url(
    issuer: TokenIssuer, clock: ManualClock, metadata: dict[str, str], code: int
) -> None:
    if not code:
        assert ask(issuer, clock, **metadata)
        return
    with pytest.raises(StatusError) as error:
        ask(issuer, clock, **metadata)
    assert error.value.code == code
