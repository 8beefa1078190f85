"""One run of `act`: a directory with a clean clone, an environment of its own, and the command line.

Everything is inside the directory, which is removed afterwards. No secret is in the arguments or the environment.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Terminal
from seatrial.pipeline.gitserver.repositories import NO_COMMIT
from seatrial.pipeline.workflow.marked import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

_LABELS = ("ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04", "ubuntu-20.04", "self-hosted", "linux")
_GIT_SECONDS = 600.0
_HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHECKOUT = "actions/checkout@"
_SHELLS = Path(__file__).parent / "shells"


class PreparationFailed(Terminal):
    reason = "PreparationFailed"


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that one attempt of a run needs to know."""

    run: str
    id: int
    number: int
    attempt: int
    repository: str
    owner: str
    workflow: str
    event: str
    ref: str
    commit: str
    before: str
    actor: str
    message: str
    default_branch: str
    server_url: str
    clone_url: str
    token: str
    """For this repository, for as long as the run lasts."""
    actions: tuple[str, ...] = ()
    """`owner/repo` of those that the workflow uses."""
    uses: tuple[str, ...] = ()
    """The same as they are written: `owner/repo/path@ref`."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.repository}"


@dataclass(frozen=True, slots=True)
class Tools:
    act: Path
    local_actions: Mapping[str, Path] = field(default_factory=dict)
    """`owner/repo`, or `owner/repo@ref`, of actions that are taken from a directory of this machine."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What runs see besides their own: a PATH, a proxy."""


