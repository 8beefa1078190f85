"""Whether this machine lets us have namespaces; if not, why, in one line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from seatrial.base.errors import Terminal
from seatrial.cluster.node.runtime import engine, kernel
from seatrial.cluster.nodeprocess import subids

NAMESPACES = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWPID
_STAGES = ("user namespaces are forbidden", "namespaces are forbidden", "mounts are forbidden", "no overlayfs")
_HINTS = (
    "see user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns",
    "a container needs CAP_SYS_ADMIN for this (--privileged)",
    "a container needs an unmasked /proc for this (--privileged)",
    "it takes Linux 5.11 without root",
)


class NamespacesForbidden(Terminal):
    """Real pods cannot run here."""

    reason = "NamespacesForbidden"


def can_run(path: str) -> str | None:
    """None if real pods can run here, else why not; `path` is the search path for programs. A few milliseconds."""
    if engine.find(path) is None:
        return "there is no OCI runtime: install crun (or runc)"
    uid = os.geteuid()
    return (_ids_missing(uid, path) if uid != 0 else None) or _tried(user=uid != 0)


def _ids_missing(uid: int, path: str) -> str | None:
    for program, name in (("newuidmap", "/etc/subuid"), ("newgidmap", "/etc/subgid")):
        if shutil.which(program, path=path) is None:
            return f"there is no {program}, which a user namespace needs: install uidmap"
        try:
            found = subids.ranges(Path(name), uid)
        except OSError:
            found = []
        if not found:
            return f"{name} has no ids for user {uid}: an administrator adds them by usermod --add-sub{name[-3:]}s"
    return None


def _tried(*, user: bool) -> str | None:
    """In a child that takes what it made with it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _try(write, user=user)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    if not text:
        return "namespaces are forbidden: the process that tried was killed"
    stage, number = map(int, text.split())
    return f"{_STAGES[stage]}: {os.strerror(number)} ({_HINTS[stage]})" if number else None


def _try(answer: int, *, user: bool) -> None:
    """Write where it failed, and errno (0: nowhere)."""
    stage, number = 0, 0
    try:
        if user:
            _alone()
        stage = 1
        kernel.unshare(NAMESPACES)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        stage = 2
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("proc", "/proc", "proc")
        kernel.mount("trial", "/run", "tmpfs")
        stage = 3
        for name in ("lower", "upper", "work", "root"):
            os.mkdir(f"/run/{name}")
        more = ",userxattr" if user else ""
        kernel.mount(
            "trial", "/run/root", "overlay", 0, f"lowerdir=/run/lower,upperdir=/run/upper,workdir=/run/work{more}"
        )
    except OSError as error:
        number = error.errno or 0
    os.write(answer, f"{stage} {number}".encode())


def _alone() -> None:
    """Root of a user namespace that knows one user and one group: nobody has to map that."""
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
