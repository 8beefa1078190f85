"""The build environment: what `$ARGOCD_APP_NAME` and its like stand for in an Application's settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.gitops.render.reading import Reading
    from seatrial.gitops.render.request import Request

_NAME = re.compile(r"\$(?:\$|\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*)|([*#@!?0-9-]))")


class Environment:
    """Names that nobody defined are empty; `$$` is a dollar. What of it was used is noted: it is an input."""

    def __init__(self, request: Request, reading: Reading) -> None:
        revision = request.files.revision
        self._reading = reading
        self._values = {
            "ARGOCD_APP_NAME": request.application,
            "ARGOCD_APP_NAMESPACE": request.namespace,
            "ARGOCD_APP_PROJECT_NAME": request.project,
            "ARGOCD_APP_REVISION": revision,
            "ARGOCD_APP_REVISION_SHORT": revision[:7],
            "ARGOCD_APP_REVISION_SHORT_8": revision[:8],
            "ARGOCD_APP_SOURCE_REPO_URL": request.source.repo_url,
            "ARGOCD_APP_SOURCE_PATH": request.source.path,
            "ARGOCD_APP_SOURCE_TARGET_REVISION": request.source.target_revision,
            "KUBE_VERSION": request.kube_version,
            "KUBE_API_VERSIONS": ",".join(request.api_versions),
        }

    def substituted(self, text: str) -> str:
        return _NAME.sub(self._of, text) if "$" in text else text

    def _of(self, match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        name = match.group(1) or match.group(2) or ""
        if name == "$":
            return "$"
        if name.startswith("ARGOCD_APP_REVISION"):
            self._reading.uses_revision()
        elif name.startswith("KUBE_"):
            self._reading.uses_cluster()
        return self._values.get(name, "")
