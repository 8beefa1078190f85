"""One chart rendered by Helm, in the worker: by the library in this process, or by a `helm` binary where there is none.

The chart is written into a directory of the worker's own, in memory where the system has such a place: so Helm itself
decides what .helmignore means. A loaded chart is used once: rendering drops what its values disable from it.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.gitops.render import documents, helmvalues
from seatrial.gitops.render.documents import BadDocument, Named
from seatrial.gitops.render.job import JobFailed
from seatrial.gitops.render.scratch import write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.gitops.render.job import Helm

_HOOKS = frozenset(
    f"{when}-{what}" for when in ("pre", "post") for what in ("install", "delete", "upgrade", "rollback")
) | {"test", "test-success"}  # fmt: skip
_TESTS = frozenset(("test", "test-success"))
_HOOK = "helm.sh/hook"
_LARGEST_OUTPUT = 64 << 20
_LONG_NUMBER = re.compile(rb"[0-9_]{16}")
_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_SAYS_SOMETHING = re.compile(r"^\s*[^\s#]", re.MULTILINE)
_EXACT = "templates/" + "seatrial/" * 24 + "exact.yaml"
"""Deeper than anybody's: the deepest templates are executed first."""


def run(job: Helm, directory: Path) -> list[dict[str, Any]]:
    """Raises JobFailed. `directory` is empty, and is emptied by the caller."""
    try:
        return _by_binary(job, directory) if job.binary else _by_library(job, directory)
    except JobFailed as error:
        raise JobFailed(str(error).replace(f"{directory}/", "").replace(str(directory), ".")) from None


def _by_library(job: Helm, directory: Path) -> list[dict[str, Any]]:
    import helm_python

    values, integers = helmvalues.merged(job, helm_python)
    chart = directory / "chart"
    write_tree(chart, job.chart)
    if integers:
        write_tree(chart, ((_EXACT, helmvalues.exact(integers)),))
    try:
        helm_python.validate_release_name(job.release)
        with helm_python.Chart.load(chart) as loaded:
            _check(loaded, job)
            rendered = _rendered(loaded, values, job)
            crds = loaded.crds if not job.skip_crds and _may_have_crds(job) else []
    except helm_python.HelmError as error:
        raise JobFailed(error.detail) from None
    return _objects(rendered, crds, job)


def _check(chart: Any, job: Helm) -> None:
    """What `helm template` asks before it renders."""
    metadata = chart.metadata
    if metadata.get("type") == "library":
        raise JobFailed(f"chart {metadata.get('name')}: library charts are not installable")
    declared = {entry.get("name") for entry in metadata.get("dependencies") or ()}
    missing = sorted(declared - {entry.get("name") for entry in chart.dependencies}) if declared else ()
    if missing:
        raise JobFailed(
            f"chart {metadata.get('name')}: found in Chart.yaml, but missing in charts/ directory: {', '.join(missing)}"
        )
    wanted = metadata.get("kubeVersion")
    if wanted and not _fits(job.kube_version, wanted):
        raise JobFailed(
            f"chart requires kubeVersion: {wanted} which is incompatible with Kubernetes v{job.kube_version}"
        )


def _fits(version: str, wanted: str) -> bool:
    from seatrial.gitops.sources import semver

    found = semver.parsed(version.removeprefix("v"))
    try:
        return found is not None and semver.Range(wanted).matches(found)
    except ValueError:
        return False


def _rendered(chart: Any, values: dict[str, Any], job: Helm) -> dict[str, str]:
    """By the library's own options: its Python face does not have those for the cluster's versions."""
    from helm_python import _native

    options = {
        "name": job.release,
        "namespace": job.namespace or "default",
        "kube_version": job.kube_version,
        "api_versions": list(job.api_versions),
    }
    text = _native.call_string(
        "helm_render", chart._raw(), orjson.dumps(values).decode(), orjson.dumps(options).decode()
    )
    if len(text) > _LARGEST_OUTPUT:
        raise JobFailed(f"the chart renders to more than {_LARGEST_OUTPUT >> 20} MiB")
    found: dict[str, str] = orjson.loads(text)
    return found


