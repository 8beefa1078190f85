"""A scan says what it compared with and when that was said; nothing to compare with is no clean result."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import ManualClock
from seatrial.pipeline.images.debian import Archive, ArchiveUnusable, Release, Suite
from seatrial.pipeline.images.scan import debianlists, report
from seatrial.pipeline.images.scan.advisories import Advisories
from seatrial.pipeline.images.scan.contents import Contents, Package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLOCK = ManualClock()
DAY = 86400.0
DEBIAN = Contents("debian", "12", "bookworm", "amd64", (Package("openssl", "3.0.1-1"), Package("zlib1g", "1.2-1")))


class Lists(Archive):
    """Debian's archive, of which only one suite can be reached."""

    valid_until: float | None = CLOCK.time() + DAY

    def release(self, suite: Suite) -> Release:
        if not suite.name.endswith("-security"):
            raise ArchiveUnusable("cannot be reached")
        return Release(suite, "http://archive/InRelease", CLOCK.time() - DAY, self.valid_until, {}, fresh=True)

    def packages(self, release: Release, architecture: str) -> str:
        return "Package: openssl\nVersion: 3.0.1-1+deb12u1\n\nPackage: zlib1g\nVersion: 1.2-1\n\n"


@pytest.fixture
def lists(tmp_path: Path) -> Lists:
    return Lists(tmp_path, {})


def test_a_newer_version_of_the_security_archive_is_a_finding(lists: Lists) -> None:
    (found,) = debianlists.check(DEBIAN, lists, CLOCK).findings
    assert (found.package, found.installed, found.fixed) == ("openssl", "3.0.1-1", "3.0.1-1+deb12u1")
    assert found.severity == "HIGH"


def test_a_suite_that_cannot_be_reached_is_said(lists: Lists) -> None:
    target = debianlists.check(DEBIAN, lists, CLOCK)
    assert [source.name for source in target.sources] == ["Debian bookworm-security"]
    assert target.unchecked == ["2 packages against bookworm-updates: cannot be reached"]


def test_lists_that_have_expired_are_said_to_have(lists: Lists) -> None:
    lists.valid_until = CLOCK.time() - 1
    (source,) = debianlists.check(DEBIAN, lists, CLOCK).sources
    assert "no longer valid" in source.note


def test_another_system_than_debian_is_not_checked(lists: Lists) -> None:
    target = debianlists.check(Contents("ubuntu", "24.04", "noble", "amd64", DEBIAN.debian), lists, CLOCK)
    assert not target.sources and "ubuntu noble" in target.unchecked[0]


class Index(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        Index.asked += 1
        found = [{"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fixed_in": ["2.0"], "summary": "bad"}]
        body = json.dumps({"vulnerabilities": found if "/bad/" in self.path else []}).encode()
        self.send_response(404 if "/unknown/" in self.path else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    Index.asked = 0
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def python(*names: str) -> Contents:
    return Contents(python=tuple(Package(name, "1.0") for name in names))


def test_what_the_index_states_is_a_finding(tmp_path: Path, index: http.server.ThreadingHTTPServer) -> None:
    target = Advisories(tmp_path, CLOCK, f"http://127.0.0.1:{index.server_port}").check(python("bad", "good"))
    assert [(found.identifier, found.package, found.fixed) for found in target.findings] == [
        ("CVE-2026-1", "bad", "2.0")
    ]
    assert target.unchecked == []


def test_a_version_that_the_index_does_not_know_is_not_checked(
    tmp_path: Path, index: http.server.ThreadingHTTPServer
) -> None:
    target = Advisories(tmp_path, CLOCK, f"http://127.0.0.1:{index.server_port}").check(python("unknown"))
    assert not target.sources and "unknown 1.0" in target.unchecked[0] and "HTTP 404" in target.unchecked[0]


def test_an_answer_is_kept_for_a_day_and_used_for_longer_when_nothing_newer_can_be_had(
    tmp_path: Path, index: http.server.ThreadingHTTPServer
) -> None:
    url = f"http://127.0.0.1:{index.server_port}"
    Advisories(tmp_path, CLOCK, url).check(python("bad"))
    Advisories(tmp_path, CLOCK, url).check(python("bad"))
    assert Index.asked == 1
    later = Advisories(tmp_path, ManualClock(CLOCK.time() + 2 * DAY), "http://127.0.0.1:9").check(python("bad"))
    (source,) = later.sources
    assert len(later.findings) == 1 and source.date.startswith("2023-11-14") and "cache" in source.note


def made(lists: Lists) -> report.Report:
    found = report.Report("x:1", "container_image", "2026-01-01T00:00:00Z", "test", ("debian", "12"))
    found.targets.append(debianlists.check(DEBIAN, lists, CLOCK))
    return found


def test_json_is_as_trivy_has_it_with_sources_and_gaps(lists: Lists) -> None:
    document = json.loads(report.shown(made(lists), "json"))
    assert document["SchemaVersion"] == 2
    (found,) = document["Results"][0]["Vulnerabilities"]
    assert (found["PkgName"], found["Severity"], found["Status"]) == ("openssl", "HIGH", "fixed")
    assert document["Metadata"]["DataSources"][0]["Date"] == "2023-11-13T22:13:20Z"
    assert document["Metadata"]["Unchecked"]


def test_what_was_not_asked_for_is_left_out_but_not_what_was_not_checked(lists: Lists) -> None:
    found = made(lists)
    found.keep(("CRITICAL",), only_fixed=True)
    assert not found.findings and found.unchecked


def test_a_table_prints_no_control_characters_of_an_image() -> None:
    found = report.Report("x", "container_image", "", "test")
    evil = report.Finding("CVE-1", "a\x1b[2J", "1", "", "HIGH", "t", "", "", "")
    found.targets.append(report.Target("t", "lang-pkgs", "python-pkg", [evil]))
    assert "\x1b" not in report.shown(found, "table")
