"""The worker: a process that does one job after another, and may be killed at any moment.

A template can run for ever and a tool can take all memory, and code inside a library cannot be stopped: so it runs
here, under limits, with no environment and nothing to lose. Jobs come on stdin, answers go to stdout; both are a length
of 8 bytes and that many bytes. It ends with its stdin, and with its parent.

    python -m seatrial.gitops.render.worker <directory> <bytes of memory>
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from seatrial.gitops.render import documents, helmrun, job, kustomizerun
from seatrial.gitops.render.documents import BadDocument

_LENGTH = 8
_PR_SET_PDEATHSIG = 1
_RESERVED = 4 << 30
"""Addresses that Go reserves and never touches."""
_LARGEST_FILE = 256 << 20


def perform(asked: job.Job, directory: Path) -> list[dict[str, Any]]:
    """Raises JobFailed, BadDocument."""
    if isinstance(asked, job.Parse):
        return documents.objects(list(asked.files), strict=True, lenient=True)
    if isinstance(asked, job.Helm):
        return helmrun.run(asked, directory)
    return kustomizerun.run(asked, directory)


def answer(asked: job.Job, directory: Path) -> bytes:
    """JSON: `objects` or `error`."""
    try:
        return orjson.dumps({"objects": perform(asked, directory)})
    except (job.JobFailed, BadDocument) as error:
        return orjson.dumps({"error": str(error)[:8000]})
    except MemoryError:
        return orjson.dumps({"error": "it needs more memory than a render may have"})
    except (orjson.JSONEncodeError, UnicodeError, RecursionError, ValueError, OSError) as error:
        return orjson.dumps({"error": f"{type(error).__name__}: {str(error)[:500]}"})


def main(directory: Path, memory: int) -> None:
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not get between the answers.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    _limit(memory)
    while (content := _frame(incoming)) is not None:
        work = directory / "work"
        work.mkdir(mode=0o700)
        reply = answer(pickle.loads(content), work)
        shutil.rmtree(work)
        outgoing.write(len(reply).to_bytes(_LENGTH, "big") + reply)
        outgoing.flush()


def _limit(memory: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for limit, value in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_AS, memory + _RESERVED),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))


def _frame(incoming: BinaryIO) -> bytes | None:
    header = incoming.read(_LENGTH)
    if len(header) < _LENGTH:
        return None
    return incoming.read(int.from_bytes(header, "big"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
