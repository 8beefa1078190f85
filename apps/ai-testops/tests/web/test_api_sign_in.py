from __future__ import annotations

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from testops import attempts
from testops.models import FailedSignIn

PASSWORD = "correct horse battery staple"  # of the user in conftest.py
SIGN_IN = "/api/v1/sign-in"


def sign_in(password: str, username: str = "ada"):
    return APIClient().post(SIGN_IN, {"username": username, "password": password}, format="json")


def test_a_token_opens_the_api_until_it_is_handed_back(user):
    token = sign_in(PASSWORD).json()["token"]
    client = APIClient(headers={"Authorization": f"Token {token}"})
    assert client.get("/api/v1/projects").status_code == 200
    assert client.post("/api/v1/sign-out").status_code == 204
    assert client.get("/api/v1/projects").status_code == 401


def test_a_wrong_password_and_an_unknown_name_are_told_the_same(user):
    wrong, unknown = sign_in("wrong"), sign_in("wrong", "nobody")
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    assert wrong.status_code == 401
    assert "token" not in wrong.json()


def test_after_ten_wrong_passwords_the_right_one_has_to_wait_a_minute(user):
    for _ in range(attempts.ALLOWED):
        sign_in("wrong")
    refused = sign_in(PASSWORD)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    assert sign_in(PASSWORD, "somebody else").status_code != 429
    FailedSignIn.objects.update(at=FailedSignIn.objects.first().at - timedelta(minutes=1))
    assert sign_in(PASSWORD).status_code == 200


def test_old_failures_are_forgotten_and_the_name_is_never_kept(user):
    sign_in("wrong", "my-password-in-the-wrong-field")
    assert not FailedSignIn.objects.filter(name__contains="password").exists()
    FailedSignIn.objects.update(at=FailedSignIn.objects.first().at - timedelta(minutes=2))
    sign_in("wrong")
    assert FailedSignIn.objects.count() == 1


@pytest.mark.parametrize("path", ["projects", "specifications", "cases", "runs", "results", "groups", "projects/1"])
def test_nothing_is_shown_to_strangers(db, path):
    assert APIClient().get(f"/api/v1/{path}").status_code == 401


def test_what_is_missing_is_named(db):
    answer = APIClient().post(SIGN_IN, {"username": "ada"}, format="json")
    assert answer.status_code == 400
    assert list(answer.json()) == ["password"]
