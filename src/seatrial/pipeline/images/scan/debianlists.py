"""Debian's packages against the lists of its security archive: a newer version there is a finding.

The lists name versions, not vulnerabilities: an update of the security team counts as HIGH, another one as MEDIUM, and
the report says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.base.errors import SeatrialError
from seatrial.pipeline.images.debian import Suite
from seatrial.pipeline.images.scan.contents import stanzas_of
from seatrial.pipeline.images.scan.report import Finding, Source, Target
from seatrial.pipeline.images.scan.version import Version

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.pipeline.images.debian import Archive, Release
    from seatrial.pipeline.images.scan.contents import Contents

_CODENAME = re.compile(r"[a-z]{2,20}")
_ARCHITECTURE = re.compile(r"[a-z0-9-]{2,20}")
_SEVERITIES = {"-security": "HIGH", "-updates": "MEDIUM"}


def check(contents: Contents, archive: Archive, clock: Clock) -> Target:
    target = Target(f"{contents.family} {contents.release}".strip(), "os-pkgs", contents.family or "debian")
    target.checked_packages = len(contents.debian)
    known = _CODENAME.fullmatch(contents.codename) and _ARCHITECTURE.fullmatch(contents.architecture)
    if contents.family != "debian" or not known:
        target.unchecked.append(
            f"{len(contents.debian)} packages of {contents.family or 'an unknown system'} "
            f"{contents.codename or contents.release}: the archive of Debian knows nothing of them"
        )
        return target
    for end, severity in _SEVERITIES.items():
        suite = Suite(contents.codename + end)
        try:
            release = archive.release(suite)
            newest = _newest(archive.packages(release, contents.architecture))
        except (SeatrialError, OSError) as error:
            target.unchecked.append(f"{len(contents.debian)} packages against {suite.name}: {error}")
            continue
        target.sources.append(_source(release, clock))
        target.findings += _findings(contents, newest, release, severity)
    return target


def _newest(text: str) -> dict[str, str]:
    newest: dict[str, str] = {}
    for fields in stanzas_of(text, ("Package", "Version")):
        name, version = fields["Package"], fields.get("Version", "0")
        if name not in newest or Version(newest[name]) < Version(version):
            newest[name] = version
    return newest


def _findings(contents: Contents, newest: dict[str, str], release: Release, severity: str) -> list[Finding]:
    return [
        Finding(
            f"{release.suite.name}:{package.name}",
            package.name,
            package.version,
            newest[package.name],
            severity,
            f"{release.suite.name} has {package.name} {newest[package.name]}",
            "what an update of this suite counts as; the list states none",
            f"https://security-tracker.debian.org/tracker/source-package/{package.name}",
            release.url,
        )
        for package in contents.debian
        if package.name in newest and Version(package.version) < Version(newest[package.name])
    ]


def _source(release: Release, clock: Clock) -> Source:
    note = "" if release.fresh else "from the cache: the archive could not be reached"
    if release.valid_until is not None and release.valid_until < clock.time():
        note = f"{note + '; ' if note else ''}no longer valid since {rfc3339(release.valid_until)}"
    return Source(f"Debian {release.suite.name}", release.url, rfc3339(release.date), note)
