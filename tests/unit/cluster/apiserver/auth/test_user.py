from __future__ import annotations

from seatrial.cluster.apiserver.auth.user import ANONYMOUS, User, authenticated, loopback, service_account


def test_authentication_adds_its_group_once() -> None:
    once = authenticated(User("jane", ("dev",)))
    assert once.groups == ("dev", "system:authenticated")
    assert authenticated(once) is once


def test_anonymous_is_not_authenticated() -> None:
    assert User("system:anonymous", ("system:unauthenticated",)) == ANONYMOUS


def test_loopback_is_a_master() -> None:
    assert "system:masters" in loopback().groups


def test_a_service_account_is_in_the_groups_of_all_and_of_its_namespace() -> None:
    user = service_account("prod", "bot", "u1")
    assert user.name == "system:serviceaccount:prod:bot"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:prod", "system:authenticated")


def test_user_info_leaves_out_what_is_empty() -> None:
    assert User("jane").to_json() == {"username": "jane"}
    full = User("jane", ("dev",), "7", {"scope": ("a", "b")})
    assert full.to_json() == {"username": "jane", "uid": "7", "groups": ["dev"], "extra": {"scope": ["a", "b"]}}
