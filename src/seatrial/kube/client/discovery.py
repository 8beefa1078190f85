"""Which resources a server has: looked up by kind, or by what a person types (`deploy`, `widgets.example.com`).

Built-in resources of the embedded cluster are known without asking (`kube.model.resources`); this is for
custom resources and for other clusters. The answer is kept and asked for again when something is not in it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from seatrial.base.errors import Retryable
from seatrial.kube.client.client import parsed
from seatrial.kube.model.objects import join_api_version, split_api_version
from seatrial.kube.model.resources import Resource, SubResource
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class UnknownResource(Retryable):
    """The server has no such resource, now: its CustomResourceDefinition may still come."""

    reason = "NoMatch"


class RESTMapper:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._resources: tuple[Resource, ...] | None = None
        self._refreshing = asyncio.Lock()

    async def resources(self) -> tuple[Resource, ...]:
        """Every resource, core group first, each group's preferred version first."""
        if self._resources is None:
            return await self.refresh()
        return self._resources

    async def refresh(self) -> tuple[Resource, ...]:
        """Ask the server again; callers that wait for one another share one answer."""
        before = self._resources
        async with self._refreshing:
            if self._resources is None or self._resources is before:
                core, groups = await asyncio.gather(self._discover("/api"), self._discover("/apis"))
                self._resources = (*core, *groups)
            return self._resources

    async def for_kind(self, api_version: str, kind: str) -> Resource:
        """Raises UnknownResource."""
        found = await self._find(lambda item: item.kind == kind and item.api_version == api_version)
        if found is None:
            raise _unknown_kind(kind, api_version)
        return found

    async def for_group_kind(self, group: str, kind: str) -> Resource:
        """In the group's preferred version. Raises UnknownResource."""
        found = await self._find(lambda item: item.kind == kind and item.group == group)
        if found is None:
            raise _unknown_kind(kind, group or "the core group")
        return found

    async def for_name(self, text: str) -> Resource:
        """By plural, singular, kind or short name, alone or followed by `.group` or `.version.group`.

        Raises UnknownResource.
        """
        wanted = text.lower()
        found = await self._find(lambda item: _is_named(item, wanted), lambda item: _is_short(item, wanted))
        if found is None:
            raise UnknownResource(f'the server has no resource type "{text}": `kubectl api-resources` lists them')
        return found

    async def _find(self, *tests: Callable[[Resource], bool]) -> Resource | None:
        """The first resource that passes the first test any passes; the server is asked again before giving up."""
        return _first(await self.resources(), tests) or _first(await self.refresh(), tests)

    async def _discover(self, root: str) -> list[Resource]:
        body = parsed(await self._client.raw("GET", root, headers={"accept": _AGGREGATED}))
        if body.get("kind") == "APIGroupDiscoveryList":
            return [resource for group in body.get("items") or () for resource in _aggregated(group)]
        versions = await asyncio.gather(*(self._legacy(version) for version in _versions(body)))
        return [resource for found in versions for resource in found]

    async def _legacy(self, api_version: str) -> list[Resource]:
        group, _ = split_api_version(api_version)
        path = f"/apis/{api_version}" if group else f"/api/{api_version}"
        try:
            body = parsed(await self._client.raw("GET", path, headers={"accept": "application/json"}))
        except StatusError as error:
            if error.code in (404, 503):  # an extension server that is away takes only its own group along
                return []
            raise
        return list(_listed(api_version, body.get("resources") or ()))


def _first(resources: Iterable[Resource], tests: Iterable[Callable[[Resource], bool]]) -> Resource | None:
    return next((item for test in tests for item in resources if test(item)), None)


def _unknown_kind(kind: str, where: str) -> UnknownResource:
    return UnknownResource(f'no kind "{kind}" in {where}: is its CustomResourceDefinition installed?')


def _is_named(resource: Resource, text: str) -> bool:
    name, _, qualifier = text.partition(".")
    if name not in (resource.plural, resource.singular or resource.kind.lower(), resource.kind.lower()):
        return False
    return qualifier in ("", resource.group, f"{resource.version}.{resource.group}".rstrip("."))


def _is_short(resource: Resource, text: str) -> bool:
    name, _, qualifier = text.partition(".")
    return name in resource.short_names and qualifier in ("", resource.group)


def _versions(body: Object) -> list[str]:
    """`v1`, or `apps/v1`, ...: what a legacy root lists, preferred version first."""
    if body.get("kind") == "APIVersions":
        return list(body.get("versions") or ())
    found: list[str] = []
    for group in body.get("groups") or ():
        preferred = (group.get("preferredVersion") or {}).get("groupVersion")
        listed = [version["groupVersion"] for version in group.get("versions") or ()]
        found += sorted(listed, key=lambda version, preferred=preferred: version != preferred)  # type: ignore[misc]
    return found


def _aggregated(group: Object) -> Iterator[Resource]:
    name = (group.get("metadata") or {}).get("name") or ""
    for version in group.get("versions") or ():
        for item in version.get("resources") or ():
            kind = item.get("responseKind") or {}
            yield Resource(
                group=name,
                version=version["version"],
                kind=kind.get("kind") or "",
                plural=item["resource"],
                namespaced=item.get("scope") == "Namespaced",
                singular=item.get("singularResource") or "",
                short_names=tuple(item.get("shortNames") or ()),
                categories=tuple(item.get("categories") or ()),
                verbs=tuple(item.get("verbs") or ()),
                subresources=tuple(_aggregated_part(part) for part in item.get("subresources") or ()),
            )


def _aggregated_part(part: Object) -> SubResource:
    kind = part.get("responseKind") or {}
    return SubResource(
        part["subresource"],
        kind.get("group") or "",
        kind.get("version") or "",
        kind.get("kind") or "",
        tuple(part.get("verbs") or ()),
    )


def _listed(api_version: str, items: Iterable[Object]) -> Iterator[Resource]:
    """An APIResourceList: sub-resources stand beside their resource as `pods/log`."""
    group, version = split_api_version(api_version)
    parts: dict[str, list[SubResource]] = {}
    whole: list[Object] = []
    for item in items:
        plural, slash, part = item["name"].partition("/")
        if slash:
            parts.setdefault(plural, []).append(_listed_part(api_version, part, item))
        else:
            whole.append(item)
    for item in whole:
        yield Resource(
            group=group,
            version=version,
            kind=item["kind"],
            plural=item["name"],
            namespaced=bool(item.get("namespaced")),
            singular=item.get("singularName") or "",
            short_names=tuple(item.get("shortNames") or ()),
            categories=tuple(item.get("categories") or ()),
            verbs=tuple(item.get("verbs") or ()),
            subresources=tuple(parts.get(item["name"], ())),
        )


def _listed_part(api_version: str, name: str, item: Object) -> SubResource:
    """Group and version are given only where they differ from the list's."""
    own = join_api_version(item.get("group") or "", item.get("version") or "") if item.get("version") else api_version
    group, version = split_api_version(own)
    return SubResource(name, group, version, item.get("kind") or "", tuple(item.get("verbs") or ()))
