"""The client: verbs on resources, over any transport.

Turns `get(PODS, "web", "default")` into a Request and the Response into an Object. It keeps no state; caching is
the informer's part, retrying the controller's. Errors are those of `transport.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from seatrial.kube.client.transport import Request
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from seatrial.kube.client.transport import Response, Transport, WatchEvent
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

Query = list[tuple[str, str]]


class PatchType(StrEnum):
    """The content type says how a patch is meant."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class ObjectList(NamedTuple):
    items: list[Object]
    resource_version: str
    continue_token: str = ""
    remaining: int | None = None


class Client:
    def __init__(self, transport: Transport, *, field_manager: str = "seatrial") -> None:
        self.transport = transport
        self.field_manager = field_manager

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Object:
        return await self._object("GET", _path(resource, namespace, name, subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
        resource_version_match: str = "",
    ) -> ObjectList:
        """One page (all, without `limit`)."""
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=limit,
            resourceVersion=resource_version,
            resourceVersionMatch=resource_version_match,
        )
        if continue_token:
            query.append(("continue", continue_token))
        return _listed(resource, await self._object("GET", _path(resource, namespace), query))

    async def create(
        self,
        resource: Resource,
        obj: Object,
        namespace: str = "",
        *,
        subresource: str = "",
        name: str = "",
        dry_run: bool = False,
    ) -> Object:
        """POST; with `name` and `subresource` to a sub-resource such as `eviction` or `token`."""
        path = _path(resource, namespace or objects.namespace(obj), name, subresource)
        return await self._object("POST", path, self._writing(dry_run), obj)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "", dry_run: bool = False) -> Object:
        """PUT; 409 Conflict if the object's resourceVersion is not the current one."""
        path = _path(resource, objects.namespace(obj), objects.name(obj), subresource)
        return await self._object("PUT", path, self._writing(dry_run), obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType,
        subresource: str = "",
        force: bool = False,
        dry_run: bool = False,
        field_manager: str = "",
    ) -> Object:
        query = self._writing(dry_run, field_manager)
        if force:
            query.append(("force", "true"))
        headers = {"content-type": str(type)}
        return await self._object("PATCH", _path(resource, namespace, name, subresource), query, patch, headers)

    async def apply(
        self,
        resource: Resource,
        obj: Object,
        *,
        force: bool = False,
        dry_run: bool = False,
        subresource: str = "",
        field_manager: str = "",
    ) -> Object:
        """Server-side apply of exactly the fields in `obj`; 409 if another manager owns one, unless `force`."""
        return await self.patch(
            resource,
            objects.name(obj),
            obj,
            objects.namespace(obj),
            type=PatchType.APPLY,
            subresource=subresource,
            force=force,
            dry_run=dry_run,
            field_manager=field_manager,
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        propagation: str = "",
        grace: int | None = None,
        uid: str = "",
        resource_version: str = "",
        dry_run: bool = False,
    ) -> Object:
        """The object if it lives on (finalizers, grace), else a Status; 409 if a precondition does not hold."""
        options = _delete_options(propagation, grace, uid, resource_version, dry_run=dry_run)
        return await self._object("DELETE", _path(resource, namespace, name), (), options)

    async def delete_collection(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        propagation: str = "",
        grace: int | None = None,
        dry_run: bool = False,
    ) -> Object:
        query = _query(labelSelector=label_selector, fieldSelector=field_selector)
        options = _delete_options(propagation, grace, dry_run=dry_run)
        return await self._object("DELETE", _path(resource, namespace), query, options)

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
        send_initial_events: bool = False,
        timeout_seconds: int | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Events from `resource_version` on; `send_initial_events` brings what exists first, then a bookmark."""
        query = _query(
            watch="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            allowWatchBookmarks="true" if bookmarks else "",
            timeoutSeconds=timeout_seconds,
        )
        if send_initial_events:
            query += [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")]
        return self.transport.watch(Request("GET", _path(resource, namespace), query, _HEADERS))

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | Object | None = None,
    ) -> Response:
        """Any request of the API, with whatever it answers."""
        return await self.transport.send(Request(method, path, query, headers or {}, body))

    async def close(self) -> None:
        await self.transport.close()

    def _writing(self, dry_run: bool, field_manager: str = "") -> Query:
        return _query(fieldManager=field_manager or self.field_manager, dryRun="All" if dry_run else "")

    async def _object(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        sent = {**_HEADERS, **(headers or ({"content-type": "application/json"} if body is not None else {}))}
        if isinstance(body, list):  # a JSON patch: the transport takes bytes or an object
            body = orjson.dumps(body)
        return parsed(await self.transport.send(Request(method, path, query, sent, body)))


_HEADERS: Mapping[str, str] = {"accept": "application/json"}


def parsed(response: Response) -> Object:
    """The object a response holds."""
    if response.object is not None:
        return response.object
    found: Object = orjson.loads(response.body)
    return found


def _path(resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> str:
    return resource.path(namespace if resource.namespaced else "", name, subresource)


def _query(**parameters: str | int | None) -> Query:
    return [(key, str(value)) for key, value in parameters.items() if value]


def _listed(resource: Resource, body: Object) -> ObjectList:
    metadata = body.get("metadata") or {}
    return ObjectList(
        [_typed(resource, item) for item in body.get("items") or ()],
        metadata.get("resourceVersion") or "",
        metadata.get("continue") or "",
        metadata.get("remainingItemCount"),
    )


def _typed(resource: Resource, item: Object) -> Object:
    """List items of built-in kinds come without apiVersion and kind."""
    if item.get("kind"):
        return item
    return {"apiVersion": resource.api_version, "kind": resource.kind, **item}


def _delete_options(
    propagation: str = "",
    grace: int | None = None,
    uid: str = "",
    resource_version: str = "",
    *,
    dry_run: bool = False,
) -> Object:
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if propagation:
        options["propagationPolicy"] = propagation
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    preconditions = {key: value for key, value in preconditions.items() if value}
    if preconditions:
        options["preconditions"] = preconditions
    if dry_run:
        options["dryRun"] = ["All"]
    return options
