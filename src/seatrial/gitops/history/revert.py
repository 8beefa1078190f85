"""The way back through Git: one commit on the branch that takes back what came after a good one, pushed.

It is made in a repository of its own that borrows the objects of the mirror: neither the mirror nor its refs change.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.errors import Retryable, Terminal

if TYPE_CHECKING:
    from seatrial.gitops.sources.git.access import Access

_SECONDS = 120.0
MAX_COMMITS = 200
"""More than this is not a mistake to take back but a history to rewrite: a person's work."""
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


class RevertRefused(Terminal):
    reason = "FailedPrecondition"


class BranchMoved(Retryable):
    reason = "BranchMoved"


class GitFailed(Retryable):
    reason = "GitFailed"


@dataclass(frozen=True, slots=True)
class Identity:
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Revert:
    """`remote`: where to fetch the branch and push it. `mirror`: a repository with (most of) its objects."""

    remote: str
    branch: str
    """"HEAD": the remote's default branch."""
    good: str
    """Full id of the commit whose content is wanted again."""
    bad: str
    """Full id of the last commit to be taken back."""
    identity: Identity
    mirror: Path | None = None
    access: Access | None = None
    """Credentials for git, open for as long as this takes; never in an argument or a URL."""
    reason: str = ""


async def revert(asked: Revert) -> str:
    """The id of the pushed commit. Raises RevertRefused, BranchMoved, GitFailed."""
    _check(asked)
    with tempfile.TemporaryDirectory(prefix="seatrial-revert-") as home:
        work = _Work(Path(home) / "work", Path(home), asked)
        await work.prepare()
        tip = await work.fetch()
        commits = await work.commits(tip)
        await work.take_back(commits)
        made = await work.commit(commits)
        await work.push()
        return made


def _check(asked: Revert) -> None:
    for name, value in (("good", asked.good), ("bad", asked.bad)):
        if not _SHA.fullmatch(value):
            raise RevertRefused(f"the {name} revision must be a full commit id, got {value!r}: charts have none")
    for name, value in (("remote", asked.remote), ("branch", asked.branch)):
        if not value or value.startswith("-"):
            raise RevertRefused(f"the {name} {_shown(value)!r} is not one that git can be given")


