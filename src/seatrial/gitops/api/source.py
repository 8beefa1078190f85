"""A Source: where the manifests of an Application come from, as its spec says. The fields are Argo CD's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Source:
    repo_url: str
    path: str = ""
    target_revision: str = ""
    """Branch, tag, commit, semver range; "" is HEAD, or the latest version of a chart."""
    chart: str = ""
    """Set: `repo_url` is a Helm repository."""
    ref: str = ""
    """Set: other sources name its files as `$ref/...`."""
    name: str = ""
    helm: Mapping[str, Any] | None = None
    kustomize: Mapping[str, Any] | None = None
    directory: Mapping[str, Any] | None = None
    spec: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)
    """As written, with what this class has no field for."""

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Self:
        return cls(
            repo_url=spec.get("repoURL") or "",
            path=spec.get("path") or "",
            target_revision=spec.get("targetRevision") or "",
            chart=spec.get("chart") or "",
            ref=spec.get("ref") or "",
            name=spec.get("name") or "",
            helm=spec.get("helm"),
            kustomize=spec.get("kustomize"),
            directory=spec.get("directory"),
            spec=spec,
        )

    @property
    def renders(self) -> bool:
        """False for a source that only lends its files to others."""
        return bool(self.chart or self.path or not self.ref)
