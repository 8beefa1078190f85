"""Termination messages: what a container leaves behind about its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.kube.model.objects import Object

_MOST_BYTES = 4096
_MOST_LOG_BYTES, _MOST_LOG_LINES = 2048, 80


def read(container: Object, file: Path, log_path: Path | None, code: int) -> str:
    """From the file at terminationMessagePath; with FallbackToLogsOnError, and an end in error, from the log."""
    text = _tail(file, _MOST_BYTES, end=False).decode("utf-8", "replace")
    if text or code == 0 or container.get("terminationMessagePolicy") != "FallbackToLogsOnError" or log_path is None:
        return text
    lines = _tail(log_path, 4 * _MOST_LOG_BYTES, end=True).decode("utf-8", "replace").splitlines(keepends=True)
    said = "".join(_said(line) for line in lines[-_MOST_LOG_LINES:])
    return said.encode()[-_MOST_LOG_BYTES:].decode("utf-8", "ignore")


def _said(line: str) -> str:
    """Without the time, the stream and the tag; a part of a longer line (tag P) does not end one."""
    words = line.split(" ", 3)
    if len(words) < 4 or words[1] not in ("stdout", "stderr"):  # cut off where the tail begins
        return ""
    return words[3].removesuffix("\n") if words[2] == "P" else words[3]


def _tail(path: Path, most: int, *, end: bool) -> bytes:
    try:
        with path.open("rb") as file:
            if end:
                file.seek(max(0, path.stat().st_size - most))
            return file.read(most)
    except OSError:
        return b""
