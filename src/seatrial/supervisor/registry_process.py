"""The instance's OCI registry (see `child`): Debian's `docker-registry` on loopback, with a user of its own.

It serves what docker.io would under the same paths: `registry/auth.json` of the instance opens it to whoever may read
that file (containers-auth.json(5): buildah, skopeo and podman take it as REGISTRY_AUTH_FILE).
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import logging
import os
import secrets
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import orjson
import yaml

from seatrial.base import log
from seatrial.base.clock import Clock, SystemClock
from seatrial.base.errors import SeatrialError, Terminal
from seatrial.base.files import write_atomic
from seatrial.supervisor import child, claim
from seatrial.supervisor.child import Reports
from seatrial.supervisor.instance import Instance

if TYPE_CHECKING:
    from asyncio.subprocess import Process

logger = logging.getLogger(__name__)

PROGRAM = "docker-registry"
USER = "seatrial"
_ROUNDS = 4  # the password is 256 random bits: nobody guesses it, and it is checked at every request
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_STEP = 0.02
_SET_PARENT_DEATH_SIGNAL = 1


def find(path: str) -> str | None:
    return shutil.which(PROGRAM, path=path)


def main() -> int:
    options = child.options()
    log.configure(options.get("log_level", "INFO"))
    reports = Reports(options["notify"])
    return asyncio.run(_run(options, reports, SystemClock()))


async def _run(options: dict[str, Any], reports: Reports, clock: Clock) -> int:
    instance = Instance(Path(options["directory"]))
    told = child.told()
    process: Process | None = None
    try:
        await child.take(instance, claim.REGISTRY, clock)
        host, port = options["host"], int(options["port"])
        settings = await asyncio.to_thread(_prepare, instance, host, port)
        process = await _spawn(settings)
        await _answers(process, host, port, clock)
        reports.tell({"url": f"http://{host}:{port}", "port": port})
        ended, waiting = asyncio.ensure_future(process.wait()), asyncio.ensure_future(told.wait())
        await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return 0 if told.is_set() else 1
    except SeatrialError as error:
        reports.tell({"error": error.message, "reason": error.reason})
        return 1
    except OSError as error:
        reports.tell({"error": instance.unusable(error).message})
        return 1
    finally:
        if process is not None:
            await _end(process)


def _prepare(instance: Instance, host: str, port: int) -> Path:
    """The settings file; all of it the owner's alone. Raises OSError."""
    directory = instance.registry_auth.parent
    directory.mkdir(mode=0o700, exist_ok=True)
    password = _password(instance.registry_auth) or secrets.token_urlsafe(32)
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()
    write_atomic(directory / "htpasswd", f"{USER}:{hashed}\n", mode=0o600)
    packed = base64.b64encode(f"{USER}:{password}".encode()).decode()
    write_atomic(instance.registry_auth, orjson.dumps({"auths": {f"{host}:{port}": {"auth": packed}}}), mode=0o600)
    settings = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "data")},
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": {"addr": f"{host}:{port}", "secret": secrets.token_hex(16)},
        "auth": {"htpasswd": {"realm": "seatrial", "path": str(directory / "htpasswd")}},
    }
    path = directory / "config.yml"
    write_atomic(path, yaml.safe_dump(settings), mode=0o600)
    return path


def _password(auth: Path) -> str:
    """That of the last start, so that nobody has to log in again."""
    try:
        (entry,) = orjson.loads(auth.read_bytes())["auths"].values()
        return base64.b64decode(entry["auth"]).decode().partition(":")[2]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


async def _spawn(settings: Path) -> Process:
    """Raises Terminal, OSError."""
    program = find(os.environ.get("PATH", ""))
    if program is None:
        raise Terminal(f"there is no {PROGRAM}: `apt install {PROGRAM}`")
    libc, us = ctypes.CDLL(None), os.getpid()

    def with_us() -> None:
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != us:
            os._exit(1)

    return await asyncio.create_subprocess_exec(
        program, "serve", str(settings), stdin=asyncio.subprocess.DEVNULL, preexec_fn=with_us
    )


async def _answers(process: Process, host: str, port: int, clock: Clock) -> None:
    """Raises Terminal."""
    deadline = clock.monotonic() + _START_SECONDS
    while process.returncode is None and clock.monotonic() < deadline:
        try:
            _reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            await clock.sleep(_STEP)
            continue
        writer.close()
        await clock.sleep(_STEP)
        if process.returncode is None:  # else it was another's port
            return
    raise Terminal(f"{PROGRAM} does not listen on {host}:{port}: see the log, or choose another --registry-port")


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    sys.exit(main())
