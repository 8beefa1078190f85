from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.base.clock import ManualClock, rfc3339
from seatrial.base.errors import Terminal
from seatrial.cluster.apiserver.auth import authenticate
from seatrial.cluster.apiserver.auth.authenticate import Authenticator, read_static_tokens
from seatrial.cluster.apiserver.auth.tokens import ISSUER, TokenIssuer
from seatrial.cluster.apiserver.auth.user import User
from seatrial.cluster.pki import DAY, Authority

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "correct-horse"


def account(uid: str = "sa-uid") -> dict[str, Any]:
    return {"kind": "ServiceAccount", "metadata": {"namespace": "prod", "name": "bot", "uid": uid}}


def named(kind: str, uid: str = "1") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"namespace": "prod", "name": "it", "uid": uid}}


class Cluster:
    """An authenticator over objects a test may change."""

    def __init__(self, authority: Authority, clock: ManualClock) -> None:
        self.authority, self.clock = authority, clock
        self.issuer = TokenIssuer(authority.service_account_key, clock=clock)
        self.objects: dict[tuple[str, str], dict[str, Any]] = {("ServiceAccount", "bot"): account()}
        self.authenticator = self.start()

    def start(self) -> Authenticator:
        return Authenticator(
            static_tokens={TOKEN: User("jane", ("dev",), "7")},
            service_accounts=self.issuer,
            service_account_lookup=lambda namespace, name: self.get("ServiceAccount", namespace, name),
            pod_lookup=lambda namespace, name: self.get("Pod", namespace, name),
            secret_lookup=lambda namespace, name: self.get("Secret", namespace, name),
            node_lookup=lambda name: self.objects.get(("Node", name)),
            clock=self.clock,
        )

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        assert namespace == "prod"
        return self.objects.get((kind, name))

    def token(self, **more: Any) -> str:
        return self.issuer.issue("prod", account(), **more)[0]

    def user(self, token: str) -> User | None:
        return self.authenticator.from_bearer(token)

    def certificate(self, user: str, *groups: str, days: int = 1) -> bytes:
        pem, _ = self.authority.client_certificate(user, groups, days)
        return ssl.PEM_cert_to_DER_cert(pem.decode())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority.load_or_create(tmp_path_factory.mktemp("pki"), clock=ManualClock())
    authority.serving(["localhost"])
    return authority


@pytest.fixture
def cluster(authority: Authority) -> Cluster:
    return Cluster(authority, ManualClock())


def test_a_certificate_names_user_and_groups(cluster: Cluster) -> None:
    user = cluster.authenticator.from_certificate(cluster.certificate("jane", "dev", "ops"))
    assert user is not None
    assert (user.name, user.groups) == ("jane", ("dev", "ops", "system:authenticated"))
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")


async def test_an_expired_certificate_is_refused_although_it_is_remembered(cluster: Cluster) -> None:
    der = cluster.certificate("jane", days=1)
    assert cluster.authenticator.from_certificate(der)
    await cluster.clock.advance(2 * DAY)
    assert cluster.authenticator.from_certificate(der) is None
    assert cluster.start().from_certificate(der) is None


def test_a_certificate_for_another_purpose_is_nobody(cluster: Cluster) -> None:
    for path in (cluster.authority.serving_cert, cluster.authority.ca_file):
        pem = path.read_text().partition("-----END CERTIFICATE-----\n")
        assert cluster.authenticator.from_certificate(ssl.PEM_cert_to_DER_cert(pem[0] + pem[1])) is None


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_are_nobody(authority: Authority, der: bytes) -> None:
    assert Cluster(authority, ManualClock()).authenticator.from_certificate(der) is None


def test_a_static_token_is_its_user(cluster: Cluster) -> None:
    assert cluster.user(TOKEN) == User("jane", ("dev", "system:authenticated"), "7")


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "a.b.c", "x" * 100_000])
def test_an_unknown_token_is_nobody(cluster: Cluster, token: str) -> None:
    assert cluster.user(token) is None


@given(st.text(st.characters()))
def test_any_text_as_token_is_answered_without_an_error(authority: Authority, token: str) -> None:
    assert Cluster(authority, ManualClock()).user(token) is None


def test_a_service_account_token_is_its_account(cluster: Cluster) -> None:
    user = cluster.user(cluster.token())
    assert user is not None
    assert (user.name, user.uid) == ("system:serviceaccount:prod:bot", "sa-uid")
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:prod", "system:authenticated")
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")


