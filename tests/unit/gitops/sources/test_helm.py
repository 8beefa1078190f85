"""Helm repositories over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import web

from seatrial.base.clock import ManualClock
from seatrial.gitops.api.repositories import Credential
from seatrial.gitops.api.source import Source
from seatrial.gitops.sources.files import SourceFailed, SourceRefused
from seatrial.gitops.sources.helm import archive
from seatrial.gitops.sources.helm.archive import ChartFiles
from seatrial.gitops.sources.helm.index import Index
from seatrial.gitops.sources.repositories import Repositories
from seatrial.gitops.sources.trust import Trust

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .conftest import Authority


def packed(files: dict[str, str], name: str = "shop") -> bytes:
    buffer = io.BytesIO()
    zipped = gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0)  # the same bytes each time: an index has their digest
    with zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def chart(version: str, name: str = "shop") -> bytes:
    return packed({"Chart.yaml": f"name: {name}\nversion: {version}\n", "templates/a.yaml": "a: 1"}, name)


class Server:
    def __init__(self) -> None:
        self.port = 0
        self.charts: dict[str, list[str]] = {"shop": ["1.0.0", "1.2.0", "2.0.0", "2.1.0-rc.1"]}
        self.absolute = ""
        self.login: str | None = None
        self.damage = b""
        self.asked: list[tuple[str, str | None, int]] = []

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/charts"

    async def handle(self, request: web.Request) -> web.Response:
        answer = self._answer(request)
        self.asked.append((request.path, request.headers.get("authorization"), answer.status))
        return answer

    def _answer(self, request: web.Request) -> web.Response:
        if self.login and request.headers.get("authorization") != self.login and "localhost" not in request.host:
            return web.Response(status=401)
        name = request.path.rpartition("/")[2]
        if name != "index.yaml":
            text, _, version = name.removesuffix(".tgz").partition("-")
            return web.Response(body=chart(version, text) + self.damage)
        body = self.index()
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        if request.headers.get("if-none-match") == tag:
            return web.Response(status=304)
        return web.Response(body=body, headers={"etag": tag})

    def index(self) -> bytes:
        entries = {name: [self._entry(name, version) for version in versions] for name, versions in self.charts.items()}
        return yaml.safe_dump({"apiVersion": "v1", "entries": entries, "generated": "2026-01-01"}).encode()

    def _entry(self, name: str, version: str) -> dict[str, Any]:
        url = f"{self.absolute}{name}-{version}.tgz"
        digest = hashlib.sha256(chart(version, name)).hexdigest()
        return {"name": name, "version": version, "urls": [url], "digest": digest}

    def count(self, ending: str) -> int:
        return sum(path.endswith(ending) for path, _, _ in self.asked)


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[Server]:
    made = Server()
    application = web.Application()
    application.router.add_get("/{tail:.*}", made.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.context).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
def credential() -> dict[str, Any]:
    """Filled by a test that needs one."""
    return {}


@pytest.fixture
async def repositories(tmp_path: Path, authority: Authority, credential: dict[str, Any]) -> AsyncIterator[Repositories]:
    trust = Trust(authorities={"127.0.0.1": authority.certificate, "localhost": authority.certificate})
    made = Repositories(
        tmp_path, ManualClock(), lambda url: Credential(url, **credential) if credential else None, trust=lambda: trust
    )
    yield made
    await made.close()


async def test_ranges_follow_helm(server: Server, repositories: Repositories) -> None:
    cases = {
        "": "2.0.0",
        "1.x": "1.2.0",
        "^1.0": "1.2.0",
        "1.0.0": "1.0.0",
        "v1.0.0": "1.0.0",
        ">=2.1.0-0": "2.1.0-rc.1",
    }
    for wanted, version in cases.items():
        assert await repositories.resolve(Source(server.url, chart="shop", target_revision=wanted)) == version, wanted
    assert server.count("index.yaml") == 1


@pytest.mark.parametrize(
    ("name", "wanted", "message"), [("shop", "9.x", "no version '9.x'"), ("cart", "1.x", "no chart 'cart'")]
)
async def test_what_is_not_there_is_named(
    server: Server, repositories: Repositories, name: str, wanted: str, message: str
) -> None:
    with pytest.raises(SourceFailed, match=message):
        await repositories.resolve(Source(server.url, chart=name, target_revision=wanted))


async def test_a_chart_is_read_and_downloaded_once(
    server: Server, repositories: Repositories, tmp_path: Path, authority: Authority
) -> None:
    source = Source(server.url, chart="shop", target_revision="1.x")
    files = await repositories.open(source, await repositories.resolve(source))
    assert files.revision == "1.2.0"
    assert [entry.path for entry in files.walk("")] == ["Chart.yaml", "templates/a.yaml"]
    again = Repositories(tmp_path, ManualClock(), trust=lambda: Trust(authorities={"127.0.0.1": authority.certificate}))
    await again.open(source, "1.2.0")
    await again.close()
    assert server.count(".tgz") == 1


async def test_an_unchanged_index_is_not_sent_again(server: Server, repositories: Repositories) -> None:
    source = Source(server.url, chart="shop", target_revision="1.x")
    await repositories.resolve(source)
    await repositories.resolve(source, force=True)
    assert [status for _, _, status in server.asked] == [200, 304]
    server.charts["shop"].append("1.3.0")
    assert await repositories.resolve(source, force=True) == "1.3.0"


async def test_a_new_version_is_told(server: Server, tmp_path: Path, authority: Authority) -> None:
    told: list[Any] = []
    repositories = Repositories(
        tmp_path, ManualClock(), trust=lambda: Trust(authorities={"127.0.0.1": authority.certificate}),
        on_change=lambda url, moved: told.append((url, moved)),
    )  # fmt: skip
    await repositories.resolve(Source(server.url, chart="shop"))
    server.charts["other"] = ["1.0.0"]
    await repositories.refresh(server.url)
    assert told == []
    server.charts["shop"].append("3.0.0")
    await repositories.refresh(server.url)
    assert told == [(server.url, {"shop": "3.0.0"})]
    await repositories.close()


async def test_another_archive_than_promised_is_not_used(server: Server, repositories: Repositories) -> None:
    server.damage = b"x"
    with pytest.raises(SourceFailed, match="SHA-256 differs"):
        await repositories.open(Source(server.url, chart="shop"), "1.0.0")


@pytest.mark.parametrize(("everywhere", "expected"), [(False, None), (True, "Basic cm9ib3Q6aHVudGVyMg==")])
async def test_the_password_goes_to_its_own_server_unless_told_so(
    server: Server, repositories: Repositories, credential: dict[str, Any], everywhere: bool, expected: str | None
) -> None:
    credential.update(username="robot", password="hunter2")
    server.login = "Basic cm9ib3Q6aHVudGVyMg=="
    server.absolute = f"https://localhost:{server.port}/charts/"
    source = Source(server.url, chart="shop", helm={"passCredentials": everywhere})
    await repositories.open(source, await repositories.resolve(source))
    assert server.asked[0][1] == server.login
    assert server.asked[-1][1] == expected


async def test_a_refused_login_says_what_to_do(server: Server, repositories: Repositories) -> None:
    server.login = "other"
    with pytest.raises(SourceFailed, match=r"401 \(add or correct"):
        await repositories.resolve(Source(server.url, chart="shop"))


def test_a_large_index_is_read_for_one_chart_only() -> None:
    entry = "  - name: c\n    version: 1.{0}.0\n    description: |\n      entries:\n      text {1}\n    urls: [c.tgz]\n"
    part = "".join(entry.format(number, "x" * 400) for number in range(100))
    content = (
        "apiVersion: v1\nentries:\n" + "".join(f"  c{n}:\n{part}" for n in range(400)) + "generated: x\n"
    ).encode()
    assert len(content) > 18 << 20
    tracemalloc.start()
    index = Index(content, "https://example.com")
    assert index.versions("c399")[0].version == "1.99.0"
    assert index.versions("nothing") == ()
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        b"entries: {shop: [{version: 1.0.0, urls: [a]}]}",
        b'{"entries": {"shop": [{"version": "1.0.0", "urls": ["a"]}]}}',
        b"entries:\n    shop:\n        - version: 1.0.0\n          urls:\n              - a\n",
        b'entries:\n  "shop":\n  - version: 1.0.0\n    urls: [a]\n  x:\n  - {version: no}\n',
        b"x: &u [a]\nentries:\n  shop:\n  - version: 1.0.0\n    urls: *u\n",
    ],
)
def test_an_index_of_any_form_is_read(content: bytes) -> None:
    assert [(one.version, one.urls) for one in Index(content, "u").versions("shop")] == [("1.0.0", ("a",))]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"entries: 7", b"a: [", b"entries:\n  shop: 7\n", b"\xff\xfe\0"])
def test_what_is_no_index_is_refused(content: bytes) -> None:
    with pytest.raises(SourceRefused):
        Index(content, "https://example.com").versions("shop")


# archives


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, data in ((tarfile.TarInfo("shop/Chart.yaml"), b"name: shop"), *members):
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _member(name: str, type_: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = type_, link
    return made


@pytest.mark.parametrize(
    "member",
    [
        _member("../evil"), _member("shop/../../evil"), _member("/etc/evil"), _member("shop\\..\\..\\evil"),
        _member("c:/evil"), _member("evil"), _member("shop/link", tarfile.SYMTYPE, "/etc/passwd"),
        _member("shop/hard", tarfile.LNKTYPE, "shop/Chart.yaml"), _member("shop/device", tarfile.CHRTYPE),
        _member("shop/pipe", tarfile.FIFOTYPE), _member("shop/Chart.yaml/x"),
    ],
)  # fmt: skip
def test_hostile_members_are_refused(member: tarfile.TarInfo) -> None:
    with pytest.raises(SourceRefused):
        archive.unpacked(_tar((member, b"")), "chart shop")


def test_a_bomb_is_refused_before_it_goes_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_LARGEST_UNPACKED", 1 << 20)
    with pytest.raises(SourceRefused, match="unpacks to more"):
        archive.unpacked(_tar((_member("shop/zeros"), b"\0" * (8 << 20))), "chart shop")


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MOST_FILES", 10)
    with pytest.raises(SourceRefused, match="more than 10"):
        archive.unpacked(_tar(*((_member(f"shop/{number}"), b"") for number in range(20))), "chart shop")


@pytest.mark.parametrize(
    "data",
    [b"", b"no gzip", _tar()[:-20], packed({"values.yaml": ""})],
    ids=["empty", "no gzip", "cut", "without Chart.yaml"],
)
def test_a_damaged_archive_is_refused(data: bytes) -> None:
    with pytest.raises(SourceRefused):
        archive.unpacked(data, "chart shop")


def test_directories_are_identified_by_what_is_in_them() -> None:
    one, other = (
        ChartFiles({"Chart.yaml": b"a", "templates/a.yaml": data, "templates/sub/b.yaml": b"b"}, "u", "1")
        for data in (b"1", b"2")
    )
    for path in ("", "templates"):
        assert one.entry(path) != other.entry(path)
    assert one.entry("templates/sub") == other.entry("templates/sub")
    assert [entry.path for entry in one.list("templates")] == ["templates/a.yaml", "templates/sub"]
    with pytest.raises(SourceRefused):
        one.read("../x")


# dependencies


def _chart_files(dependencies: list[dict[str, str]], more: dict[str, bytes] | None = None) -> ChartFiles:
    metadata = {"apiVersion": "v2", "name": "app", "version": "1.0.0", "dependencies": dependencies}
    return ChartFiles({"Chart.yaml": yaml.safe_dump(metadata).encode(), **(more or {})}, "https://example.com/app", "1")


async def test_missing_dependencies_are_fetched(server: Server, repositories: Repositories) -> None:
    files = _chart_files([{"name": "shop", "version": "1.x", "repository": server.url}])
    (found,) = await repositories.dependencies(files, "")
    assert (found.name, found.version, found.file) == ("shop", "1.2.0", "shop-1.2.0.tgz")
    assert found.archive == chart("1.2.0")


async def test_the_lock_says_the_version(server: Server, repositories: Repositories) -> None:
    entry = {"name": "shop", "version": "1.x", "repository": server.url}
    lock = yaml.safe_dump({"dependencies": [{**entry, "version": "1.0.0"}]}).encode()
    (found,) = await repositories.dependencies(_chart_files([entry], {"Chart.lock": lock}), "")
    assert found.version == "1.0.0"


@pytest.mark.parametrize("path", ["charts/shop/Chart.yaml", "charts/shop-1.2.0.tgz"])
async def test_what_the_chart_brings_is_not_asked_for(server: Server, repositories: Repositories, path: str) -> None:
    files = _chart_files([{"name": "shop", "version": "1.x", "repository": server.url}], {path: b""})
    assert await repositories.dependencies(files, "") == []
    assert server.asked == []


async def test_a_chart_beside_is_a_path(repositories: Repositories) -> None:
    metadata = yaml.safe_dump({"dependencies": [{"name": "lib", "version": "1.x", "repository": "file://../lib"}]})
    content = {"app/Chart.yaml": metadata.encode(), "lib/Chart.yaml": b"name: lib\nversion: 1.0.0"}
    (found,) = await repositories.dependencies(ChartFiles(content, "u", "1"), "app")
    assert (found.path, found.version, found.archive) == ("lib", "1.0.0", b"")


@pytest.mark.parametrize(
    "url", ["file://../../etc", "file:///etc", "file://nothing", "oci://example.com/x", "@stable", "", "ftp://x"]
)
async def test_other_places_are_refused(repositories: Repositories, url: str) -> None:
    with pytest.raises(SourceRefused, match="shop"):
        await repositories.dependencies(_chart_files([{"name": "shop", "version": "1.x", "repository": url}]), "")
