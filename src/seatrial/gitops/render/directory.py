"""A plain directory: which of its files are manifests."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from seatrial.gitops.api import glob
from seatrial.gitops.render.documents import Named
from seatrial.gitops.render.job import Parse
from seatrial.gitops.render.request import RenderFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.gitops.render.reading import Recorded
    from seatrial.gitops.render.sourcetype import Settled
    from seatrial.gitops.sources.files import Entry

_SUFFIXES = (".yaml", ".yml", ".json")
_SKIP = b"+argocd:skip-file-rendering"
_LARGEST = 10 << 20
"""All manifests together, as in Argo CD."""


def job(settled: Settled, files: Recorded, unsealed: Callable[[bytes, str], bytes]) -> Parse:
    """Raises RenderFailed, SourceRefused."""
    include, exclude = (settled.settings.get(key) or "" for key in ("include", "exclude"))
    found: list[Named] = []
    size = 0
    for entry in _entries(settled, files):
        relative = posixpath.relpath(entry.path, settled.path or ".")
        if (exclude and glob.matches(exclude, relative)) or (include and not glob.matches(include, relative)):
            continue
        if relative.endswith(".jsonnet"):
            raise RenderFailed(f"{entry.path}: Jsonnet is not built in: exclude the file, or commit what it renders to")
        if not relative.endswith(_SUFFIXES) and not settled.settings.get("disableExtensionFilter"):
            continue
        content = files.read(entry.path)
        if _SKIP in content:
            continue
        size += len(content)
        if size > _LARGEST:
            raise RenderFailed(
                f"{settled.path or '.'}: the manifests are larger than {_LARGEST >> 20} MiB together: "
                "split the application, or exclude files"
            )
        found.append(Named(entry.path, unsealed(content, entry.path)))
    return Parse(tuple(found))


def _entries(settled: Settled, files: Recorded) -> list[Entry]:
    entries = files.walk(settled.path) if settled.settings.get("recurse") else files.list(settled.path)
    return [entry for entry in entries if entry.kind == "file"]
