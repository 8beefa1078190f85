"""Where settings come from: an environment variable, or the file that `<NAME>_FILE` points at (a mounted Secret)."""

from __future__ import annotations

import os
from pathlib import Path


class MissingSetting(RuntimeError):
    """A setting without which the process cannot work."""


def text(name: str, default: str | None = None) -> str:
    """The setting's value; a file is read anew at every call, so that a changed Secret is noticed."""
    if value := os.environ.get(name):
        return value
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            if default is None:
                raise MissingSetting(f"{name}_FILE names {path}, which does not exist: mount it or unset it") from None
    if default is None:
        raise MissingSetting(f"{name} is not set: set it, or {name}_FILE to a file that holds it")
    return default


def number(name: str, default: float) -> float:
    value = text(name, str(default))
    try:
        return float(value)
    except ValueError:
        raise MissingSetting(f"{name} is {value!r}, a number was expected") from None


def flag(name: str, default: bool = False) -> bool:
    return text(name, str(default)).lower() in {"1", "true", "yes", "on"}


def words(name: str, default: str = "") -> tuple[str, ...]:
    return tuple(word.strip() for word in text(name, default).split(",") if word.strip())
