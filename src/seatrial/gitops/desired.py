"""What an Application is to be: its sources resolved and rendered, ready to be compared.

The result is kept as long as nothing it was made of changes, so that everything behind can tell by identity that a
manifest is the one it knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.gitops.render.request import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.gitops.api.source import Source
    from seatrial.gitops.destinations import Destination
    from seatrial.gitops.render.renderer import Renderer
    from seatrial.gitops.sources.repositories import Repositories
    from seatrial.kube.model.objects import Object


@dataclass(frozen=True, slots=True)
class Rendered:
    revisions: tuple[str, ...]
    """One per source."""
    source_types: tuple[str, ...]
    """One per source that renders."""
    manifests: tuple[Object, ...]
    """Of all sources in turn, as the files say."""
    secrets: frozenset[str] = frozenset()
    """What was decrypted for them."""


class Desired:
    """Of all Applications of a controller."""

    def __init__(self, repositories: Repositories, renderer: Renderer) -> None:
        self._repositories = repositories
        self._renderer = renderer

    async def revisions(self, sources: Sequence[Source], *, force: bool = False) -> tuple[str, ...]:
        """Raises SourceFailed, SourceRefused."""
        return tuple([await self._repositories.resolve(source, force=force) for source in sources])

    async def render(
        self,
        app: Application,
        sources: Sequence[Source],
        revisions: Sequence[str],
        destination: Destination,
        *,
        anew: bool = False,
    ) -> Rendered:
        """`anew`: nothing remembered is used. Raises SourceFailed, SourceRefused, RenderFailed."""
        files = [
            await self._repositories.open(source, revision) for source, revision in zip(sources, revisions, strict=True)
        ]
        references = {source.ref: found for source, found in zip(sources, files, strict=True) if source.ref}
        manifests: list[Object] = []
        types: list[str] = []
        secrets: set[str] = set()
        for source, found in zip(sources, files, strict=True):
            if not source.renders:
                continue
            request = Request(
                source=source,
                files=found,
                application=app.name,
                application_namespace=app.namespace,
                project=app.project,
                namespace=app.destination.namespace,
                kube_version=destination.kube_version,
                api_versions=destination.api_versions,
                references=references,
            )
            if anew:
                await self._renderer.forget(request)
            made = await self._renderer.render(request)
            manifests += made.objects
            types.append(made.source_type)
            secrets |= made.secrets
        return Rendered(tuple(revisions), tuple(types), tuple(manifests), frozenset(secrets))
