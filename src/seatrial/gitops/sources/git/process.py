"""One run of `git`: bounded in time and size, killed with everything it started, its complaints made fit to show."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seatrial.gitops.sources.files import SourceFailed
from seatrial.gitops.sources.git import access
from seatrial.gitops.sources.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seatrial.gitops.api.repositories import Credential
    from seatrial.gitops.sources.address import Address

LARGEST_ANSWER = 64 << 20
"""Of standard output: some 800,000 refs."""
LARGEST_PACK = 4 << 30
_LONGEST_COMPLAINT = 64 << 10
_LONGEST_MESSAGE = 400
_PATH = "/usr/local/bin:/usr/bin:/bin"


class GitFailed(SourceFailed):
    """`detail` is all of what git wrote to standard error."""


@dataclass
class Git:
    credentials: Callable[[str], Credential | None] = lambda _url: None
    trust: Callable[[], Trust] = Trust
    environment: Mapping[str, str] = field(default_factory=dict)
    """What runs get besides their own: a proxy's variables, an SSH agent's socket."""
    ssh: str = "ssh"
    parallel: int = 4

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.parallel)
        self.runs = 0

    async def run(
        self,
        arguments: Sequence[str],
        address: Address,
        spelled: str,
        *,
        seconds: float,
        directory: str | None = None,
        inherit: Sequence[int] = (),
    ) -> bytes:
        """`spelled` is the URL as the Application has it: credentials are found by it. Raises GitFailed."""
        base = {"PATH": _PATH, **self.environment}
        async with self._slots:
            with access.opened(address, self.credentials(spelled), self.trust(), base, self.ssh) as given:
                self.runs += 1
                return await _run(arguments, address, given, seconds, directory, inherit)


async def _run(
    arguments: Sequence[str],
    address: Address,
    given: access.Access,
    seconds: float,
    directory: str | None,
    inherit: Sequence[int],
) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            cwd=directory or "/",
            env=given.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(*given.descriptors, *inherit),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise GitFailed(f"repository {address.url}: there is no `git` on this machine: install it") from None
    try:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (LARGEST_PACK, LARGEST_PACK))
        async with asyncio.timeout(seconds):
            output, complaint = await asyncio.gather(
                _bounded(process.stdout, LARGEST_ANSWER), _tail(process.stderr, _LONGEST_COMPLAINT)
            )
            await process.wait()
    except TimeoutError:
        raise GitFailed(f"repository {address.url}: `git {arguments[0]}` took longer than {seconds:g} s") from None
    except _TooMuch:
        raise GitFailed(f"repository {address.url}: more than {LARGEST_ANSWER >> 20} MiB of refs") from None
    finally:
        await _end(process)
    if process.returncode:
        raise _failure(address, given, complaint)
    return output


class _TooMuch(Exception):
    pass


async def _bounded(stream: asyncio.StreamReader | None, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while stream is not None and (part := await stream.read(1 << 16)):
        size += len(part)
        if size > limit:
            raise _TooMuch
        parts.append(part)
    return b"".join(parts)


async def _tail(stream: asyncio.StreamReader | None, limit: int) -> bytes:
    kept = b""
    while stream is not None and (part := await stream.read(1 << 14)):
        kept = (kept + part)[-limit:]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    """The whole session: git's own children outlive a git that is killed."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _failure(address: Address, given: access.Access, complaint: bytes) -> GitFailed:
    text = given.struck(complaint.decode(errors="replace"))
    lines = ["".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines()]
    telling = [line.removeprefix("fatal: ").removeprefix("error: ") for line in lines if _tells(line)]
    said = "; ".join(dict.fromkeys(telling)) or "git failed and did not say why"
    return GitFailed(f"repository {address.url}: {said[:_LONGEST_MESSAGE]}{_hint(said)}", detail=text)


def _tells(line: str) -> bool:
    return bool(line) and not line.startswith(("hint:", "warning:", "Cloning", "remote: Counting", "remote: Compress"))


def _hint(said: str) -> str:
    lower = said.lower()
    if "terminal prompts disabled" in lower or "could not read username" in lower or "authentication failed" in lower:
        return " (add or correct the repository's username and password)"
    if "host key verification failed" in lower:
        return " (add the server's key to the ConfigMap argocd-ssh-known-hosts-cm)"
    if "permission denied" in lower and "publickey" in lower:
        return " (add or correct the repository's sshPrivateKey)"
    if "dubious ownership" in lower:
        return " (the repository belongs to another user of this machine: serve it, or change its owner)"
    if "signal 25" in lower:
        return f" (the repository is larger than {LARGEST_PACK >> 30} GiB)"
    if "certificate" in lower:
        return " (add the server's authority to the ConfigMap argocd-tls-certs-cm)"
    return ""
