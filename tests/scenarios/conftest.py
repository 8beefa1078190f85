"""A whole cluster in memory, driven through its API: what a test does, and what it waits for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from seatrial.cluster.server import Cluster, Options
from seatrial.kube.client.client import PatchType
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.model import conditions, objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

T = TypeVar("T")

PATIENCE = 5.0
_STEP = 0.01


class Scene:
    """Objects are named as on the command line: `scene.get("pods", "web", "shop")`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.client: Client = cluster.client("tester")
        self._mapper = RESTMapper(self.client)

    async def create(self, obj: Object) -> Object:
        resource = await self._mapper.for_kind(obj["apiVersion"], obj["kind"])
        return await self.client.create(resource, obj)

    async def get(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        """None if there is none."""
        try:
            return await self.client.get(await self._mapper.for_name(kind), name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def list(self, kind: str, namespace: str = "default", selector: str = "") -> list[Object]:
        resource = await self._mapper.for_name(kind)
        return (await self.client.list(resource, namespace, label_selector=selector)).items

    async def delete(self, kind: str, name: str, namespace: str = "default", **options: Any) -> None:
        await self.client.delete(await self._mapper.for_name(kind), name, namespace, **options)

    async def merge(
        self, kind: str, name: str, patch: Object, namespace: str = "default", subresource: str = ""
    ) -> Object:
        resource = await self._mapper.for_name(kind)
        return await self.client.patch(resource, name, patch, namespace, type=PatchType.MERGE, subresource=subresource)

    async def evict(self, pod: str, namespace: str = "default") -> None:
        """Raises StatusError (429) if a budget forbids it."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        resource = await self._mapper.for_name("pods")
        await self.client.create(resource, eviction, namespace, subresource="eviction", name=pod)

    # waiting

    async def until(self, check: Callable[[], Awaitable[T | None]], seconds: float = PATIENCE) -> T:
        """The first truthy answer of `check`."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := await check()):
                    await asyncio.sleep(_STEP)
        except TimeoutError:
            raise AssertionError(f"not so after {seconds} s: {check.__doc__ or check.__name__}") from None
        return found

    async def gone(self, kind: str, name: str, namespace: str = "default") -> None:
        async def check() -> bool:
            return await self.get(kind, name, namespace) is None

        check.__doc__ = f"{kind} {namespace}/{name} is gone"
        await self.until(check)

    async def ready(self, pod: str, namespace: str = "default") -> Object:
        async def check() -> Object | None:
            found = await self.get("pods", pod, namespace)
            return found if conditions.is_true(found, "Ready") else None

        check.__doc__ = f"pod {namespace}/{pod} is ready"
        return await self.until(check)

    async def established(self, definition: str) -> None:
        async def check() -> bool:
            found = await self.get("customresourcedefinitions", definition, "")
            return conditions.is_true(found, "Established")

        await self.until(check)

    async def quiet(self) -> int:
        """The revision once nothing has been written for a moment."""
        last = [-1, 0]

        async def check() -> bool:
            now = self.cluster.store.revision
            last[1] = last[1] + 1 if now == last[0] else 0
            last[0] = now
            return last[1] >= 15

        check.__doc__ = "nothing is written any more"
        await self.until(check)
        return last[0]

    # things

    def pod(self, name: str, namespace: str = "default", **fields: Any) -> Object:
        metadata: Object = {"name": name, "namespace": namespace}
        for key in ("labels", "ownerReferences", "finalizers", "annotations"):
            if key in fields:
                metadata[key] = fields.pop(key)
        container = {"name": "main", "image": "example.com/app:1", **fields.pop("container", {})}
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container], **fields}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def config_map(self, name: str, namespace: str = "default", **metadata: Any) -> Object:
        metadata = {"name": name, "namespace": namespace, **metadata}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}

    def owner(self, obj: Object, *, block: bool = False) -> dict[str, Any]:
        return {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": objects.name(obj),
            "uid": objects.uid(obj),
            "blockOwnerDeletion": block,
        }

    def definition(self, plural: str, kind: str, group: str = "example.com", version: str = "v1") -> Object:
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": f"{plural}.{group}",
                "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
            },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": f"{kind}List"},
                "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
            },
        }


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with Cluster(Options(tmp_path, in_memory=True)) as cluster:
        made = Scene(cluster)
        await made.until(_default_account(made))
        yield made


def _default_account(scene: Scene) -> Callable[[], Awaitable[Object | None]]:
    async def check() -> Object | None:
        return await scene.get("serviceaccounts", "default")

    return check
