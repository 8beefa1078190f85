"""What is to be rendered, and what came out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.gitops.api.source import Source
    from seatrial.gitops.sources.files import Files
    from seatrial.kube.model.objects import Object

SourceType = Literal["Helm", "Kustomize", "Directory"]


class RenderFailed(Terminal):
    """The files do not render: says which file, which line, and what the tool said. New files bring a new try."""

    reason = "ComparisonError"


@dataclass(frozen=True, slots=True)
class Request:
    source: Source
    files: Files
    application: str
    """The name of the Application; the release name unless `helm.releaseName` says another."""
    application_namespace: str
    project: str
    namespace: str
    """Of the destination."""
    kube_version: str
    """Of the destination, as `1.37.2`."""
    api_versions: tuple[str, ...] = ()
    """Of the destination: `apps/v1`, `apps/v1/Deployment`."""
    references: Mapping[str, Files] = field(default_factory=dict)
    """By `ref`, without the `$`."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """Objects as the files say: nothing defaulted, no namespace and no tracking added."""

    objects: tuple[Object, ...]
    source_type: SourceType
    commands: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()
    """What was decrypted for them."""
