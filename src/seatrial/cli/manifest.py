"""Manifests a person hands over: a file, a URL, standard input, or an editor."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import click
import yaml

from seatrial.base.errors import Terminal

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SECONDS = 30
_LARGEST = 4 * 1024 * 1024


def load(place: str, kind: str) -> list[dict[str, Any]]:
    """The objects of that kind at a path, at an http(s) URL, or on standard input (`-`). Raises Terminal."""
    found = [obj for obj in _documents(place) if obj]
    for number, obj in enumerate(found, start=1):
        if not isinstance(obj, dict) or obj.get("kind") != kind:
            seen = obj.get("kind") if isinstance(obj, dict) else type(obj).__name__
            raise Terminal(f"{place}: document {number} is {seen or 'of no kind'}: expected {kind}")
    if not found:
        raise Terminal(f"{place}: no {kind} in it")
    return found


def edit(value: Any) -> Any | None:
    """What the person made of it in $EDITOR; None if nothing. Raises Terminal."""
    text = yaml.safe_dump(value, sort_keys=False)
    edited = click.edit(text, extension=".yaml")
    if edited is None or edited == text:
        return None
    return _parsed(edited, "the edited text")[0]


def _documents(place: str) -> list[Any]:
    try:
        if place == "-":
            return _parsed(sys.stdin.read(_LARGEST), "standard input")
        if place.startswith(("http://", "https://")):
            with urllib.request.urlopen(place, timeout=_SECONDS) as answer:
                return _parsed(answer.read(_LARGEST).decode(), place)
        return _parsed(Path(place).read_text(encoding="utf-8"), place)
    except (urllib.error.URLError, TimeoutError) as error:
        raise Terminal(f"{place}: {getattr(error, 'reason', error)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Terminal(f"{place}: {getattr(error, 'strerror', None) or error}") from error


def _parsed(text: str, place: str) -> list[Any]:
    try:
        return list(yaml.load_all(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        raise Terminal(f"{place} is not YAML: {error}") from error
