"""From a plain process of the machine to pid 1 of a namespace where nothing touches the machine (decision 0005).

`enter` is called first thing, before an event loop, a thread or a child exists. Three processes come of one: the one
that called keeps waiting and hands on signals and the exit status; the outside (`broker.py`); and pid 1, in which
`enter` returns. Whichever of them is killed, the kernel ends them all, and with pid 1 everything it started.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from seatrial.cluster.node.runtime import cgroups, kernel
from seatrial.cluster.nodeprocess import broker
from seatrial.cluster.nodeprocess.forbidden import NAMESPACES, NamespacesForbidden, can_run
from seatrial.cluster.nodeprocess.outside import Outside

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_OUTSIDE_SECONDS = 6
_HIDDEN = Path("/run")


@dataclass(frozen=True, slots=True)
class Plan:
    instance: str
    """Names the control groups; letters, digits and dashes."""
    path: str
    """The search path for programs."""
    keep: tuple[Path, ...] = ()
    """Directories of ours that must stay visible, also if they are under /run."""


@dataclass(frozen=True, slots=True)
class Entered:
    outside: Outside
    machine_pid: int
    """A process in our network and user namespace, as the machine counts: whom slirp4netns joins."""
    cgroups: cgroups.Cgroups
    missing: str
    """What the control groups lack, "" if nothing: one warning's worth."""


def enter(plan: Plan) -> Entered:
    """Returns in pid 1; the calling process never comes back, it exits as pid 1 does. Raises NamespacesForbidden."""
    reason = can_run(plan.path)
    if reason is not None:
        raise NamespacesForbidden(reason)
    cgroups.sweep(plan.instance)
    calls, their_calls = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    questions, their_questions = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    outside_pid = os.fork()
    if outside_pid == 0:
        calls.close()
        questions.close()
        _serve(plan, their_calls, their_questions)
    their_calls.close()
    their_questions.close()
    outside = Outside(calls, questions)
    try:
        hybrid = _leave(outside)
    except OSError as error:
        outside.close()
        os.waitpid(outside_pid, 0)
        raise NamespacesForbidden(f"namespaces are forbidden: {error.strerror or error}") from error
    machine_pid = os.getpid()
    alive, held = os.pipe()
    # Until each of the two has its handlers: pid 1 may be at work before we have been given the processor again.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    pid = os.fork()
    if pid != 0:
        outside.close()
        os.close(alive)
        _relay(pid, outside_pid, mask)
    os.close(held)
    _become_init(alive, mask)
    _arrange(plan, hybrid)
    groups, missing = cgroups.detect(plan.instance)
    return Entered(outside, machine_pid, groups, missing)


def _serve(plan: Plan, calls: socket.socket, questions: socket.socket) -> NoReturn:
    status = 1
    try:
        broker.serve(calls, questions, plan.instance, plan.path)
        status = 0
    finally:
        os._exit(status)


def _leave(outside: Outside) -> bool:
    """Into new namespaces; the PID namespace begins with the next fork. Says whether control groups are version 1."""
    if os.geteuid() != 0:
        kernel.unshare(kernel.CLONE_NEWUSER)
        outside.map_ids()
    hybrid = not (cgroups.ROOT / "cgroup.controllers").exists()
    # Version 2 is reached by the machine's own mount of it: what is delegated to us need not be below our own group.
    kernel.unshare(NAMESPACES | (kernel.CLONE_NEWCGROUP if hybrid else 0))
    return hybrid


def _relay(pid: int, outside: int, mask: set[int]) -> NoReturn:
    """Wait for pid 1, then for the outside; end as pid 1 did."""
    for number in _FORWARDED:
        signal.signal(number, lambda given, _frame: _signal(pid, given))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = None
    while code is None:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
        elif ended == outside:
            if status != 0:  # by itself it ends only when pid 1 has let go of it
                _signal(pid, signal.SIGKILL)
            outside = 0
    if outside:
        _await(outside)
    os._exit(code if code >= 0 else 128 - code)


def _await(outside: int) -> None:
    """It removes control groups; a machine that stands still must not keep us for ever."""
    handle = os.pidfd_open(outside)
    if not select.select([handle], [], [], _OUTSIDE_SECONDS)[0]:
        _signal(outside, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _become_init(alive: int, mask: set[int]) -> None:
    """The kernel kills us with the process that waits for us."""
    kernel.die_with_parent(signal.SIGKILL)
    if select.select([alive], [], [], 0)[0]:  # it was killed before we said so
        os._exit(1)
    os.close(alive)
    os.setsid()
    # A pid 1 hears no signal it has no handler for; these hold until the event loop has its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda given, _frame: os._exit(128 + given))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _arrange(plan: Plan, hybrid: bool) -> None:
    """Mounts, seen by nobody else, and the loopback."""
    try:
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        _hide_run([path for path in plan.keep if path.is_relative_to(_HIDDEN)])
        if hybrid:
            _mount_controllers()
        kernel.loopback_up()
    except OSError as error:
        raise NamespacesForbidden(f"mounts are forbidden: {error}") from error
    os.chdir("/")


def _hide_run(keep: list[Path]) -> None:
    """A /run of our own: what lies there is the machine's, and what we put there goes with us."""
    handles = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY)) for path in keep]
    kernel.mount("run", _HIDDEN, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for path, handle in handles:
        path.mkdir(parents=True)
        kernel.mount(f"/proc/self/fd/{handle}", path, flags=kernel.MS_BIND | kernel.MS_REC)
        os.close(handle)


def _mount_controllers() -> None:
    """Every version 1 controller in a place of its own, from our own group down: the machine's arrangement (some of
    version 2 among them) is none that crun takes. Without any, the empty place is what crun expects.
    """
    root = cgroups.ROOT
    kernel.mount("cgroup", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, "mode=755")
    if not _may_write():
        return
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    for names in _hierarchies(Path("/proc/self/cgroup").read_text()):
        directory = root / names.removeprefix("name=")
        directory.mkdir()
        kernel.mount("cgroup", directory, "cgroup", flags, names if "=" not in names else f"none,{names}")
        for name in names.split(","):
            alias = root / name
            if name != directory.name and "=" not in name:
                alias.symlink_to(directory.name)


def _may_write() -> bool:
    """Groups of version 1 belong to the machine's root; nobody delegates them safely."""
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]


def _hierarchies(own: str) -> list[str]:
    """Of version 1, as /proc/self/cgroup names them: `cpu,cpuacct` or `name=systemd`."""
    names = [line.split(":")[1] for line in own.splitlines() if line.count(":") >= 2]
    if not any(name == "name=systemd" for name in names):
        names.append("name=systemd")
    return [name for name in names if name]