def test_a_pod_token_tells_pod_and_node(cluster: Cluster) -> None:
    cluster.objects["Pod", "it"] = named("Pod")
    user = cluster.user(cluster.token(bound=named("Pod"), node=named("Node", "9")))
    assert user is not None
    extra = {key.rpartition("/")[2]: values for key, values in user.extra.items()}
    del extra["credential-id"]
    assert extra == {"pod-name": ("it",), "pod-uid": ("1",), "node-name": ("it",), "node-uid": ("9",)}


def test_a_token_dies_with_its_account_at_once(cluster: Cluster) -> None:
    token = cluster.token()
    assert cluster.user(token)
    del cluster.objects["ServiceAccount", "bot"]
    assert cluster.user(token) is None


def test_a_token_is_not_valid_for_a_recreated_account(cluster: Cluster) -> None:
    token = cluster.token()
    assert cluster.user(token)
    cluster.objects["ServiceAccount", "bot"] = account("another")
    assert cluster.user(token) is None


@pytest.mark.parametrize("kind", ["Pod", "Secret", "Node"])
def test_a_token_dies_with_the_object_it_is_bound_to(cluster: Cluster, kind: str) -> None:
    cluster.objects[kind, "it"] = named(kind)
    token = cluster.token(bound=named(kind))
    assert cluster.user(token)
    cluster.objects[kind, "it"] = named(kind, "another")
    assert cluster.user(token) is None
    del cluster.objects[kind, "it"]
    assert cluster.user(token) is None
    cluster.objects[kind, "it"] = named(kind)
    assert cluster.user(token)


async def test_a_token_outlives_the_deletion_mark_of_its_pod_by_a_minute(cluster: Cluster) -> None:
    pod = named("Pod")
    pod["metadata"]["deletionTimestamp"] = rfc3339(cluster.clock.time())
    cluster.objects["Pod", "it"] = pod
    token = cluster.token(bound=pod)
    assert cluster.user(token)
    await cluster.clock.advance(61)
    assert cluster.user(token) is None


async def test_a_remembered_token_expires(cluster: Cluster) -> None:
    token = cluster.token(seconds=600)
    assert cluster.user(token)
    await cluster.clock.advance(661)
    assert cluster.user(token) is None


def test_a_token_of_another_cluster_is_nobody(cluster: Cluster, tmp_path: Path) -> None:
    other = Cluster(Authority.load_or_create(tmp_path, clock=cluster.clock), cluster.clock)
    assert cluster.user(other.token()) is None


def test_a_token_for_another_audience_does_not_open_this_server(cluster: Cluster) -> None:
    token = cluster.token(audiences=["vault"])
    found = cluster.authenticator.review(token, ["vault", "x"])
    assert found is not None
    assert found.audiences == ("vault",)
    assert cluster.user(token) is None
    assert cluster.authenticator.review(token, [ISSUER]) is None


def test_a_static_token_is_meant_for_this_server_only(cluster: Cluster) -> None:
    assert cluster.authenticator.review(TOKEN, ["vault"]) is None
    assert cluster.authenticator.review(TOKEN, ["vault", ISSUER]) is not None


def test_the_memory_of_credentials_is_bounded(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticate, "CACHE_SIZE", 2)
    tokens = [cluster.token() for _ in range(5)]
    assert all(cluster.user(token) for token in tokens * 2)
    assert len(cluster.authenticator._verified) <= 2


def test_nothing_remembered_shows_a_secret(cluster: Cluster) -> None:
    token = cluster.token()
    cluster.user(token)
    shown = repr(vars(cluster.authenticator))
    assert TOKEN not in shown
    assert token not in shown


def test_a_token_file_gives_users_with_groups() -> None:
    text = 't1,jane,7,"dev, ops"\n# a comment\n\nt2,joe,8\n'
    assert read_static_tokens(text, "tokens.csv") == {
        "t1": User("jane", ("dev", "ops"), "7"),
        "t2": User("joe", (), "8"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3cret,jane", "tokens.csv, line 1: expected token,user,uid"),
        (",jane,7", "tokens.csv, line 1: expected"),
        ("s3cret,,7", "tokens.csv, line 1: expected"),
        ("s3cret,jane,7\ns3cret,joe,8", "tokens.csv, line 2: this token is listed twice; remove one"),
        ("s3cret" * 40_000, "tokens.csv: not a CSV file"),
    ],
)
def test_a_bad_token_file_is_named_and_its_tokens_are_not(text: str, message: str) -> None:
    with pytest.raises(Terminal) as error:
        read_static_tokens(text, "tokens.csv")
    assert message in error.value.message
    assert "s3cret" not in error.value.message
