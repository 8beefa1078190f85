"""Removing what pods wrote: with a user's node, files belong to ids that only a user namespace makes the user's own."""

from __future__ import annotations

import os
import shutil
import socket
from typing import TYPE_CHECKING, NoReturn

from seatrial.cluster.node.runtime import kernel
from seatrial.cluster.nodeprocess import subids

if TYPE_CHECKING:
    from pathlib import Path

_MAX_MESSAGE = 4096


def remove(directory: Path, path: str) -> None:
    """A directory tree, whoever of the user's ids owns its parts; `path` is the search path. Raises OSError."""
    try:
        shutil.rmtree(directory)
    except PermissionError:
        if os.geteuid() == 0:
            raise
        _remove_inside(directory, path)


def _remove_inside(directory: Path, path: str) -> None:
    """By a child that is root of a user namespace."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _child(theirs, directory)
    theirs.close()
    try:
        with ours:
            if ours.recv(1):
                subids.write_maps(pid, path)
                ours.sendall(b"!")
            failure = ours.recv(_MAX_MESSAGE).decode(errors="replace")
    finally:
        _, status = os.waitpid(pid, 0)
    if failure or status:
        raise PermissionError(0, failure or "the process that should remove it failed", str(directory))


def _child(channel: socket.socket, directory: Path) -> NoReturn:
    status = 1
    try:
        kernel.unshare(kernel.CLONE_NEWUSER)
        channel.sendall(b"?")
        if channel.recv(1):
            shutil.rmtree(directory)
            status = 0
    except OSError as error:
        channel.sendall(f"{error.filename or 'user namespace'}: {error.strerror or error}".encode())
    finally:
        os._exit(status)
