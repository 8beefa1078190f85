"""The user and group ids that belong to a user beside their own: /etc/subuid and /etc/subgid."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Range:
    first: int
    count: int


def ranges(file: Path, uid: int) -> list[Range]:
    """Those of a user, by name or number. Raises OSError."""
    names = {str(uid)}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(uid).pw_name)
    found = []
    for line in file.read_text().splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in names and fields[1].isdigit() and fields[2].isdigit():
            found.append(Range(int(fields[1]), int(fields[2])))
    return found


def mapping(own: int, subordinate: list[Range]) -> list[str]:
    """Arguments for newuidmap: root inside is the user outside, then every subordinate id from 1 on."""
    arguments = ["0", str(own), "1"]
    inside = 1
    for part in subordinate:
        arguments += [str(inside), str(part.first), str(part.count)]
        inside += part.count
    return arguments


def write_maps(pid: int, path: str) -> None:
    """Give a process that has just made a user namespace its ids; `path` is the search path. Raises OSError."""
    for program, file, own in (("newuidmap", "/etc/subuid", os.getuid()), ("newgidmap", "/etc/subgid", os.getgid())):
        arguments = mapping(own, ranges(Path(file), os.getuid()))
        done = subprocess.run(
            [program, str(pid), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": path},
            check=False,
        )
        if done.returncode != 0:
            raise OSError(0, done.stderr.decode(errors="replace").strip() or f"{program} failed")
