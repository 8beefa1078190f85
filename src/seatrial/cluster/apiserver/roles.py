"""The RBAC objects in the store, as authorization reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.cluster.store.store import Store
    from seatrial.kube.model.objects import Object

GROUP = "rbac.authorization.k8s.io"


class StoredRoles:
    """`revision` grows when `touched` says that a role or binding was written or removed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.revision = 0

    def touched(self) -> None:
        self.revision += 1

    def roles(self, namespace: str) -> Iterable[Object]:
        return self._all("roles", namespace)

    def cluster_roles(self) -> Iterable[Object]:
        return self._all("clusterroles")

    def role_bindings(self, namespace: str) -> Iterable[Object]:
        return self._all("rolebindings", namespace)

    def cluster_role_bindings(self) -> Iterable[Object]:
        return self._all("clusterrolebindings")

    def _all(self, plural: str, namespace: str | None = None) -> list[Object]:
        return [entry.object for entry in self._store.list(f"{plural}.{GROUP}", namespace)]