class Place:
    """The directory of one run. Its methods block."""

    def __init__(self, directory: Path, tools: Tools, artifacts: Path) -> None:
        self.directory = directory
        self._tools = tools
        self._artifacts = artifacts

    def prepare(self, assignment: Assignment, repository: Path) -> None:
        """Raises PreparationFailed, OSError."""
        for name in ("home", "tmp", "cache"):
            (self.directory / name).mkdir(parents=True, mode=0o700)
        self._clone(assignment, repository)
        self._write("event.json", event(assignment))
        self._write("env.yml", _environment(assignment))
        self._write("vars.yml", dict(assignment.variables))
        self._write("inputs.yml", dict(assignment.inputs))
        self._write("secrets.yml", {**assignment.secrets, "GITHUB_TOKEN": assignment.token})

    def command(self, assignment: Assignment) -> list[str]:
        here = self.directory
        made = [
            str(self._tools.act), assignment.event, "--json",
            "--directory", str(here / "source"),
            "--workflows", str(here / "source" / assignment.workflow),
            "--eventpath", str(here / "event.json"),
            "--env-file", str(here / "env.yml"),
            "--var-file", str(here / "vars.yml"),
            "--input-file", str(here / "inputs.yml"),
            "--secret-file", str(here / "secrets.yml"),
            "--action-cache-path", str(here / "cache"),
            "--actor", assignment.actor or "seatrial",
            "--defaultbranch", assignment.default_branch,
            "--artifact-server-path", str(self._artifacts),
            "--artifact-server-addr", "127.0.0.1",
            "--artifact-server-port", str(_free_port()),
            "--use-gitignore=false", "--no-cache-server", "--pull=false",
        ]  # fmt: skip
        for label in _LABELS:
            made += ["--platform", f"{label}=-self-hosted"]
        for action, folder in self._local(assignment).items():
            made += ["--local-repository", f"{action}={folder}"]
        for action in assignment.actions:
            # From GitHub, and without the run's token, which act would send along.
            made += ["--replace-ghe-action-with-github-com", action]
        if any(action.startswith(_CHECKOUT) for action in self._local(assignment)):
            made.append("--no-skip-checkout")
        return made

    def _local(self, assignment: Assignment) -> dict[str, Path]:
        """At whatever refs the workflow names them."""
        known = self._tools.local_actions
        found = {action: folder for action, folder in known.items() if "@" in action}
        for used in assignment.uses:
            path, _, ref = used.partition("@")
            repository = "/".join(path.split("/")[:2])
            if (folder := known.get(repository.lower())) is not None:
                found.setdefault(f"{repository}@{ref}", folder)
        return found

    def environment(self) -> dict[str, str]:
        here = self.directory
        given = {"PATH": _HOST_PATH, "LANG": "C.UTF-8", **self._tools.environment}
        return {
            **given,
            "PATH": f"{_SHELLS}:{given['PATH']}",
            "HOME": str(here / "home"),
            "TMPDIR": str(here / "tmp"),
            "XDG_CACHE_HOME": str(here / "home" / ".cache"),
            "XDG_CONFIG_HOME": str(here / "home" / ".config"),
            "SEATRIAL_ARTIFACTS": str(self._artifacts),
            VARIABLE: str(here),
        }

    def forget_secrets(self) -> None:
        """act has read them."""
        (self.directory / "secrets.yml").unlink(missing_ok=True)

    def remove(self) -> None:
        """Also what a step made read-only."""
        if not self.directory.exists():
            return
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.directory.exists():
            for folder, _, _ in os.walk(self.directory):
                os.chmod(folder, 0o700)
            shutil.rmtree(self.directory, ignore_errors=True)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        """JSON is YAML, which act reads without expanding anything."""
        descriptor = os.open(self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)

    def _clone(self, assignment: Assignment, repository: Path) -> None:
        source = self.directory / "source"
        self._git("clone", "--quiet", "--no-checkout", "--no-hardlinks", "--template=", str(repository), str(source))
        branch = assignment.ref.removeprefix("refs/heads/") if assignment.ref.startswith("refs/heads/") else ""
        where = ("--no-track", "-B", branch) if branch else ("--detach",)
        self._git("checkout", "--quiet", *where, assignment.commit, at=source)
        config = source / ".git" / "config"
        config.chmod(0o600)
        config.write_text(_config(assignment, branch), encoding="utf-8")

    def _git(self, *arguments: str, at: Path | None = None) -> None:
        environment = {
            **self.environment(), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        given = ["git", *(["-C", str(at)] if at else []), *arguments]
        try:
            subprocess.run(
                given, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=True,
                timeout=_GIT_SECONDS,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = (error.stderr or b"").decode(errors="replace").strip()[:400]
            raise PreparationFailed(f"git {arguments[0]} for the run failed: {said}") from None


def _config(assignment: Assignment, branch: str) -> str:
    """As actions/checkout leaves it: later steps may fetch and push."""
    made = (
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
        f'[remote "origin"]\n\turl = {assignment.clone_url}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
        f'[http "{assignment.server_url}/"]\n\textraheader = Authorization: Bearer {assignment.token}\n'
    )
    if branch:
        quoted = branch.replace("\\", "\\\\").replace('"', '\\"')
        made += f'[branch "{quoted}"]\n\tremote = origin\n\tmerge = "refs/heads/{quoted}"\n'
    return made


def event(assignment: Assignment) -> dict[str, Any]:
    """The payload, as far as one without GitHub can know it."""
    person = {"login": assignment.actor, "name": assignment.actor}
    made: dict[str, Any] = {
        "ref": assignment.ref,
        "repository": {
            "name": assignment.repository,
            "full_name": assignment.full_name,
            "owner": {"login": assignment.owner, "name": assignment.owner},
            "default_branch": assignment.default_branch,
            "clone_url": assignment.clone_url,
            "html_url": assignment.clone_url.removesuffix(".git"),
        },
        "sender": person,
    }
    if assignment.event != "push":
        return {**made, "inputs": dict(assignment.inputs)}
    commit = {"id": assignment.commit, "message": assignment.message, "author": person}
    return {
        **made,
        "before": assignment.before or NO_COMMIT,
        "after": assignment.commit,
        "created": assignment.before in ("", NO_COMMIT),
        "deleted": False,
        "forced": False,
        "pusher": person,
        "head_commit": commit,
        "commits": [commit],
    }


def _environment(assignment: Assignment) -> dict[str, str]:
    return {
        "GITHUB_REPOSITORY": assignment.full_name,
        "GITHUB_REPOSITORY_OWNER": assignment.owner,
        "GITHUB_RUN_ID": str(assignment.id),
        "GITHUB_RUN_NUMBER": str(assignment.number),
        "GITHUB_RUN_ATTEMPT": str(assignment.attempt),
        "GITHUB_ACTOR": assignment.actor,
        "GITHUB_TRIGGERING_ACTOR": assignment.actor,
        "GITHUB_SERVER_URL": assignment.server_url,
        "SEATRIAL_CLONE_URL": assignment.clone_url,
        "GITHUB_RETENTION_DAYS": "30",
    }


def _free_port() -> int:
    """Of the artifact server, which cannot choose one itself."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
