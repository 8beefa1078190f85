"""Logging: a constant message, then fields (`extra=`); one line each; secrets masked by field name."""

from __future__ import annotations

import logging
import re
import sys
from typing import IO

_SECRET_FIELD = re.compile(r"(token|password|secret|authorization|private[-_]?key)$", re.IGNORECASE)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """`2026-01-02T03:04:05Z WARNING seatrial.cluster.store disk is full path=/data free=0`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        line = super().formatMessage(record)
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return " ".join([line, *(f"{key}={_shown(key, value)}" for key, value in fields.items())])


def _shown(key: str, value: object) -> str:
    if _SECRET_FIELD.search(key):
        return "***"
    text = str(value)
    return repr(text) if " " in text or not text.isprintable() else text


def configure(level: str = "INFO", stream: IO[str] | None = None) -> None:
    """Send every logger of the process to `stream` (standard error by default)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Its start and stop say nothing of ours, and each line of nonsense a stranger sends is worth no line of the log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
