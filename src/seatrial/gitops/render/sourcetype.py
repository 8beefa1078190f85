"""Which tool renders a source, and its settings: those of the spec, with what `.argocd-source*.yaml` say over them."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.gitops.render import documents
from seatrial.gitops.render.documents import BadDocument
from seatrial.gitops.render.request import RenderFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.gitops.render.reading import Recorded
    from seatrial.gitops.render.request import Request, SourceType

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_LARGEST_OVERRIDE = 1 << 20


@dataclass(frozen=True, slots=True)
class Settled:
    type: SourceType
    path: str
    """Of the directory, "" being the root."""
    settings: Mapping[str, Any]
    """The block of the tool: `helm`, `kustomize` or `directory`."""


def settle(request: Request, files: Recorded) -> Settled:
    """Raises RenderFailed, SourceRefused."""
    path = source_path(request, files)
    blocks = _blocks(request, files, path)
    explicit = [name for name in ("helm", "kustomize", "directory") if blocks.get(name)]
    if blocks.get("plugin"):
        raise RenderFailed("plugin: configuration management plug-ins are not supported")
    if len(explicit) > 1:
        raise RenderFailed(f"{' and '.join(explicit)} are given: a source is rendered by one tool only")
    type_ = _type(explicit, request, files, path)
    return Settled(type_, path, blocks.get(type_.lower()) or {})


def source_path(request: Request, files: Recorded) -> str:
    """Raises RenderFailed for a path that is not a directory."""
    if request.source.chart:
        return ""
    written = request.source.path
    if written.startswith("/"):
        raise RenderFailed(f"path {written!r} begins with /: expected a path relative to the repository")
    path = normal(written)
    entry = files.entry(path)
    if entry is None:
        raise RenderFailed(f"path {written!r} does not exist at {files.revision[:10]} of {files.origin}")
    if entry.kind != "directory":
        raise RenderFailed(f"path {written!r} is a file: expected a directory")
    return path


def normal(path: str) -> str:
    found = posixpath.normpath(path)
    return "" if found == "." else found


def _type(explicit: list[str], request: Request, files: Recorded, path: str) -> SourceType:
    if request.source.chart or "helm" in explicit:
        return "Helm"
    if "kustomize" in explicit:
        return "Kustomize"
    if "directory" in explicit:
        return "Directory"
    if any(_is_file(files, posixpath.join(path, name)) for name in KUSTOMIZATIONS):
        return "Kustomize"
    return "Helm" if _is_file(files, posixpath.join(path, "Chart.yaml")) else "Directory"


def _is_file(files: Recorded, path: str) -> bool:
    entry = files.entry(path)
    return entry is not None and entry.kind == "file"


def _blocks(request: Request, files: Recorded, path: str) -> dict[str, Any]:
    source = request.source
    blocks: dict[str, Any] = {
        name: found
        for name in ("helm", "kustomize", "directory", "plugin")
        if (found := getattr(source, name, None) or source.spec.get(name)) is not None
    }
    for name in (".argocd-source.yaml", f".argocd-source-{request.application}.yaml"):
        place = posixpath.join(path, name)
        if _is_file(files, place):
            patch = _override(files, place)
            blocks = merged(blocks, {key: patch[key] for key in ("helm", "kustomize", "directory") if key in patch})
    return blocks


def _override(files: Recorded, path: str) -> dict[str, Any]:
    content = files.read(path)
    if len(content) > _LARGEST_OVERRIDE:
        raise RenderFailed(f"{path} is larger than {_LARGEST_OVERRIDE >> 20} MiB")
    try:
        found = documents.single(content)
    except BadDocument as error:
        raise RenderFailed(f"{path}: {error}") from None
    if not isinstance(found, dict | None):
        raise RenderFailed(f"{path}: expected an object such as `helm: ...`")
    return found or {}


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396); neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