class _Work:
    def __init__(self, path: Path, home: Path, asked: Revert) -> None:
        self._path = path
        self._home = home
        self._asked = asked

    async def prepare(self) -> None:
        await self._git("init", "--quiet", str(self._path), cwd=self._home)
        if self._asked.mirror is not None:
            lent = self._asked.mirror
            store = lent / "objects" if (lent / "objects").is_dir() else lent / ".git" / "objects"
            (self._path / ".git/objects/info/alternates").write_text(f"{store.resolve()}\n")
        if self._asked.branch == "HEAD":
            self._asked = replace(self._asked, branch=await self._default_branch())
        code, _ = await self._run("check-ref-format", f"refs/heads/{self._asked.branch}")
        if code:
            raise RevertRefused(f"{self._asked.branch!r} is not the name of a branch")

    async def _default_branch(self) -> str:
        said = await self._git("ls-remote", "--symref", self._asked.remote, "HEAD")
        found = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", said, re.MULTILINE)
        if found is None:
            raise RevertRefused(f"{_shown(self._asked.remote)} names no default branch: name one in targetRevision")
        return found[1]

    async def fetch(self) -> str:
        ref = f"refs/heads/{self._asked.branch}"
        code, text = await self._run("fetch", "--quiet", "--no-tags", self._asked.remote, f"+{ref}:refs/remotes/tip")
        if code and "couldn't find remote ref" in text:
            raise RevertRefused(
                f"{_shown(self._asked.remote)} has no branch {self._asked.branch}: nothing to revert on"
            )
        self._expect(code, text, "fetch the branch")
        await self._git("checkout", "--quiet", "--detach", "refs/remotes/tip")
        return (await self._git("rev-parse", "HEAD")).strip()

    async def commits(self, tip: str) -> list[str]:
        """What to take back, newest first."""
        good, bad = self._asked.good, self._asked.bad
        for older, newer, text in (
            (good, bad, f"{good[:12]} is not an ancestor of {bad[:12]}: histories that diverged need a person"),
            (bad, tip, f"{bad[:12]} is not on branch {self._asked.branch} (any more): nothing to take back there"),
        ):
            code, _ = await self._run("merge-base", "--is-ancestor", older, newer)
            if code:
                raise RevertRefused(text)
        listed = (await self._git("rev-list", "--first-parent", f"{good}..{bad}")).split()
        if not listed:
            raise RevertRefused(f"{good[:12]} and {bad[:12]} are the same: there is nothing to take back")
        if len(listed) > MAX_COMMITS:
            raise RevertRefused(
                f"{len(listed)} commits lie between: more than {MAX_COMMITS} are not taken back at once"
            )
        return listed

    async def take_back(self, commits: list[str]) -> None:
        for commit in commits:
            parents = (await self._git("rev-list", "--parents", "-n", "1", commit)).split()[1:]
            mainline = ["-m", "1"] if len(parents) > 1 else []
            code, _ = await self._run("revert", "--no-commit", *mainline, commit)
            if code:
                files = (await self._git("diff", "--name-only", "--diff-filter=U")).split("\n")
                shown = ", ".join(name for name in files[:5] if name) or "the files it changed"
                raise RevertRefused(
                    f"commit {commit[:12]} cannot be taken back: later commits changed {shown} too. "
                    f"Revert by hand and push, or roll back without Git"
                )

    async def commit(self, commits: list[str]) -> str:
        code, _ = await self._run("diff", "--cached", "--quiet", "HEAD")
        if code == 0:
            raise RevertRefused(f"branch {self._asked.branch} already is as before {commits[-1][:12]}: nothing to push")
        await self._git("commit", "--quiet", "--no-verify", "-m", self._message(commits))
        return (await self._git("rev-parse", "HEAD")).strip()

    def _message(self, commits: list[str]) -> str:
        one = len(commits) == 1
        title = f"Revert {commits[0][:12]}" if one else f"Revert {len(commits)} commits after {self._asked.good[:12]}"
        listed = "\n".join(f"This reverts commit {commit}." for commit in commits)
        return "\n\n".join(filter(None, [title, self._asked.reason, listed]))

    async def push(self) -> None:
        code, text = await self._run("push", "--quiet", self._asked.remote, f"HEAD:refs/heads/{self._asked.branch}")
        if code and ("non-fast-forward" in text or "fetch first" in text or "stale info" in text):
            raise BranchMoved(f"somebody pushed to {self._asked.branch} meanwhile: try again")
        if code and ("protected branch" in text or "pre-receive hook declined" in text):
            raise RevertRefused(
                f"{_shown(self._asked.remote)} does not let {self._asked.branch} be pushed: {_last(text)}"
            )
        self._expect(code, text, "push the revert")

    async def _git(self, *arguments: str, cwd: Path | None = None) -> str:
        code, text = await self._run(*arguments, cwd=cwd)
        self._expect(code, text, arguments[0])
        return text

    def _expect(self, code: int, text: str, what: str) -> None:
        if code:
            raise GitFailed(f"git could not {what} ({_shown(self._asked.remote)}): {_last(text)}")

    async def _run(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
        identity = self._asked.identity
        access = self._asked.access
        environment = {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            **(access.environment if access is not None else {}),
            "HOME": str(self._home),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_EDITOR": "true",
            "LC_ALL": "C",
            **{f"GIT_{role}_NAME": identity.name for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": identity.email for role in ("AUTHOR", "COMMITTER")},
        }
        process = await asyncio.create_subprocess_exec(
            "git",
            *("-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false", "-c", "gc.auto=0"),
            *arguments,
            cwd=cwd or self._path,
            env=environment,
            pass_fds=access.descriptors if access is not None else (),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(_SECONDS):
                output, _ = await process.communicate()
        except BaseException as error:
            process.kill()
            await process.wait()
            if isinstance(error, TimeoutError):
                raise GitFailed(f"git {arguments[0]} did not end within {_SECONDS:.0f} s") from None
            raise
        text = output.decode(errors="replace")
        return process.returncode or 0, access.struck(text) if access is not None else text


def _shown(url: str) -> str:
    return _CREDENTIALS.sub("//", url)


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return _shown(lines[-1])[:500] if lines else "no message"
