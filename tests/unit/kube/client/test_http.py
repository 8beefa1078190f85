"""The HTTP transport: requests as the API wants them, answers and failures as callers expect them."""

from __future__ import annotations

import asyncio
import gzip
import stat
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.kube.client.connection import Connection, ExecPlugin
from seatrial.kube.client.credentials import CredentialError
from seatrial.kube.client.http import HttpTransport
from seatrial.kube.client.transport import Request, TransportError
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.unit.kube.client.conftest import Certificates, Server

    Connect = Callable[[Connection], HttpTransport]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    opened: list[HttpTransport] = []

    def connect(connection: Connection) -> HttpTransport:
        opened.append(HttpTransport(connection, SystemClock()))
        return opened[-1]

    yield connect
    for transport in opened:
        await transport.close()


async def answer_nothing(request: web.Request) -> web.StreamResponse:
    return web.json_response({})


def status(code: int, **fields: Any) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, **fields}, status=code)


async def test_a_request_arrives_as_it_was_meant(server: Server, connect: Connect) -> None:
    server.handler = answer_nothing
    request = Request(
        "PATCH",
        "/api/v1/namespaces/default/pods/a b",
        [("fieldManager", "me"), ("labelSelector", "a in (b,c)")],
        {"content-type": "application/merge-patch+json", "accept": "application/json"},
        {"spec": {}},
    )
    response = await connect(Connection(server.url)).send(request)
    asked = server.asked[0]
    assert response.status == 200
    assert asked.method == "PATCH"
    assert asked.target == ("/api/v1/namespaces/default/pods/a%20b?fieldManager=me&labelSelector=a+in+%28b%2Cc%29")
    assert asked.headers["content-type"] == "application/merge-patch+json"
    assert asked.headers["user-agent"] == "seatrial"
    assert asked.body == b'{"spec":{}}'


async def test_names_with_colons_stay_readable(server: Server, connect: Connect) -> None:
    server.handler = answer_nothing
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"
    await connect(Connection(server.url)).send(Request("GET", path))
    assert server.asked[0].target == path


async def test_a_path_before_the_api_is_kept(server: Server, connect: Connect) -> None:
    server.handler = answer_nothing
    await connect(Connection(f"{server.url}/clusters/one")).send(Request("GET", "/version"))
    assert server.asked[0].target == "/clusters/one/version"


async def test_bytes_go_out_as_they_are(server: Server, connect: Connect) -> None:
    server.handler = answer_nothing
    await connect(Connection(server.url)).send(Request("POST", "/x", body=b"k8s\x00\x01"))
    assert server.asked[0].body == b"k8s\x00\x01"


async def test_a_compressed_answer_is_unpacked(server: Server, connect: Connect) -> None:
    async def zipped(request: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"hello"), headers={"content-encoding": "gzip"})

    server.handler = zipped
    response = await connect(Connection(server.url)).send(Request("GET", "/x"))
    assert response.body == b"hello"


async def test_a_status_becomes_the_error_it_describes(server: Server, connect: Connect) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        answer = status(429, reason="TooManyRequests", message="slow down", details={"retryAfterSeconds": 3})
        answer.headers["retry-after"] = "3"
        return answer

    server.handler = refuse
    with pytest.raises(StatusError, match="slow down") as caught:
        await connect(Connection(server.url)).send(Request("GET", "/x"))
    error = caught.value
    assert (error.code, error.reason, error.details) == (429, "TooManyRequests", {"retryAfterSeconds": 3})
    assert error.headers["retry-after"] == "3"


async def test_an_error_that_is_no_status_says_what_the_server_said(server: Server, connect: Connect) -> None:
    async def gateway(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, text="upstream is asleep")

    server.handler = gateway
    with pytest.raises(StatusError, match="upstream is asleep") as caught:
        await connect(Connection(server.url)).send(Request("GET", "/x"))
    assert (caught.value.code, caught.value.reason) == (503, "ServiceUnavailable")


async def test_no_server_is_a_transport_error(connect: Connect) -> None:
    with pytest.raises(TransportError, match=r"GET http://127.0.0.1:1/x"):
        await connect(Connection("http://127.0.0.1:1")).send(Request("GET", "/x"))


