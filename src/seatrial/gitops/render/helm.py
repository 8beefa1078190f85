"""A Helm source: the chart, its values in Argo CD's order, and what the cluster is said to be -> a job for a worker."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.gitops.render import valuefiles
from seatrial.gitops.render.documents import Named
from seatrial.gitops.render.job import Helm, Parameter
from seatrial.gitops.render.request import RenderFailed
from seatrial.gitops.sources.helm import archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seatrial.gitops.render.environment import Environment
    from seatrial.gitops.render.reading import Reading
    from seatrial.gitops.render.request import Request
    from seatrial.gitops.render.sourcetype import Settled
    from seatrial.gitops.render.unsealing import Unsealing
    from seatrial.gitops.sources.helm.dependencies import Dependency

_LARGEST_VALUES = 10 << 20
_SCHEMA = "values.schema.json"


def job(
    settled: Settled,
    request: Request,
    reading: Reading,
    environment: Environment,
    unsealing: Unsealing,
    dependencies: Iterable[Dependency],
    binary: str,
) -> Helm:
    """Raises RenderFailed, SourceRefused."""
    settings = settled.settings
    chart = _chart(settled, reading, dependencies)
    if settings.get("skipSchemaValidation"):
        chart = _without_schemas(chart)
    values = _values(settings, settled.path, reading, environment, unsealing)
    if not (settings.get("kubeVersion") and settings.get("apiVersions")) and _asks_for_the_cluster(chart, values):
        reading.uses_cluster()
    return Helm(
        chart=tuple(chart),
        values=tuple(values),
        parameters=tuple(_parameters(settings.get("parameters") or (), environment)),
        file_parameters=tuple(
            _file_parameters(settings.get("fileParameters") or (), settled.path, reading, environment, unsealing)
        ),
        release=settings.get("releaseName") or request.application,
        namespace=settings.get("namespace") or request.namespace,
        kube_version=settings.get("kubeVersion") or request.kube_version,
        api_versions=tuple(settings.get("apiVersions") or request.api_versions),
        skip_crds=bool(settings.get("skipCrds")),
        skip_tests=bool(settings.get("skipTests")),
        binary=binary,
    )


def names_dependencies(settled: Settled, reading: Reading) -> bool:
    """Whether the chart says it has any, wherever they are."""
    for name in ("Chart.yaml", "requirements.yaml"):
        place = posixpath.join(settled.path, name)
        if reading.files.entry(place) is not None and b"dependencies" in reading.files.read(place):
            return True
    return False


def _chart(settled: Settled, reading: Reading, dependencies: Iterable[Dependency]) -> list[tuple[str, bytes]]:
    place = posixpath.join(settled.path, "Chart.yaml")
    if reading.files.entry(place) is None:
        raise RenderFailed(f"{place} does not exist at {reading.files.revision[:10]}: expected a Helm chart")
    chart = list(reading.files.everything(settled.path))
    for dependency in dependencies:
        if dependency.archive:
            chart.append((f"charts/{dependency.file}", dependency.archive))
        else:
            local = reading.files.everything(dependency.path)
            chart += [(f"charts/{dependency.name}/{path}", content) for path, content in local]
    return chart


def _without_schemas(chart: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """`skipSchemaValidation`: a chart without a schema is not validated. Archived subcharts are unpacked for it."""
    found: list[tuple[str, bytes]] = []
    for path, content in chart:
        if _is_archive(path):
            inside = archive.unpacked(content, path)
            folder = path.removesuffix(".tgz")
            found += _without_schemas([(f"{folder}/{name}", file) for name, file in inside.items()])
        elif posixpath.basename(path) != _SCHEMA or "/templates/" in f"/{path}":
            found.append((path, content))
    return found


def _is_archive(path: str) -> bool:
    return path.endswith(".tgz") and posixpath.basename(posixpath.dirname(path)) == "charts"


def _values(
    settings: Mapping[str, Any], path: str, reading: Reading, environment: Environment, unsealing: Unsealing
) -> list[Named]:
    found: list[Named] = []
    size = 0
    names = settings.get("valueFiles") or ()
    ignore = bool(settings.get("ignoreMissingValueFiles"))
    for place in valuefiles.places(names, path, reading, environment, ignore_missing=ignore):
        content = place.files.read(place.path)
        size += len(content)
        if size > _LARGEST_VALUES:
            raise RenderFailed(f"valueFiles: more than {_LARGEST_VALUES >> 20} MiB together")
        found.append(Named(place.shown, unsealing(content, place.path)))
    inline = settings.get("valuesObject")
    if inline:
        found.append(Named("valuesObject", orjson.dumps(inline)))
    elif inline is None and settings.get("values"):
        found.append(Named("values", str(settings["values"]).encode()))
    return found


def _parameters(written: Sequence[Mapping[str, Any]], environment: Environment) -> Iterable[Parameter]:
    """Of two with one name the last counts."""
    found: dict[tuple[bool, str], Parameter] = {}
    for entry in written:
        name, is_text = str(entry.get("name") or ""), bool(entry.get("forceString"))
        found.pop((is_text, name), None)
        found[is_text, name] = Parameter(name, environment.substituted(_text(entry.get("value"))), is_text)
    return found.values()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _file_parameters(
    written: Sequence[Mapping[str, Any]],
    path: str,
    reading: Reading,
    environment: Environment,
    unsealing: Unsealing,
) -> Iterable[Named]:
    for entry in written:
        place = valuefiles.place(str(entry.get("path") or ""), path, reading, environment, "fileParameters")
        found = place.files.entry(place.path)
        if found is None or found.kind != "file":
            raise RenderFailed(f"fileParameters: {place.shown!r} does not exist at {place.files.revision[:10]}")
        yield Named(str(entry.get("name") or ""), unsealing(place.files.read(place.path), place.path))


def _asks_for_the_cluster(chart: list[tuple[str, bytes]], values: list[Named]) -> bool:
    """A chart that never says so renders the same whatever version the cluster has. An archive might."""
    return any(
        b"Capabilities" in content
        or path.endswith(".tgz")
        or (path.endswith("Chart.yaml") and b"kubeVersion" in content)
        for path, content in (*chart, *values)
    )
