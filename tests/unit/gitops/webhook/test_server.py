"""The listener, over HTTP."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import aiohttp
import pytest

from seatrial.gitops.api.settings import WebhookSecrets
from seatrial.gitops.webhook.server import WebhookServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seatrial.gitops.webhook.push import Push

_BODY = b'{"ref": "refs/heads/main", "repository": {"html_url": "https://git.example.com/a/b"}}'


@pytest.fixture
async def received() -> list[Push]:
    return []


@pytest.fixture
async def server(received: list[Push]) -> AsyncIterator[WebhookServer]:
    async with WebhookServer(received.append, lambda: WebhookSecrets(github="s"), limit=1000) as made:
        yield made


async def _post(server: WebhookServer, body: bytes, secret: str = "s", path: str = "/api/webhook") -> int:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{server.port}{path}", data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_a_signed_push_is_received(server: WebhookServer, received: list[Push]) -> None:
    assert await _post(server, _BODY) == 200
    assert [push.ref for push in received] == ["refs/heads/main"]


@pytest.mark.parametrize(("body", "secret", "status"), [(_BODY, "x", 401), (b"{}", "s", 400), (b" " * 2000, "s", 413)])
async def test_anything_else_is_refused(
    server: WebhookServer, received: list[Push], body: bytes, secret: str, status: int
) -> None:
    assert await _post(server, body, secret) == status
    assert received == []


async def test_it_listens_on_loopback_and_on_one_path(server: WebhookServer) -> None:
    assert await _post(server, _BODY, path="/other") == 404