async def test_a_connection_that_breaks_in_the_answer_is_a_transport_error(server: Server, connect: Connect) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    server.handler = half
    with pytest.raises(TransportError):
        await connect(Connection(server.url)).send(Request("GET", "/x"))


# watches


def streaming(*chunks: bytes, hang: bool = False, break_off: bool = False) -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0)
        if hang:
            await asyncio.Event().wait()
        if break_off and request.transport is not None:
            request.transport.close()
        return response

    return handler


def event(type_: str, **obj: Any) -> bytes:
    return orjson.dumps({"type": type_, "object": obj}) + b"\n"


async def test_watch_events_arrive_however_they_are_cut(server: Server, connect: Connect) -> None:
    stream = event("ADDED", name="a") + event("MODIFIED", name="ä") + event("DELETED", name="c")
    server.handler = streaming(*(stream[start : start + 3] for start in range(0, len(stream), 3)))
    found = [seen async for seen in connect(Connection(server.url)).watch(Request("GET", "/x"))]
    assert [(seen.type, seen.object["name"]) for seen in found] == [
        ("ADDED", "a"),
        ("MODIFIED", "ä"),
        ("DELETED", "c"),
    ]


async def test_a_watch_event_may_be_megabytes_long(server: Server, connect: Connect) -> None:
    server.handler = streaming(event("ADDED", data="x" * 5_000_000))
    found = [seen async for seen in connect(Connection(server.url)).watch(Request("GET", "/x"))]
    assert len(found[0].object["data"]) == 5_000_000


async def test_events_arrive_while_the_watch_is_open_and_it_can_be_left(server: Server, connect: Connect) -> None:
    server.handler = streaming(event("ADDED", name="a"), hang=True)
    watch: Any = connect(Connection(server.url)).watch(Request("GET", "/x"))
    assert (await anext(watch)).object == {"name": "a"}
    await watch.aclose()


async def test_an_error_event_is_raised(server: Server, connect: Connect) -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    server.handler = streaming(event("ADDED", name="a"), event("ERROR", **gone))
    watch = connect(Connection(server.url)).watch(Request("GET", "/x"))
    assert (await anext(watch)).type == "ADDED"
    with pytest.raises(StatusError, match="too old") as caught:
        await anext(watch)
    assert caught.value.code == 410


async def test_a_refused_watch_is_a_status_error(server: Server, connect: Connect) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return status(403, reason="Forbidden", message="not yours")

    server.handler = refuse
    with pytest.raises(StatusError, match="not yours"):
        await anext(connect(Connection(server.url)).watch(Request("GET", "/x")))


@pytest.mark.parametrize("rest", [b"", b'{"type":"ADDED","obj'])
async def test_a_watch_that_breaks_is_a_transport_error(server: Server, connect: Connect, rest: bytes) -> None:
    server.handler = streaming(event("ADDED", name="a"), rest, break_off=True)
    watch = connect(Connection(server.url)).watch(Request("GET", "/x"))
    assert (await anext(watch)).type == "ADDED"
    with pytest.raises(TransportError):
        await anext(watch)


