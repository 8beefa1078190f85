"""Python distributions against the vulnerabilities that PyPI lists for a version.

An answer is kept for a day with its date; where PyPI cannot be reached, an older one is used and said to be old.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.clock import parse_time, rfc3339
from seatrial.base.files import write_atomic
from seatrial.pipeline.images.scan.report import Finding, Source, Target

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.pipeline.images.scan.contents import Contents, Package

URL = "https://pypi.org/pypi"
_DAY = 86400.0
_SECONDS = 10.0
_LONGEST = 16 * 1024 * 1024
_AT_ONCE = 8
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,120}")
_SHOWN = 8


class _Unknown(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Answer:
    asked: str
    vulnerabilities: list[dict[str, Any]]
    note: str = ""


class Advisories:
    def __init__(self, cache: Path, clock: Clock, url: str = URL) -> None:
        self._cache = cache / "pypi"
        self._clock = clock
        self._url = url

    def check(self, contents: Contents) -> Target:
        target = Target("Python", "lang-pkgs", "python-pkg")
        target.checked_packages = len(contents.python)
        wanted = list({(package.name, package.version): package for package in contents.python}.values())
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = list(pool.map(self._answer, wanted))
        failed: dict[str, list[str]] = {}
        dates, notes = [], set()
        for package, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, str):
                failed.setdefault(answer, []).append(f"{package.name} {package.version}")
                continue
            dates.append(answer.asked)
            notes.add(answer.note)
            target.findings += [_finding(package, known, self._url) for known in answer.vulnerabilities]
        if dates:
            target.sources.append(Source("PyPI advisories", self._url, min(dates), " ".join(sorted(notes)).strip()))
        for why, names in failed.items():
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            target.unchecked.append(f"{len(names)} distributions ({', '.join(names[:_SHOWN])}{more}): {why}")
        return target

    def _answer(self, package: Package) -> _Answer | str:
        """Or why there is none."""
        if not _SAFE.fullmatch(package.name) or not _SAFE.fullmatch(package.version):
            return "a name or version that PyPI cannot have"
        kept = self._cache / f"{package.name.lower()}-{package.version}.json"
        old = _kept(kept)
        if old is not None and self._clock.time() - parse_time(old.asked) < _DAY:
            return old
        try:
            found = self._ask(package)
        except _Unknown as error:
            return old if old is not None else str(error)
        answer = {"asked": rfc3339(self._clock.time()), "vulnerabilities": found}
        self._cache.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, orjson.dumps(answer))
        return _Answer(str(answer["asked"]), found)

    def _ask(self, package: Package) -> list[dict[str, Any]]:
        parts = [urllib.parse.quote(part, safe="") for part in (package.name, package.version)]
        try:
            with urllib.request.urlopen(f"{self._url}/{'/'.join(parts)}/json", timeout=_SECONDS) as answer:
                found = orjson.loads(answer.read(_LONGEST))["vulnerabilities"]
        except urllib.error.HTTPError as error:
            raise _Unknown(f"{self._url} has no page for this version (HTTP {error.code})") from error
        except (OSError, http.client.HTTPException) as error:
            raise _Unknown(f"{self._url} cannot be reached") from error
        except (ValueError, KeyError, TypeError) as error:
            raise _Unknown(f"{self._url} does not state vulnerabilities") from error
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise _Unknown(f"{self._url} does not state vulnerabilities")
        return [entry for entry in found if not entry.get("withdrawn")]


def _kept(path: Path) -> _Answer | None:
    try:
        kept = orjson.loads(path.read_bytes())
        return _Answer(kept["asked"], kept["vulnerabilities"], "some from the cache")
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _finding(package: Package, known: dict[str, Any], url: str) -> Finding:
    aliases = [str(alias) for alias in known.get("aliases") or []]
    cve = next((alias for alias in aliases if alias.startswith("CVE-")), "")
    return Finding(
        cve or str(known.get("id") or "unnamed"),
        package.name,
        package.version,
        ", ".join(str(version) for version in known.get("fixed_in") or []),
        "HIGH",
        str(known.get("summary") or known.get("details") or "")[:300],
        "counts as HIGH; the list states none",
        str(known.get("link") or ""),
        url,
        package.where,
    )
