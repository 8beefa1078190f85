"""What makes an Application's spec invalid: each message becomes an InvalidSpecError condition. Pure.

Types are the API server's part (the definitions are strict); here is what a schema cannot say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.api import duration
from seatrial.gitops.api.clusters import UnknownDestination

if TYPE_CHECKING:
    from seatrial.gitops.api.application import Application
    from seatrial.gitops.api.clusters import Cluster, Clusters
    from seatrial.gitops.api.project import Project
    from seatrial.gitops.api.source import Source

INVALID_SPEC = "InvalidSpecError"


def problems(
    application: Application, project: Project | None, clusters: Clusters, *, control_namespace: str
) -> tuple[str, ...]:
    """Everything that is wrong. `project` None: there is no such project."""
    found = [*source_problems(application), *_policy_problems(application)]
    cluster: Cluster | None = None
    try:
        cluster = clusters.resolve(application.destination)
    except UnknownDestination as error:
        found.append(error.message)
    if project is None:
        found.append(
            f"spec.project: there is no project {application.project!r} in namespace {control_namespace!r}: "
            f"create it with `seatrial proj create {application.project}`"
        )
        return tuple(found)
    refused = project.namespace_violation(application.namespace, control_namespace)
    if refused:
        found.append(refused)
    return (*found, *project.violations(application, cluster))


def source_problems(application: Application) -> tuple[str, ...]:
    """Of `spec.source` or `spec.sources`, whatever project and destination are."""
    spec = application.object.get("spec") or {}
    if spec.get("sourceHydrator"):
        return ("spec.sourceHydrator is not supported: give spec.source or spec.sources",)
    sources = application.sources
    if not sources:
        return ("spec.source is missing: expected source or sources with a repoURL",)
    many = application.has_many_sources
    found: list[str] = []
    for number, source in enumerate(sources):
        field = f"spec.sources[{number}]" if many else "spec.source"
        found += _source_problems(field, source, many=many)
    if many:
        found += _reference_problems(sources)
    return tuple(found)


def _source_problems(field: str, source: Source, *, many: bool) -> list[str]:
    if not source.repo_url:
        return [f"{field}.repoURL is missing"]
    found: list[str] = []
    if not source.path and not source.chart and not (many and source.ref):
        expected = "path, chart or ref" if many else "path or chart"
        found.append(f"{field}: expected {expected} beside repoURL (path `.` is the whole repository)")
    if source.chart and source.path:
        found.append(f"{field}: both chart and path are given: leave one of them out")
    if source.chart and not source.target_revision:
        found.append(f"{field}.targetRevision is missing: a chart needs a version or a range such as `1.*`")
    if source.ref and source.chart:
        found.append(f"{field}.ref: a Helm repository cannot be referred to: put the files into a Git repository")
    if source.repo_url.startswith("oci://"):
        found.append(f"{field}.repoURL: OCI registries are not supported")
    if source.spec.get("plugin"):
        found.append(f"{field}.plugin: configuration management plug-ins are not supported")
    explicit = [name for name in ("helm", "kustomize", "directory", "plugin") if source.spec.get(name)]
    if len(explicit) > 1:
        found.append(f"{field}: {' and '.join(explicit)} are given: a source is rendered by one tool only")
    return found


def _reference_problems(sources: tuple[Source, ...]) -> list[str]:
    found: list[str] = []
    named: dict[str, int] = {}
    for number, source in enumerate(sources):
        if not source.ref:
            continue
        if "/" in source.ref:
            found.append(f"spec.sources[{number}].ref: {source.ref!r} may not contain `/`")
        elif source.ref in named:
            found.append(f"spec.sources[{number}].ref: {source.ref!r} is used by sources[{named[source.ref]}] already")
        named.setdefault(source.ref, number)
    for number, source in enumerate(sources):
        for file in (source.helm or {}).get("valueFiles") or ():
            ref = file[1:].partition("/")[0] if file.startswith("$") else ""
            if ref and ref not in named and not ref.startswith(("ARGOCD_", "{")):
                found.append(
                    f"spec.sources[{number}].helm.valueFiles: {file!r} refers to {ref!r}, which no source has as `ref`"
                )
    return found


def _policy_problems(application: Application) -> list[str]:
    backoff = (application.retry or {}).get("backoff") or {}
    found: list[str] = []
    for name in ("duration", "maxDuration"):
        try:
            if backoff.get(name):
                duration.seconds(str(backoff[name]))
        except ValueError as error:
            found.append(f"spec.syncPolicy.retry.backoff.{name}: {error}")
    return found