def _objects(rendered: dict[str, str], crds: list[dict[str, str]], job: Helm) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    files = [Named(crd.get("filename") or crd["name"], crd["data"].encode()) for crd in crds]
    files += [
        Named(path, text.encode())
        for path, text in sorted(rendered.items())
        if text.strip() and not path.endswith("NOTES.txt") and not path.rpartition("/")[2].startswith("_")
    ]
    for number, file in enumerate(files):
        try:
            objects = _quickly_read(file) or documents.objects([file], strict=False)
        except BadDocument as error:
            raise JobFailed(f"{error}\n{_excerpt(file, str(error))}".rstrip()) from None
        found += objects if number < len(crds) else [obj for obj in objects if _is_wanted(obj, job.skip_tests)]
    return found


def _may_have_crds(job: Helm) -> bool:
    return any("crds/" in path or path.endswith(".tgz") for path, _ in job.chart)


def _quickly_read(file: Named) -> list[dict[str, Any]]:
    """By Helm's own YAML reader, which is ten times as fast; [] where `documents` has to look: at errors, at numbers
    that a float does not hold, at lists."""
    from helm_python import HelmError, _native

    found: list[dict[str, Any]] = []
    if _LONG_NUMBER.search(file.content):
        return []
    for part in _SEPARATOR.split(file.content.decode()):
        if not _SAYS_SOMETHING.search(part):
            continue
        try:
            obj = orjson.loads(_native.call_string("helm_values_from_yaml", part))
        except (HelmError, orjson.JSONDecodeError):
            return []
        if not (isinstance(obj, dict) and _is_text(obj.get("apiVersion")) and _is_text(obj.get("kind"))):
            return []
        if obj["kind"].endswith("List"):
            return []
        found.append(obj)
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_wanted(obj: dict[str, Any], skip_tests: bool) -> bool:
    metadata = obj.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    written = annotations.get(_HOOK) if isinstance(annotations, dict) else None
    if written is None:
        return True
    hooks = {part.strip().lower() for part in str(written).split(",")}
    return hooks <= _HOOKS and not (skip_tests and hooks & _TESTS)


def _excerpt(file: Named, message: str) -> str:
    """The line that is wrong: a chart's output is nowhere else to be seen."""
    match = re.search(r"line (\d+)", message)
    lines = file.content.decode(errors="replace").splitlines()
    number = int(match.group(1)) if match else 0
    return f"  {number}: {lines[number - 1][:200]}" if 0 < number <= len(lines) else ""


def _by_binary(job: Helm, directory: Path) -> list[dict[str, Any]]:
    write_tree(directory / "chart", job.chart)
    home = directory / "home"
    home.mkdir()
    arguments = [job.binary, "template", job.release, "chart", "--kube-version", job.kube_version]
    arguments += ["--namespace", job.namespace or "default"]
    for number, file in enumerate(job.values):
        write_tree(directory, ((f"values/{number}.yaml", file.content),))
        arguments += ["--values", f"values/{number}.yaml"]
    for parameter in job.parameters:
        flag = "--set-string" if parameter.is_text else "--set"
        arguments += [flag, f"{parameter.name}={helmvalues.escaped(parameter.value)}"]
    for number, file in enumerate(job.file_parameters):
        write_tree(directory, ((f"files/{number}", file.content),))
        arguments += ["--set-file", f"{file.file}=files/{number}"]
    for version in job.api_versions:
        arguments += ["--api-versions", version]
    arguments += [] if job.skip_crds else ["--include-crds"]
    arguments += ["--skip-tests"] if job.skip_tests else []
    done = subprocess.run(
        arguments, cwd=directory, capture_output=True, check=False, stdin=subprocess.DEVNULL, env=_environment(home)
    )
    if done.returncode:
        raise JobFailed(done.stderr.decode(errors="replace").strip().removeprefix("Error: ")[:4000])
    try:
        return documents.objects([Named("helm template", done.stdout)], strict=False)
    except BadDocument as error:
        raise JobFailed(str(error)) from None


def _environment(home: Path) -> dict[str, str]:
    """Nothing of the user's: no plug-ins, repositories, kubeconfig or proxies."""
    names = ("HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_PLUGINS", "TMPDIR")
    return {**dict.fromkeys(names, str(home)), "PATH": "/nonexistent", "KUBECONFIG": "/nonexistent"}
