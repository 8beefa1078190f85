"""A registry that does as it is told, and a store of its own for each test."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import orjson
import pytest
from aiohttp import web
from tests.unit.cluster.node.images.making import digest_of, index_of, rules

from seatrial.base.clock import SystemClock
from seatrial.cluster.node.images.platform import Platform
from seatrial.cluster.node.images.store import ImageStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.unit.cluster.node.images.making import BuiltImage

AMD64 = Platform("linux", "amd64", "v1")


class FakeRegistry:
    """Serves what it is given; `interfere` may answer instead, request by request."""

    def __init__(self) -> None:
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        self.auth = ""
        self.users: dict[str, str] = {}
        self.interfere: Callable[[web.Request], web.StreamResponse | None] = lambda _request: None
        self.cut_after = 0
        """Break the next transfer of a blob after so many bytes."""
        self.port = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, tag: str, *images: BuiltImage) -> str:
        """Publish one image, or several as an index; the digest of what the tag names."""
        for image in images:
            self.blobs |= image.blobs
            self.manifests[image.digest] = image.manifest
        top = images[0].manifest if len(images) == 1 else index_of(*images)
        self.manifests[tag] = self.manifests[digest_of(top)] = top
        return digest_of(top)

    def sent(self, kind: str) -> list[str]:
        """The paths asked for, of one kind (`blobs`, `manifests`, `token`)."""
        return [path for path in self.requests if kind in path]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        self.authorizations.append(request.headers.get("authorization", ""))
        other = self.interfere(request)
        if other is not None:
            return other
        if request.path == "/token":
            return self._token(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        kind, name = request.path.rsplit("/", 2)[1:]
        if kind == "manifests" and name in self.manifests:
            body = self.manifests[name]
            return web.Response(body=body, content_type=orjson.loads(body)["mediaType"])
        if kind == "blobs" and name in self.blobs:
            return await self._blob(request, self.blobs[name])
        return web.json_response({"errors": [{"code": "UNKNOWN", "message": f"{name} unknown"}]}, status=404)

    async def _blob(self, request: web.Request, blob: bytes) -> web.StreamResponse:
        start = request.http_range.start or 0
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(blob) - start
        await response.prepare(request)
        cut, self.cut_after = self.cut_after, 0
        await response.write(blob[start : start + cut] if cut else blob[start:])
        if cut and request.transport is not None:
            request.transport.close()
        return response

    def _token(self, request: web.Request) -> web.Response:
        if self.users and not self._knows(request):
            return web.Response(status=401)
        return web.json_response({"token": f"token-for-{request.query['scope']}"})

    def _refusal(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("authorization", "")
        if self.auth == "bearer" and not given.startswith("Bearer token-for-repository:"):
            challenge = f'Bearer realm="http://{self.host}/token",service="fake"'
            return web.json_response({"errors": []}, status=401, headers={"www-authenticate": challenge})
        if self.auth == "basic" and not self._knows(request):
            return web.Response(status=401, headers={"www-authenticate": 'Basic realm="fake"'})
        return None

    def _knows(self, request: web.Request) -> bool:
        given = request.headers.get("authorization", "")
        if not given.startswith("Basic "):
            return False
        user, _, password = base64.b64decode(given[6:]).decode().partition(":")
        return self.users.get(user) == password


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    application = web.Application()
    application.router.add_get("/{path:.*}", fake.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.port = runner.addresses[0][1]
    yield fake
    await runner.cleanup()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    async with ImageStore(tmp_path / "images", SystemClock(), rules=rules(), wanted=AMD64) as opened:
        yield opened
