"""An AppProject, read: what its Applications may use, and what to say when one uses more.

Every check answers None or a message with the project, the field that refuses and the value. Nothing is looked up
here: whoever asks has resolved the destination to the address and name of a cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.gitops.api import glob, repositoryurl
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.gitops.api.clusters import Cluster
    from seatrial.kube.model.objects import Object


class Project:
    def __init__(self, obj: Object) -> None:
        self.object = obj
        self._spec: dict[str, Any] = obj.get("spec") or {}

    @property
    def name(self) -> str:
        return objects.name(self.object)

    @property
    def source_repositories(self) -> tuple[str, ...]:
        return tuple(self._spec.get("sourceRepos") or ())

    @property
    def destinations(self) -> tuple[dict[str, str], ...]:
        return tuple(self._spec.get("destinations") or ())

    @property
    def permits_only_its_clusters(self) -> bool:
        return bool(self._spec.get("permitOnlyProjectScopedClusters"))

    # checks

    def source_violation(self, url: str) -> str | None:
        """A pattern `!p` admits all but p, and what any `!p` does not admit is refused."""
        wanted, admitted = repositoryurl.normalized(url), False
        for pattern in self.source_repositories:
            if _admits_url(pattern, wanted):
                admitted = True
            elif pattern.startswith(glob.DENY):
                return self._refused("sourceRepos", f"denies repository {repositoryurl.shown(url)} by {pattern!r}")
        if admitted:
            return None
        return self._refused("sourceRepos", f"does not permit repository {repositoryurl.shown(url)}")

    def destination_violation(self, server: str, name: str, namespace: str, *, scoped: bool = False) -> str | None:
        """`scoped`: the cluster's Secret names this project."""
        if not self._reaches(server, name, namespace):
            cluster = name or server
            return self._refused("destinations", f"does not permit namespace {namespace!r} of cluster {cluster!r}")
        if self.permits_only_its_clusters and not scoped:
            return self._refused(
                "permitOnlyProjectScopedClusters", f"does not permit cluster {name or server!r}, which is not its own"
            )
        return None

    def cluster_violation(self, cluster: Cluster, namespace: str) -> str | None:
        return self.destination_violation(
            cluster.server, cluster.name, namespace, scoped=cluster.project == self.name != ""
        )

    def kind_violation(self, group: str, kind: str, name: str, *, namespaced: bool) -> str | None:
        """An absent namespaceResourceWhitelist permits every namespaced kind; an empty one none."""
        scope = "namespace" if namespaced else "cluster"
        shown = f"{kind}.{group}" if group else kind
        denied = self._spec.get(f"{scope}ResourceBlacklist") or ()
        if _listed(denied, group, kind, "" if namespaced else name):
            return self._refused(f"{scope}ResourceBlacklist", f"denies {shown} {name!r}")
        permitted = self._spec.get(f"{scope}ResourceWhitelist")
        if (permitted is None and namespaced) or _listed(permitted or (), group, kind, "" if namespaced else name):
            return None
        return self._refused(f"{scope}ResourceWhitelist", f"does not permit {shown} {name!r}")

    def namespace_violation(self, namespace: str, control_namespace: str) -> str | None:
        """Whether Applications of this project may live in `namespace`."""
        if namespace in ("", control_namespace):
            return None
        if any(glob.matches(pattern, namespace) for pattern in self._spec.get("sourceNamespaces") or ()):
            return None
        return self._refused("sourceNamespaces", f"does not permit Applications in namespace {namespace!r}")

    def violations(self, application: Application, cluster: Cluster | None) -> tuple[str, ...]:
        """Of an Application's sources and destination (None: it is not known; something else says so)."""
        found = [self.source_violation(source.repo_url) for source in application.sources if source.repo_url]
        if cluster is not None:
            found.append(self.cluster_violation(cluster, application.destination.namespace))
        return tuple(message for message in found if message)

    def _reaches(self, server: str, name: str, namespace: str) -> bool:
        """Any entry that fits permits; one that denies this cluster or this namespace overrules them all."""
        permitted = False
        for entry in self.destinations:
            by_server, by_name = entry.get("server") or "", entry.get("name") or ""
            in_namespace = entry.get("namespace") or ""
            server_fits = bool(server) and glob.admits(by_server, server)
            name_fits = bool(name) and glob.admits(by_name, name)
            namespace_fits = glob.admits(in_namespace, namespace)
            if (server_fits or name_fits) and namespace_fits:
                permitted = True
                continue
            denies_cluster = (not server_fits and _denies(by_server)) or (not name_fits and _denies(by_name))
            denies_namespace = not namespace_fits and _denies(in_namespace)
            if (denies_cluster and namespace_fits) or (denies_namespace and (server_fits or name_fits)):
                return False
        return permitted

    def _refused(self, field: str, what: str) -> str:
        return f"project {self.name!r}: spec.{field} {what}"


def _denies(pattern: str) -> bool:
    return pattern.startswith(glob.DENY)


def _admits_url(pattern: str, url: str) -> bool:
    if pattern.startswith(glob.DENY):
        return glob.admits(glob.DENY + repositoryurl.normalized(pattern[1:]), url, "/")
    return glob.admits(repositoryurl.normalized(pattern), url, "/")


def _listed(entries: Sequence[dict[str, str]], group: str, kind: str, name: str) -> bool:
    return any(
        glob.matches(entry.get("group") or "", group)
        and glob.matches(entry.get("kind") or "", kind)
        and (not name or not entry.get("name") or glob.matches(entry["name"], name))
        for entry in entries
    )
