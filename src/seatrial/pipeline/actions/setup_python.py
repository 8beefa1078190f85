"""actions/setup-python: a fresh virtual environment of one of the machine's Pythons, first on the PATH.

With `cache: pip` the environment is kept under the hash of Python's version and the requirement files, and is put back
at the next run: `pip install -r` then finds everything there, without a network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.pipeline.actions.step import StepFailed, shown

if TYPE_CHECKING:
    from seatrial.pipeline.actions.step import Step

_NEWEST, _OLDEST = 20, 6
_KEPT = 6
"""Environments of a repository."""
_SPEC = re.compile(r"(>=|<=|==|=|~|\^|>|<)?\s*v?(\d+)(?:\.(\d+|x|\*))?(?:\.(\d+|x|\*))?(?:-dev)?")


def setup_python_main(step: Step) -> None:
    wanted = step.text("python-version") or _from_file(step) or "3.x"
    program, version = choose(wanted, installed(step.environment.get("PATH", "")))
    place = step.temporary / f"python-{version}-{os.getpid()}"
    key = _key(step, version) if step.text("cache") else ""
    hit = bool(key) and _restore(step.kept("pythons") / key, place)
    if not hit:
        step.run(program, "-m", "venv", str(place))
    step.add_path(place / "bin")
    for name in ("pythonLocation", "Python_ROOT_DIR", "Python3_ROOT_DIR", "VIRTUAL_ENV"):
        step.export(name, str(place))
    step.output("python-version", version)
    step.output("python-path", str(place / "bin" / "python"))
    if key:
        step.output("cache-hit", str(hit).lower())
        step.save("key", key)
        step.save("place", str(place))
        step.save("hit", str(hit).lower())
    step.say(f"Python {version}{' with the packages of an earlier run' if hit else ''}")


def setup_python_post(step: Step) -> None:
    """Keep the environment for the next run."""
    key, place = step.state("key"), Path(step.state("place") or "/nonexistent")
    if not key or step.state("hit") == "true" or not place.is_dir():
        return
    kept = step.kept("pythons")
    fresh = kept / f".{key}.{os.getpid()}"
    shutil.copytree(place, fresh, symlinks=True)
    (fresh / "made-at").write_text(str(place))
    try:
        fresh.rename(kept / key)
    except OSError:  # another run of the same commit was faster
        shutil.rmtree(fresh, ignore_errors=True)
    older = sorted((entry for entry in kept.iterdir() if not entry.name.startswith(".")), key=_age)
    for entry in older[:-_KEPT]:
        shutil.rmtree(entry, ignore_errors=True)
    step.say(f"kept as {key}")


def installed(path: str) -> dict[tuple[int, int, int], str]:
    """The machine's Pythons: version -> program."""
    programs = [shutil.which(f"python3.{minor}", path=path) for minor in range(_OLDEST, _NEWEST)]
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    found: dict[tuple[int, int, int], str] = {}
    for program in [str(base) if base.is_file() else None, *programs]:
        if program and (version := _version_of(program)) is not None:
            found.setdefault(version, program)
    return found


def _version_of(program: str) -> tuple[int, int, int] | None:
    asked = "import sys, venv, ensurepip; print(*sys.version_info[:3])"
    try:
        done = subprocess.run([program, "-I", "-c", asked], capture_output=True, text=True, timeout=20, check=False)
        major, minor, micro = (int(part) for part in done.stdout.split())
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return major, minor, micro


def choose(wanted: str, found: dict[tuple[int, int, int], str]) -> tuple[str, str]:
    """The newest that fits; program and version. Raises StepFailed."""
    for version in sorted(found, reverse=True):
        if fits(wanted, version):
            return found[version], ".".join(map(str, version))
    here = shown([".".join(map(str, version)) for version in sorted(found)])
    raise StepFailed(f"python-version '{wanted}': this machine has {here}. Install it, or ask for one of these")


def fits(wanted: str, version: tuple[int, int, int]) -> bool:
    """A range as setup-python reads it: `3.11`, `3.x`, `>=3.9 <3.12`, of several by `||` any. Raises StepFailed."""
    return any(_all_fit(part, version) for part in wanted.split("||"))


def _all_fit(wanted: str, version: tuple[int, int, int]) -> bool:
    terms = list(_SPEC.finditer(wanted))
    if not terms or _SPEC.sub("", wanted).strip(" ,"):
        raise StepFailed(f"python-version '{wanted.strip()}': expected a version such as 3.11, 3.x or >=3.10")
    return all(_fits(term[1] or "", [part for part in term.groups()[1:] if part], version) for term in terms)


def _fits(operator: str, parts: list[str], version: tuple[int, int, int]) -> bool:
    numbers = tuple(int(part) for part in parts if part.isdigit())
    same = version[: len(numbers)] == numbers
    if operator in ("", "=", "=="):
        return same
    if operator == "~":
        return version[:2] == numbers[:2] and version >= numbers
    if operator == "^":
        return version[0] == numbers[0] and version >= numbers
    return {
        ">=": version[: len(numbers)] >= numbers,
        ">": version[: len(numbers)] > numbers,
        "<=": version[: len(numbers)] <= numbers,
        "<": version[: len(numbers)] < numbers,
    }[operator]


def _from_file(step: Step) -> str:
    name = step.text("python-version-file")
    if not name:
        default = step.workspace / ".python-version"
        return default.read_text().strip() if default.is_file() else ""
    path = step.workspace / name
    if not path.is_file():
        raise StepFailed(f"python-version-file '{name}': there is no such file in the workspace")
    text = path.read_text()
    if path.name == "pyproject.toml":
        found = re.search(r"requires-python\s*=\s*[\"']([^\"']+)", text)
        return found[1].replace(",", " ") if found else ""
    return text.strip().splitlines()[0] if text.strip() else ""


def _key(step: Step, version: str) -> str:
    """Raises StepFailed."""
    if (manager := step.text("cache")) != "pip":
        raise StepFailed(f"cache '{manager}': only pip is cached here")
    patterns = step.lines("cache-dependency-path") or ["**/requirements.txt", "**/pyproject.toml"]
    files = sorted({path for pattern in patterns for path in step.workspace.glob(pattern) if path.is_file()})
    if not files:
        raise StepFailed(f"cache: pip: no file matches {shown(patterns)}: name one with cache-dependency-path")
    digest = hashlib.sha256(version.encode())
    for path in files:
        digest.update(path.relative_to(step.workspace).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:40]


def _restore(kept: Path, place: Path) -> bool:
    if not (kept / "made-at").is_file():
        return False
    made_at = (kept / "made-at").read_text()
    shutil.copytree(kept, place, symlinks=True)
    for path in [place / "pyvenv.cfg", *(place / "bin").iterdir()]:
        _move(path, made_at, str(place))
    os.utime(kept / "made-at")
    return True


def _move(path: Path, before: str, now: str) -> None:
    """Scripts and activation files name the directory they were made in."""
    if path.is_symlink() or not path.is_file():
        return
    content = path.read_bytes()
    if before.encode() in content and b"\0" not in content[:1024]:
        path.write_bytes(content.replace(before.encode(), now.encode()))


def _age(entry: Path) -> float:
    mark = entry / "made-at"
    return mark.stat().st_mtime if mark.exists() else 0.0
