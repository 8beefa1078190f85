"""A description from a URL: what is fetched, and what the guard, the size and the time keep away."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from groundwork.addresses import AddressPolicy
from sample_api.server import DESCRIPTIONS
from specifications import fetch as fetching
from specifications.document import MAX_BYTES, InvalidSpecification, parse
from specifications.fetch import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = AddressPolicy(("127.0.0.1",))


class _Handler(BaseHTTPRequestHandler):
    stopping: threading.Event

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):  # the client may have had enough
            self._serve(*self.path[1:].partition("/")[::2])

    def _serve(self, what: str, rest: str) -> None:
        match what:
            case "to":
                self._answer(302, b"", Location=rest)
            case "around":
                self._answer(302, b"", Location="/around")
            case "packed":
                self._answer(200, gzip.compress(b"x" * 1000), **{"Content-Encoding": "gzip"})
            case "large":
                self._answer(200, b"x" * (MAX_BYTES + 1))
            case "drip":
                self.wfile.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" if rest else b"HTTP/1.1 200 OK\r\nX: "
                )
                while not self.stopping.wait(0.02):
                    self.wfile.write(b"x")
            case name if name in DESCRIPTIONS:
                self._answer(200, DESCRIPTIONS[name].read_bytes())
            case _:
                self._answer(404, b"")

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    stopping = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stopping": stopping}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    stopping.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_is_imported_from_a_url(site: str, name: str) -> None:
    assert parse(fetch(f"{site}/{name}", LOOPBACK)) == parse(DESCRIPTIONS[name].read_bytes())


def test_a_redirect_is_followed(site: str) -> None:
    assert fetch(f"{site}/to/{site}/swagger2.json", LOOPBACK) == DESCRIPTIONS["swagger2.json"].read_bytes()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254", "0.0.0.0", "2130706433",
        "0x7f.1", "[fe80::1]", "[fc00::1]", "224.0.0.1",
    ],
)  # fmt: skip
def test_an_internal_address_is_not_asked(host: str) -> None:
    with pytest.raises(InvalidSpecification, match=r"not a public address|cannot be resolved"):
        fetch(f"http://{host}:1/openapi.json", AddressPolicy())


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest", "http://[::1]/", "http://127.0.0.2/"])
def test_a_redirect_to_an_internal_address_is_not_followed(site: str, target: str) -> None:
    with pytest.raises(InvalidSpecification, match="not a public address"):
        fetch(f"{site}/to/{target}", LOOPBACK)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/", "openapi.json", "", "http://", "http://a:b/"],
)
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(InvalidSpecification, match=r"is not an http:// or https:// URL|could not be read"):
        fetch(url, LOOPBACK)


def test_a_host_name_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidSpecification):
        fetch(f"http://{'a' * 300}/", LOOPBACK)


def test_a_url_with_a_credential_is_refused_without_repeating_it() -> None:
    with pytest.raises(InvalidSpecification, match="holds a credential") as caught:
        fetch("http://user:hunter2@127.0.0.1/", LOOPBACK)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("absent", "answered 404, 200 was expected"),
        ("packed", "packed content"),
        ("large", f"larger than {MAX_BYTES} bytes"),
        ("around", "could not be read: Exceeded maximum allowed redirects"),
        ("to/ftp://127.0.0.1/a", "is not an http:// or https:// URL"),
    ],
)
def test_an_answer_that_is_no_description_is_refused(site: str, path: str, reason: str) -> None:
    with pytest.raises(InvalidSpecification, match=reason):
        fetch(f"{site}/{path}", LOOPBACK)


@pytest.mark.parametrize("path", ["drip/", "drip/body"])
def test_a_server_that_drips_is_left_when_the_time_is_over(
    site: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 0.4)
    started = time.monotonic()

    with pytest.raises(InvalidSpecification, match=r"took longer than 0\.4 seconds"):
        fetch(f"{site}/{path}", LOOPBACK)
    assert time.monotonic() - started < 5


def test_nobody_there_is_said() -> None:
    with pytest.raises(InvalidSpecification, match="could not be read"):
        fetch("http://127.0.0.1:1/openapi.json", LOOPBACK)
