"""The machine's ports that lead to the ingress proxy: opened in the machine's network, the same at each start."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, NamedTuple

from seatrial.base.errors import Terminal
from seatrial.base.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.cluster.nodeprocess.outside import Outside

_DEFAULTS = {"http": 8080, "https": 8443}
_BACKLOG = 1024


class EntranceTaken(Terminal):
    reason = "AddressTaken"


class Entrances(NamedTuple):
    http: socket.socket
    https: socket.socket

    @property
    def ports(self) -> tuple[int, int]:
        return self.http.getsockname()[1], self.https.getsockname()[1]


def open_entrances(outside: Outside, host: str, http: int | None, https: int | None, memory: Path) -> Entrances:
    """None: the port of the last start, which `memory` has, else the default if it is free, else a free one; 0: a free
    one. Raises EntranceTaken, OSError.
    """
    last = _remembered(memory)
    made: dict[str, socket.socket] = {}
    try:
        for name, wanted in (("http", http), ("https", https)):
            made[name] = _open(outside, host, name, wanted, last.get(name))
    except BaseException:
        for found in made.values():
            found.close()
        raise
    entrances = Entrances(made["http"], made["https"])
    now = dict(zip(("http", "https"), entrances.ports, strict=True))
    if now != last:
        write_atomic(memory, json.dumps(now), mode=0o600)
    return entrances


def _open(outside: Outside, host: str, name: str, wanted: int | None, last: int | None) -> socket.socket:
    if wanted is not None:
        try:
            return listen_outside(outside, host, wanted)
        except OSError as error:
            raise EntranceTaken(
                f"cannot listen on {host}:{wanted}: {error.strerror}. Stop what uses it, or choose another port with "
                f"--{name}-port (0 picks a free one)"
            ) from error
    for port in (last, _DEFAULTS[name]):
        if port is not None:
            try:
                return listen_outside(outside, host, port)
            except OSError:
                continue
    return listen_outside(outside, host, 0)


def listen_outside(outside: Outside, host: str, port: int) -> socket.socket:
    """A port of the machine, to accept connections from. Raises OSError."""
    made = outside.make_socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _remembered(memory: Path) -> dict[str, int]:
    try:
        found = json.loads(memory.read_bytes())
        return {name: int(found[name]) for name in _DEFAULTS}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
