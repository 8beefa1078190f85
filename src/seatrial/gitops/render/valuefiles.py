"""Value files: the names in `helm.valueFiles`, found in the source or in one that it refers to, in their order."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from seatrial.gitops.api import glob
from seatrial.gitops.render.request import RenderFailed
from seatrial.gitops.render.sourcetype import normal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seatrial.gitops.render.environment import Environment
    from seatrial.gitops.render.reading import Reading, Recorded

_MOST = 1000
_MAGIC = frozenset("*?[{")


class Place(NamedTuple):
    files: Recorded
    path: str
    shown: str
    """As the Application names it."""


def places(
    names: Sequence[str], path: str, reading: Reading, environment: Environment, *, ignore_missing: bool
) -> list[Place]:
    """Each file once. A pattern stands for its matches by name, without those that are named elsewhere.

    Raises RenderFailed, SourceRefused.
    """
    written = [place(name, path, reading, environment, "valueFiles") for name in names]
    named = {_key(found) for found in written if not _is_pattern(found.path)}
    result: dict[tuple[int, str], Place] = {}
    for found in written:
        if _is_pattern(found.path):
            matches = sorted(set(_matches(found.files, "", found.path.split("/"))))[:_MOST]
            if not matches and not ignore_missing:
                raise RenderFailed(f"valueFiles: {found.shown!r} matches no file in {_where(found.files)}")
            for match in matches:
                each = found._replace(path=match, shown=match)
                if _key(each) not in named:
                    result.setdefault(_key(each), each)
            continue
        entry = found.files.entry(found.path)
        if entry is not None and entry.kind == "file":
            result.setdefault(_key(found), found)
        elif not ignore_missing or entry is not None:
            raise RenderFailed(f"valueFiles: {found.shown!r} is not a file in {_where(found.files)}")
    return list(result.values())


def place(name: str, path: str, reading: Reading, environment: Environment, field: str) -> Place:
    """Where a name leads: from the source's path, `/` from its root, `$ref/` from the root of another source."""
    first, slash, rest = name.partition("/")
    if first.startswith("$") and (reading.has_reference(first[1:]) or not first.startswith(("${", "$ARGOCD", "$KUBE"))):
        files = reading.reference(first[1:])
        target = environment.substituted(rest).lstrip("/") if slash else ""
    else:
        files = reading.files
        substituted = environment.substituted(name)
        if "://" in substituted:
            raise RenderFailed(
                f"{field}: {substituted[:200]!r}: remote files are not fetched: put it into the repository, "
                "or into another one and refer to that by `ref`"
            )
        target = substituted.lstrip("/") if substituted.startswith("/") else posixpath.join(path, substituted)
    cleaned = normal(target)
    if cleaned == ".." or cleaned.startswith("../"):
        raise RenderFailed(f"{field}: {name!r} leads out of {_where(files)}")
    return Place(files, cleaned, name)


def _matches(files: Recorded, base: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        entry = files.entry(base)
        if entry is not None and entry.kind == "file":
            yield base
        return
    part, rest = parts[0], parts[1:]
    if not _is_pattern(part):
        yield from _matches(files, posixpath.join(base, part), rest)
        return
    entry = files.entry(base)
    if entry is None or entry.kind != "directory":
        return
    if part == "**":
        yield from _matches(files, base, rest)
    for child in files.list(base):
        if part == "**" and child.kind == "directory":
            yield from _matches(files, child.path, parts)
        elif part != "**" and glob.matches(part, child.path.rpartition("/")[2], "/"):
            yield from _matches(files, child.path, rest)


def _is_pattern(path: str) -> bool:
    return not _MAGIC.isdisjoint(path)


def _key(found: Place) -> tuple[int, str]:
    return id(found.files), found.path


def _where(files: Recorded) -> str:
    return f"{files.origin} at {files.revision[:10]}"
