from __future__ import annotations

from base64 import b64encode

from seatrial.pipeline.gitserver.tokens import Tokens, Visitor


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def test_a_token_is_a_password_a_name_or_a_bearer() -> None:
    tokens = Tokens({"ann": "sesame"})
    for header in ("Bearer sesame", "token sesame", basic("whoever", "sesame"), basic("sesame", "")):
        assert tokens.visitor(header) == Visitor("ann")


def test_nothing_else_comes_in() -> None:
    tokens = Tokens({"ann": "sesame", "bob": ""})
    for header in (
        "",
        "Bearer",
        "Bearer ",
        "Bearer sesam",
        basic("ann", ""),
        basic("", ""),
        "Basic !!",
        "Digest sesame",
    ):
        assert tokens.visitor(header) is None
    assert tokens.visitor("Bearer " + "x" * 10_000) is None


def test_an_issued_token_opens_one_repository_until_it_is_revoked() -> None:
    tokens = Tokens({})
    token = tokens.issue("run-1", "shop")
    visitor = tokens.visitor(f"Bearer {token}")
    assert visitor is not None
    assert visitor.may_see("shop")
    assert not visitor.may_see("bank")
    tokens.revoke(token)
    assert tokens.visitor(f"Bearer {token}") is None
