"""Jobs: what a worker is given. Everything read is in them: a worker sees no repository and no secret but these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.gitops.render.documents import Named

Tree = tuple[tuple[str, bytes], ...]
"""Files by their relative path."""


class JobFailed(Exception):
    """What the tool said, without a word about this machine."""


@dataclass(frozen=True, slots=True)
class Parse:
    """Plain manifests."""

    files: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    value: str
    is_text: bool


@dataclass(frozen=True, slots=True)
class Helm:
    chart: Tree
    values: tuple[Named, ...]
    """The later beat the earlier."""
    parameters: tuple[Parameter, ...]
    file_parameters: tuple[Named, ...]
    """Named by the parameter."""
    release: str
    namespace: str
    kube_version: str
    api_versions: tuple[str, ...]
    skip_crds: bool = False
    skip_tests: bool = False
    binary: str = ""
    """The `helm` to use; "": the library."""


@dataclass(frozen=True, slots=True)
class Kustomize:
    files: Tree
    path: str
    """Of the kustomization to build."""
    binary: str
    """kubectl."""


Job = Parse | Helm | Kustomize
