"""The Debian archive: what its suites hold and when that was said, proven by its signature, kept in the cache.

What comes over the network is believed only when `gpgv` finds a signature of Debian's keys on the Release file, and the
lists of packages only when they have the hash it states. Next: `bootstrap.py`, `scan/packages.py`.
"""

from __future__ import annotations

import email.parser
import email.utils
import hashlib
import http.client
import lzma
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.errors import Retryable
from seatrial.base.files import write_atomic
from seatrial.pipeline.images import tool

if TYPE_CHECKING:
    from collections.abc import Mapping

MIRROR = "http://deb.debian.org"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SECONDS = 20.0
_LONGEST = 64 * 1024 * 1024


class ArchiveUnusable(Retryable):
    reason = "DebianArchiveUnusable"


@dataclass(frozen=True, slots=True)
class Suite:
    name: str
    """As in `bookworm-security`."""

    @property
    def archive(self) -> str:
        return "debian-security" if self.name.endswith("-security") else "debian"

    def source(self, mirror: str) -> str:
        return f"deb {mirror}/{self.archive} {self.name} main"


@dataclass(frozen=True, slots=True)
class Release:
    suite: Suite
    url: str
    date: float
    valid_until: float | None
    hashes: Mapping[str, str]
    fresh: bool
    """Just fetched, and not from the cache."""


class Archive:
    def __init__(self, cache: Path, environment: Mapping[str, str], mirror: str = MIRROR) -> None:
        self._cache = cache / "debian"
        self._environment = environment
        self.mirror = mirror

    def release(self, suite: Suite) -> Release:
        """The newest that can be had: where the archive cannot be reached, that of the cache.

        Raises ArchiveUnusable, ToolMissing.
        """
        url = f"{self.mirror}/{suite.archive}/dists/{suite.name}/InRelease"
        kept = self._directory(suite) / "InRelease"
        fresh = True
        try:
            text = self._signed(_fetch(url), url)
            write_atomic(kept, text)
        except ArchiveUnusable as error:
            if not kept.exists():
                raise
            text, fresh = kept.read_text(), False
            del error
        return _parse(suite, url, text, fresh)

    def packages(self, release: Release, architecture: str) -> str:
        """The control fields of what the suite has. Raises ArchiveUnusable."""
        path = f"main/binary-{architecture}/Packages.xz"
        wanted = release.hashes.get(path)
        if wanted is None:
            raise ArchiveUnusable(f"{release.url} does not name {path}: is {architecture} an architecture of Debian?")
        kept = self._directory(release.suite) / f"Packages-{architecture}-{wanted[:16]}.xz"
        data = kept.read_bytes() if kept.exists() else b""
        if hashlib.sha256(data).hexdigest() != wanted:
            url = f"{release.url.rpartition('/')[0]}/main/binary-{architecture}/by-hash/SHA256/{wanted}"
            data = _fetch(url)
            if hashlib.sha256(data).hexdigest() != wanted:
                raise ArchiveUnusable(f"{url} does not have the content that its signed Release file states")
            write_atomic(kept, data)
            for old in kept.parent.glob(f"Packages-{architecture}-*.xz"):
                if old != kept:
                    old.unlink(missing_ok=True)
        return lzma.decompress(data, memlimit=_LONGEST * 4).decode(errors="replace")

    def _signed(self, data: bytes, url: str) -> str:
        """The text that is signed. Raises ArchiveUnusable, ToolMissing."""
        gpgv = tool.require("gpgv", self._environment)
        if not KEYRING.exists():
            raise ArchiveUnusable(f"there is no {KEYRING}: `apt install debian-archive-keyring`")
        given = self._cache / "unproven"
        write_atomic(given, data)
        try:
            return tool.output([gpgv, "--quiet", "--keyring", KEYRING, "--output", "-", given], self._environment)
        except tool.ToolFailed as error:
            raise ArchiveUnusable(f"{url} has no valid signature of Debian: {error.message}") from error
        finally:
            given.unlink(missing_ok=True)

    def _directory(self, suite: Suite) -> Path:
        directory = self._cache / suite.name
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def _fetch(url: str) -> bytes:
    """Raises ArchiveUnusable."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            data: bytes = answer.read(_LONGEST + 1)
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        raise ArchiveUnusable(f"the Debian archive cannot be reached ({url}): {error}") from error
    if len(data) > _LONGEST:
        raise ArchiveUnusable(f"{url} is larger than {_LONGEST} bytes")
    return data


def _parse(suite: Suite, url: str, text: str, fresh: bool) -> Release:
    """Raises ArchiveUnusable."""
    fields = email.parser.HeaderParser().parsestr(text)
    date = _when(fields["Date"])
    if date is None or fields["Codename"] != suite.name:
        raise ArchiveUnusable(f"{url} is no Release file of {suite.name}")
    lines = [line.split() for line in (fields["SHA256"] or "").splitlines()]
    hashes = {line[2]: line[0] for line in lines if len(line) == 3}
    return Release(suite, url, date, _when(fields["Valid-Until"]), hashes, fresh)


def _when(text: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
