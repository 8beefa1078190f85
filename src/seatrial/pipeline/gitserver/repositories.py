"""The bare repositories of one directory: `<directory>/<name>.git`.

A name is checked here and nowhere else: what `path` answers is inside the directory and is a repository. What was
pushed is remembered per repository (`told`), so that a push whose news died with the process is told at the next start.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from seatrial.base.errors import Terminal
from seatrial.base.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_COMMIT = "0" * 40
DEFAULT_BRANCH = "main"
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
LARGEST_PUSH = 4 << 30
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_SUFFIX = ".git"
_TOLD = "seatrial-told.json"
_SECONDS = 60.0
_HOOKS = {
    # Standard input of post-receive is what was accepted: one line for each ref.
    "post-receive": '#!/bin/sh\nexec cat >>"$SEATRIAL_PUSHED"\n',
    "update": """#!/bin/sh
case " $SEATRIAL_PROTECTED " in
  *" $1 "*) ;;
  *) exit 0 ;;
esac
case "$3" in
  *[!0]*) ;;
  *) echo "$1 is protected: it cannot be deleted" >&2; exit 1 ;;
esac
case "$2" in
  *[!0]*) ;;
  *) exit 0 ;;
esac
git merge-base --is-ancestor "$2" "$3" && exit 0
echo "$1 is protected: only fast-forward pushes are taken (pull first, or revert by a new commit)" >&2
exit 1
""",
}


class UnknownRepository(Terminal):
    reason = "UnknownRepository"


class RepositoryFailed(Terminal):
    reason = "RepositoryFailed"


@dataclass(frozen=True, slots=True)
class Push:
    """One ref that moved; `before` or `after` is NO_COMMIT for one that was made or deleted."""

    repository: str
    ref: str
    before: str
    after: str
    actor: str = ""


class Repositories:
    def __init__(
        self, directory: Path, *, default_branch: str = DEFAULT_BRANCH, protected: Sequence[str] = ("main",),
        allow_force: bool = False,
    ) -> None:  # fmt: skip
        """`protected`: branches that take no forced push and are not deleted, unless `allow_force`."""
        self.directory = directory
        self.default_branch = default_branch
        self._protected = () if allow_force else tuple(f"refs/heads/{branch}" for branch in protected)

    def prepare(self) -> None:
        """The directory and its hooks. Raises OSError."""
        hooks = self._hooks
        hooks.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in _HOOKS.items():
            write_atomic(hooks / name, text, mode=0o700)

    def ensure(self, name: str) -> Path:
        """The repository, made if there is none: complete, or not at all. Raises RepositoryFailed, OSError."""
        place = self._place(name)
        if not place.is_dir():
            self.prepare()
            with tempfile.TemporaryDirectory(dir=self.directory, prefix=".new-") as scratch:
                made = Path(scratch) / "made"
                self._git("init", "--quiet", "--bare", "--template=", "-b", self.default_branch, str(made))
                try:
                    os.rename(made, place)
                except OSError:
                    if not place.is_dir():  # somebody else made it meanwhile
                        raise
        return place

    def path(self, name: str) -> Path:
        """Raises UnknownRepository."""
        place = self._place(name)
        if not (place / "HEAD").is_file():
            raise UnknownRepository(f"there is no repository '{name}'")
        return place

    def remove(self, name: str) -> None:
        shutil.rmtree(self.path(name))

    def names(self) -> list[str]:
        """In the order of the alphabet."""
        if not self.directory.is_dir():
            return []
        found = (entry.name.removesuffix(_SUFFIX) for entry in self.directory.glob(f"*{_SUFFIX}"))
        return sorted(name for name in found if _is_name(name))

    def refs(self, name: str) -> dict[str, str]:
        """Branches and tags with what they point at. Raises UnknownRepository, RepositoryFailed."""
        place = self.path(name)
        listed = self._git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags", at=place)
        pairs = (line.split(" ", 1) for line in listed.splitlines())
        return {ref: commit for commit, ref in pairs}

    def environment(self) -> dict[str, str]:
        """All that a git of the server starts with, but for what tells one request from another."""
        settings = {
            "core.hooksPath": str(self._hooks),
            "gc.auto": "0",
            "http.receivepack": "true",
            "receive.autogc": "false",
            "receive.denyDeleteCurrent": "ignore",  # the hook says which branches stay
            "receive.fsckObjects": "true",
            "receive.maxInputSize": str(LARGEST_PUSH),
            "receive.shallowUpdate": "false",
            "uploadpack.allowFilter": "true",
            "uploadpack.allowReachableSHA1InWant": "true",
        }
        made = {
            "PATH": SEARCH_PATH,
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": str(len(settings)),
            "SEATRIAL_PROTECTED": " ".join(self._protected),
        }
        for number, (key, value) in enumerate(settings.items()):
            made |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return made

    def tidy(self, name: str) -> None:
        """Pack what many pushes left. Nothing of a request may linger, so no push does this."""
        environment = {**self.environment(), "GIT_CONFIG_COUNT": "0"}
        self._git("-c", "gc.autoDetach=false", "gc", "--quiet", "--auto", at=self.path(name), environment=environment)

    # what was told

    def untold(self, name: str) -> list[Push]:
        """What moved since `told` was last called. Raises UnknownRepository, RepositoryFailed."""
        before, now = self._told(name), self.refs(name)
        return [
            Push(name, ref, before.get(ref, NO_COMMIT), now.get(ref, NO_COMMIT))
            for ref in dict.fromkeys([*now, *before])
            if before.get(ref) != now.get(ref)
        ]

    def told(self, push: Push) -> None:
        """What this push asked for is written elsewhere. Raises OSError."""
        known = self._told(push.repository)
        if push.after == NO_COMMIT:
            known.pop(push.ref, None)
        else:
            known[push.ref] = push.after
        write_atomic(self.path(push.repository) / _TOLD, orjson.dumps(known))

    def _told(self, name: str) -> dict[str, str]:
        try:
            found: dict[str, str] = orjson.loads((self.path(name) / _TOLD).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    @property
    def _hooks(self) -> Path:
        return self.directory / "hooks"

    def _place(self, name: str) -> Path:
        if not _is_name(name):
            raise UnknownRepository(
                "a repository's name has letters, digits, '.', '_' and '-' only, and does not begin with '.' or '-'"
            )
        return self.directory / f"{name}{_SUFFIX}"

    def _git(self, *arguments: str, at: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
        given = ["git", *([f"--git-dir={at}"] if at else []), *arguments]
        try:
            done = subprocess.run(
                given, cwd="/", env=environment or self.environment(), stdin=subprocess.DEVNULL,
                capture_output=True, timeout=_SECONDS, check=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise RepositoryFailed("there is no `git` on this machine: install it") from None
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = (error.stderr or b"").decode(errors="replace").strip()[:400]
            raise RepositoryFailed(
                f"git {' '.join(arguments)[:100]} failed in {at or self.directory}: {said}"
            ) from None
        return done.stdout.decode(errors="surrogateescape")


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and ".." not in name and not name.endswith((_SUFFIX, ".lock", "."))