async def test_a_watch_may_last_as_long_as_it_asked(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seatrial.kube.client.http.WATCH_GRACE", -0.9)
    server.handler = streaming(event("ADDED", name="a"), hang=True)
    watch = connect(Connection(server.url)).watch(Request("GET", "/x", [("timeoutSeconds", "1")]))
    assert (await anext(watch)).type == "ADDED"
    with pytest.raises(TransportError, match="no answer in time"):
        await anext(watch)


# who we are


async def test_the_server_is_verified_and_the_client_certificate_shown(
    tls_server: Server, connect: Connect, certificates: Certificates
) -> None:
    tls_server.handler = answer_nothing
    connection = Connection(
        tls_server.url, ca=certificates.ca, certificate=certificates.alice, key=certificates.alice_key
    )
    await connect(connection).send(Request("GET", "/x"))
    assert tls_server.asked[0].client == "alice"


async def test_a_stranger_is_not_trusted(tls_server: Server, connect: Connect) -> None:
    tls_server.handler = answer_nothing
    with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
        await connect(Connection(tls_server.url)).send(Request("GET", "/x"))


async def test_insecure_trusts_anyone(tls_server: Server, connect: Connect) -> None:
    tls_server.handler = answer_nothing
    await connect(Connection(tls_server.url, insecure=True)).send(Request("GET", "/x"))
    assert len(tls_server.asked) == 1


async def test_tls_server_name_is_what_is_verified(
    tls_server: Server, connect: Connect, certificates: Certificates
) -> None:
    tls_server.handler = answer_nothing
    connection = Connection(tls_server.url, ca=certificates.ca, tls_server_name="elsewhere.example.com")
    with pytest.raises(TransportError, match="elsewhere"):
        await connect(connection).send(Request("GET", "/x"))


async def test_a_token_is_sent(server: Server, connect: Connect) -> None:
    server.handler = answer_nothing
    await connect(Connection(server.url, token="t0p")).send(Request("GET", "/x"))
    assert server.asked[0].headers["authorization"] == "Bearer t0p"


async def test_a_token_file_is_read_again(server: Server, tmp_path: Path) -> None:
    server.handler = answer_nothing
    file = tmp_path / "token"
    file.write_text("first\n")
    clock = ManualClock()
    transport = HttpTransport(Connection(server.url, token_file=file), clock)
    await transport.send(Request("GET", "/x"))
    file.write_text("second\n")
    await transport.send(Request("GET", "/x"))
    await clock.advance(60)
    await transport.send(Request("GET", "/x"))
    await transport.close()
    assert [asked.headers["authorization"] for asked in server.asked] == [
        "Bearer first",
        "Bearer first",
        "Bearer second",
    ]


async def test_a_refused_token_is_fetched_anew_once(server: Server, connect: Connect, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")

    async def rotate(request: web.Request) -> web.StreamResponse:
        file.write_text("new")
        return (
            web.json_response({})
            if request.headers["authorization"] == "Bearer new"
            else status(401, reason="Unauthorized", message="Unauthorized")
        )

    server.handler = rotate
    await connect(Connection(server.url, token_file=file)).send(Request("GET", "/x"))
    assert len(server.asked) == 2


async def test_a_fixed_token_that_is_refused_is_an_error(server: Server, connect: Connect) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return status(401, reason="Unauthorized", message="Unauthorized")

    server.handler = refuse
    with pytest.raises(StatusError) as caught:
        await connect(Connection(server.url, token="x")).send(Request("GET", "/x"))
    assert caught.value.code == 401
    assert len(server.asked) == 1


async def test_a_missing_token_file_is_named(server: Server, connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="token: No such file"):
        await connect(Connection(server.url, token_file=tmp_path / "token")).send(Request("GET", "/x"))


def plugin(folder: Path, script: str) -> ExecPlugin:
    file = folder / "plugin"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return ExecPlugin(str(file), ("login",), {"PATH": "/usr/bin:/bin", "WHO": "alice"})


async def test_an_exec_plugin_gives_the_token_until_it_expires(server: Server, tmp_path: Path) -> None:
    server.handler = answer_nothing
    script = (
        f"echo run >> {tmp_path}/runs\n"
        """printf '{"kind":"ExecCredential","status":{"token":"%s-%s","""
        """"expirationTimestamp":"2023-11-14T22:30:00Z"}}' "$1" "$WHO" """
    )
    clock = ManualClock()  # 2023-11-14T22:13:20Z
    transport = HttpTransport(Connection(server.url, exec=plugin(tmp_path, script)), clock)
    for seconds in (0, 60, 1000):
        await clock.advance(seconds)
        await transport.send(Request("GET", "/x"))
    await transport.close()
    assert server.asked[0].headers["authorization"] == "Bearer login-alice"
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no such user >&2; exit 3", "exit code 3: no such user"),
        ("echo hello", "not an ExecCredential"),
        ("echo '{}'", "no status.token"),
    ],
)
async def test_a_failing_exec_plugin_says_why(
    server: Server, connect: Connect, tmp_path: Path, script: str, message: str
) -> None:
    with pytest.raises(CredentialError, match=message):
        await connect(Connection(server.url, exec=plugin(tmp_path, script))).send(Request("GET", "/x"))


async def test_a_missing_exec_plugin_is_named(server: Server, connect: Connect) -> None:
    connection = Connection(server.url, exec=ExecPlugin("/nowhere/plugin"))
    with pytest.raises(CredentialError, match=r"cannot run the exec plugin /nowhere/plugin"):
        await connect(connection).send(Request("GET", "/x"))
