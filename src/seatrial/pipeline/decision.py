"""What a change asks for: code -> CI, config or manifest -> sync, anything else -> nothing. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kind(StrEnum):
    CODE = "code"
    MANIFEST = "manifest"
    CONFIG = "config"
    OTHER = "other"


_ORDER = (Kind.CODE, Kind.MANIFEST, Kind.CONFIG, Kind.OTHER)
_ASKS = {Kind.CODE: "CI", Kind.MANIFEST: "sync", Kind.CONFIG: "sync", Kind.OTHER: "nothing"}
_DEPLOYED = frozenset({"helm", "charts", "manifests", "argocd", "k8s", "kubernetes", "kustomize", "deploy"})
_DOCUMENTS = (".md", ".rst", ".adoc")
_DOCUMENT_NAMES = frozenset({"LICENSE", "LICENCE", "NOTICE", "AUTHORS", "CODEOWNERS", ".gitignore", ".gitattributes"})
_DOCUMENT_FOLDERS = frozenset({"docs", "doc"})


@dataclass(frozen=True, slots=True)
class Decision:
    kind: Kind
    reason: str

    def to_json(self) -> dict[str, str]:
        return {"kind": str(self.kind), "reason": self.reason}


def decide(paths: Sequence[str], asked: str = "") -> Decision:
    """`asked`: why a workflow that names its paths runs for these, if one does."""
    if asked:
        return Decision(Kind.CODE, f"{asked}: CI")
    if not paths:
        return Decision(Kind.CODE, "no file changed, as in a commit that is made to run CI: CI")
    kinds = {path: kind_of(path) for path in paths}
    strongest = min(kinds.values(), key=_ORDER.index)
    telling = [path for path, kind in kinds.items() if kind is strongest]
    more = f" and {len(telling) - 1} more" if len(telling) > 1 else ""
    return Decision(strongest, f"{telling[0]}{more} changed ({strongest}): {_ASKS[strongest]}")


def kind_of(path: str) -> Kind:
    """Of one file, by where it is and what it is called."""
    place = PurePosixPath(path)
    folders = set(place.parts[:-1])
    if folders & _DEPLOYED:
        if place.suffix in _DOCUMENTS or place.name == "NOTES.txt":
            return Kind.OTHER if place.suffix in _DOCUMENTS else Kind.MANIFEST
        return Kind.CONFIG if place.name.startswith("values") else Kind.MANIFEST
    if place.suffix in _DOCUMENTS or place.name in _DOCUMENT_NAMES or place.stem in _DOCUMENT_NAMES:
        return Kind.OTHER
    if place.parts[:1] and place.parts[0] in _DOCUMENT_FOLDERS and len(place.parts) > 1:
        return Kind.OTHER
    if len(place.parts) > 1 and place.parts[0] == "config" and place.suffix in (".yaml", ".yml", ".env", ".json"):
        return Kind.CONFIG
    return Kind.CODE
