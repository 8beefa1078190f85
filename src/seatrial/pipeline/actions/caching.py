"""actions/cache, its `restore` and its `save`: directories kept by key, for one repository."""

from __future__ import annotations

import glob
import hashlib
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from seatrial.base.files import write_atomic
from seatrial.pipeline.actions.step import StepFailed, within

if TYPE_CHECKING:
    from seatrial.pipeline.actions.step import Step

_KEPT = 30
"""Entries of a repository; the one that was not used for longest goes."""
_LONGEST_KEY = 512


def cache_main(step: Step) -> None:
    """Restore; `cache_post` saves when there was no exact hit and the job went well."""
    key = _checked(step.needed("key"))
    paths = _patterns(step)
    found = _find(step, key, step.lines("restore-keys"))
    step.save("key", key)
    step.save("hit", found or "")
    step.output("cache-hit", "true" if found == key else "false" if found else "")
    step.output("cache-primary-key", key)
    step.output("cache-matched-key", found or "")
    if found is None:
        if step.flag("fail-on-cache-miss"):
            raise StepFailed(f"no cache is kept under '{key}', and fail-on-cache-miss is set")
        step.say(f"no cache is kept under '{key}'")
        return
    if not step.flag("lookup-only"):
        _unpack(step, _place(step, found), paths)
    step.say(f"restored what was kept under '{found}'")


def cache_post(step: Step) -> None:
    if step.state("key") and step.state("hit") != step.state("key"):
        _save(step, step.state("key"))


def cache_save(step: Step) -> None:
    _save(step, _checked(step.needed("key")))


def _checked(key: str) -> str:
    """Raises StepFailed."""
    if len(key) > _LONGEST_KEY or "," in key:
        raise StepFailed(f"key: expected at most {_LONGEST_KEY} characters and no comma")
    return key


def _patterns(step: Step) -> list[str]:
    if not (patterns := step.lines("path")):
        raise StepFailed("input `path`: expected what to keep, there is none")
    return patterns


def _index(step: Step) -> Path:
    return step.kept("caches") / "index.json"


def _known(step: Step) -> dict[str, float]:
    try:
        found: dict[str, float] = orjson.loads(_index(step).read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def _place(step: Step, key: str) -> Path:
    return step.kept("caches") / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.tar"


def _find(step: Step, key: str, others: list[str]) -> str | None:
    """The key itself, else the newest that begins with one of the others, in their order."""
    known = {name: when for name, when in _known(step).items() if _place(step, name).is_file()}
    if key in known:
        return key
    for prefix in [key, *others]:
        if found := [name for name in known if name.startswith(prefix)]:
            return max(found, key=known.__getitem__)
    return None


def _save(step: Step, key: str) -> None:
    if key in _known(step) and _place(step, key).is_file():
        step.say(f"something is kept under '{key}' already: it stays")
        return
    found = [path for pattern in _patterns(step) if not pattern.startswith("!") for path in _matching(step, pattern)]
    left_out = {path for pattern in _patterns(step) if pattern.startswith("!") for path in _matching(step, pattern[1:])}
    if not found:
        step.warning("nothing matches `path`: nothing is kept")
        return
    target = _place(step, key)
    fresh = target.with_suffix(f".{os.getpid()}")
    with tarfile.open(fresh, "w") as tar:
        for path in found:
            if path not in left_out:
                tar.add(path, arcname=_named(step, path), filter=lambda entry: _taken(step, entry, left_out))
    fresh.rename(target)
    known = {**_known(step), key: target.stat().st_mtime}
    for old in sorted(known, key=known.__getitem__)[:-_KEPT]:
        _place(step, old).unlink(missing_ok=True)
        del known[old]
    write_atomic(_index(step), orjson.dumps(known), mode=0o600)
    step.say(f"kept under '{key}': {target.stat().st_size} bytes")


def _matching(step: Step, pattern: str) -> list[Path]:
    return [Path(path) for path in sorted(glob.glob(str(within(step.workspace, pattern)), recursive=True))]


def _taken(step: Step, entry: tarfile.TarInfo, left_out: set[Path]) -> tarfile.TarInfo | None:
    return None if left_out and _meant(step, entry.name) in left_out else entry


def _roots(step: Step) -> dict[str, Path]:
    """Both are other directories in each run: a name in an archive begins with which it was."""
    return {"workspace": step.workspace, "home": Path(step.environment.get("HOME", "/nonexistent"))}


def _named(step: Step, path: Path) -> str:
    absolute = Path(os.path.normpath(path))
    for name, root in _roots(step).items():
        if absolute.is_relative_to(root):
            return f"{name}/{absolute.relative_to(root).as_posix()}"
    return f"absolute/{str(absolute).lstrip('/')}"


def _meant(step: Step, name: str) -> Path:
    root, _, rest = name.partition("/")
    return {**_roots(step), "absolute": Path("/")}[root] / rest


def _unpack(step: Step, archive: Path, patterns: list[str]) -> None:
    """Only to where this workflow says that it keeps things."""
    allowed = [within(step.workspace, pattern.split("*")[0]) for pattern in patterns if not pattern.startswith("!")]
    with tarfile.open(archive) as tar:
        for entry in tar:
            target = _meant(step, entry.name)
            if any(target.is_relative_to(root) or str(target).startswith(str(root)) for root in allowed):
                root = Path("/")
                moved = entry.replace(name=str(target).lstrip("/"), deep=False)
                tar.extract(moved, root, filter="tar")
    os.utime(archive)
