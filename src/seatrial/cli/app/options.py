"""The flags of `app create` and `app set` that describe a spec, and what each of them changes. Pure but for one file.

Every flag is None, or (), if it was not given: only what was given changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seatrial.base.errors import Terminal
from seatrial.cli.argocd import flag, parse_pairs
from seatrial.gitops.api import duration

if TYPE_CHECKING:
    from collections.abc import Callable

_Spec = dict[str, Any]

_TEXTS = {
    "repo": ("repoURL", "URL of the repository."),
    "path": ("path", "Directory in the repository."),
    "helm-chart": ("chart", "Chart of the Helm repository."),
    "revision": ("targetRevision", "Branch, tag, commit, or version of a chart or tag (ranges too)."),
    "ref": ("ref", "Name by which other sources refer to this one's files."),
    "source-name": ("name", "Name of the source."),
    "release-name": ("helm.releaseName", "Name of the Helm release."),
    "helm-version": ("helm.version", "Version of Helm."),
    "helm-namespace": ("helm.namespace", "Namespace given to Helm."),
    "helm-kube-version": ("helm.kubeVersion", "Kubernetes version given to Helm."),
    "nameprefix": ("kustomize.namePrefix", "Kustomize: name prefix."),
    "namesuffix": ("kustomize.nameSuffix", "Kustomize: name suffix."),
    "kustomize-version": ("kustomize.version", "Kustomize: version."),
    "kustomize-namespace": ("kustomize.namespace", "Kustomize: namespace."),
    "kustomize-kube-version": ("kustomize.kubeVersion", "Kustomize: Kubernetes version given to Helm."),
    "directory-include": ("directory.include", "Glob of the files to take."),
    "directory-exclude": ("directory.exclude", "Glob of the files to leave out."),
}
_FLAGS = {
    "ignore-missing-value-files": ("helm.ignoreMissingValueFiles", "Do not mind value files that are missing."),
    "helm-pass-credentials": ("helm.passCredentials", "Send credentials to all hosts."),
    "helm-skip-crds": ("helm.skipCrds", "Leave the chart's CRDs out."),
    "helm-skip-schema-validation": ("helm.skipSchemaValidation", "Do not check values against the chart's schema."),
    "helm-skip-tests": ("helm.skipTests", "Leave the chart's tests out."),
    "directory-recurse": ("directory.recurse", "Take sub-directories too."),
    "ignore-missing-components": ("kustomize.ignoreMissingComponents", "Kustomize: do not mind missing components."),
    "kustomize-label-without-selector": ("kustomize.labelWithoutSelector", "Kustomize: leave selectors alone."),
    "kustomize-label-include-templates": ("kustomize.labelIncludeTemplates", "Kustomize: label templates too."),
    "kustomize-force-common-label": ("kustomize.forceCommonLabels", "Kustomize: overwrite labels."),
    "kustomize-force-common-annotation": ("kustomize.forceCommonAnnotations", "Kustomize: overwrite annotations."),
}
_LISTS = {
    "values": ("helm.valueFiles", "Helm value file."),
    "helm-api-versions": ("helm.apiVersions", "API version given to Helm."),
    "kustomize-api-versions": ("kustomize.apiVersions", "Kustomize: API version given to Helm."),
}
_OTHERS = {
    "helm-set": "Helm value: KEY=VALUE.",
    "helm-set-string": "Helm value taken as text: KEY=VALUE.",
    "helm-set-file": "Helm value from a file of the repository: KEY=PATH.",
    "kustomize-image": "Kustomize image: NAME:TAG or NAME=NEW:TAG.",
    "kustomize-replica": "Kustomize replicas: NAME=COUNT.",
    "kustomize-common-label": "Kustomize label: KEY=VALUE.",
    "kustomize-common-annotation": "Kustomize annotation: KEY=VALUE.",
}
_POLICIES = {"none": False, "manual": False, "automated": True, "automatic": True, "auto": True}


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """They arrive as the keyword arguments that `change_spec` takes."""
    options = [click.option(f"--{name}", help=text) for name, (_, text) in _TEXTS.items()]
    options += [flag(name, text, default=None) for name, (_, text) in _FLAGS.items()]
    options += [
        click.option(f"--{name}", multiple=True, help=f"{text} Repeatable.") for name, (_, text) in _LISTS.items()
    ]
    options += [click.option(f"--{name}", multiple=True, help=f"{text} Repeatable.") for name, text in _OTHERS.items()]
    options += [
        click.option("-p", "--parameter", multiple=True, help="Helm parameter: KEY=VALUE. Repeatable."),
        click.option("--values-literal-file", help="File whose content becomes Helm values.",
                     type=click.Path(exists=True, dir_okay=False)),
        click.option("--dest-server", help="Address of the destination cluster."),
        click.option("--dest-name", help="Name of the destination cluster."),
        click.option("--dest-namespace", help="Namespace for objects without one."),
        click.option("--project", help="Project."),
        click.option("--revision-history-limit", type=click.IntRange(0), help="How many deployments to remember."),
        click.option("--sync-policy", type=click.Choice(list(_POLICIES)), help="Whether to sync unasked."),
        click.option("--sync-option", multiple=True, help="Sync option to add, or with `!` to remove. Repeatable."),
        flag("auto-prune", "Automated sync deletes what is no longer wanted.", default=None),
        flag("self-heal", "Automated sync repairs drift.", default=None),
        flag("allow-empty", "Automated sync may delete everything.", default=None),
        click.option("--sync-retry-limit", type=int, help="Tries after a failed sync; 0: no block, -1: for ever."),
        click.option("--sync-retry-backoff-duration", default="5s", show_default=True, help="First pause."),
        click.option("--sync-retry-backoff-max-duration", default="3m", show_default=True, help="Longest pause."),
        click.option("--sync-retry-backoff-factor", type=int, default=2, show_default=True, help="Its growth."),
        flag("sync-retry-refresh", "Tries again with the newest revision.", default=None),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def change_spec(spec: _Spec, given: dict[str, Any], position: int | None = None) -> bool:
    """Change `spec` in place; whether anything was given. `position` is that of a source, from 1. Raises Terminal."""
    before = repr(spec)
    source = source_at(spec, position)
    _change_source(source, given)
    change_policy_and_destination(spec, given)
    return repr(spec) != before


def change_policy_and_destination(spec: _Spec, given: dict[str, Any]) -> bool:
    """What `change_spec` does, without the source."""
    before = repr(spec)
    _change_destination(spec, given)
    _change_policy(spec, given)
    return repr(spec) != before


def source_at(spec: _Spec, position: int | None) -> _Spec:
    """The source to change: the only one (made if need be), or that at a position. Raises Terminal."""
    many = spec.get("sources")
    if not many:
        if position not in (None, 0, 1, -1):
            raise Terminal(f"--source-position {position}: the Application has one source")
        found: _Spec = spec.setdefault("source", {})
        return found
    if position is None or not 1 <= position <= len(many):
        raise Terminal(f"the Application has {len(many)} sources: name one with --source-position 1..{len(many)}")
    chosen: _Spec = many[position - 1]
    return chosen


def changes_source(given: dict[str, Any]) -> bool:
    """Whether a flag was given that describes a source."""
    named = {*_TEXTS, *_FLAGS, *_LISTS, *_OTHERS, "parameter", "values-literal-file"}
    return any(given.get(name.replace("-", "_")) not in (None, ()) for name in named)


def _change_source(source: _Spec, given: dict[str, Any]) -> None:
    for name, (path, _) in {**_TEXTS, **_FLAGS}.items():
        if (value := given.get(name.replace("-", "_"))) is not None:
            _put(source, path, value)
    for name, (path, _) in _LISTS.items():
        if values := given.get(name.replace("-", "_")):
            _put(source, path, list(values))
    if file := given.get("values_literal_file"):
        with open(file, encoding="utf-8") as opened:
            _put(source, "helm.values", opened.read())
    for text in (*given.get("parameter", ()), *given.get("helm_set", ())):
        _set_parameter(source, "parameters", "value", text)
    for text in given.get("helm_set_string", ()):
        _set_parameter(source, "parameters", "value", text, forceString=True)
    for text in given.get("helm_set_file", ()):
        _set_parameter(source, "fileParameters", "path", text)
    for image in given.get("kustomize_image", ()):
        images = source.setdefault("kustomize", {}).setdefault("images", [])
        images[:] = [other for other in images if image_name(other) != image_name(image)] + [image]
    for name, count in parse_pairs(given.get("kustomize_replica", ()), "--kustomize-replica").items():
        replicas = source.setdefault("kustomize", {}).setdefault("replicas", [])
        replicas[:] = [*(other for other in replicas if other["name"] != name), {"name": name, "count": _count(count)}]
    for option, path in (
        ("kustomize_common_label", "commonLabels"),
        ("kustomize_common_annotation", "commonAnnotations"),
    ):
        if given.get(option):
            _put(source, f"kustomize.{path}", parse_pairs(given[option], f"--{option.replace('_', '-')}"))


def image_name(image: str) -> str:
    """What an image override is for: the part before `=`, or the image without tag and digest."""
    name = image.partition("=")[0].partition("@")[0]
    slash = name.rfind("/")
    colon = name.find(":", slash + 1)
    return name if colon < 0 else name[:colon]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise click.BadParameter(f"{text!r}: expected NAME=COUNT", param_hint="--kustomize-replica")
    return int(text)


def _set_parameter(source: _Spec, field: str, key: str, text: str, **more: bool) -> None:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r}: expected KEY=VALUE", param_hint="--parameter / --helm-set")
    entries = source.setdefault("helm", {}).setdefault(field, [])
    entries[:] = [*(other for other in entries if other["name"] != name), {"name": name, key: value, **more}]


def _put(spec: _Spec, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        spec = spec.setdefault(parent, {})
    spec[last] = value


def _change_destination(spec: _Spec, given: dict[str, Any]) -> None:
    destination = spec.setdefault("destination", {})
    for option, field in (("dest_server", "server"), ("dest_name", "name"), ("dest_namespace", "namespace")):
        if given.get(option) is not None:
            destination[field] = given[option]
            if not given[option]:
                del destination[field]
    if given.get("project") is not None:
        spec["project"] = given["project"]
    if given.get("revision_history_limit") is not None:
        spec["revisionHistoryLimit"] = given["revision_history_limit"]


def _change_policy(spec: _Spec, given: dict[str, Any]) -> None:
    policy: _Spec = dict(spec.get("syncPolicy") or {})
    if given.get("sync_policy") is not None:
        policy.pop("automated", None)
        if _POLICIES[given["sync_policy"]]:
            policy["automated"] = {}
    for option, field in (("auto_prune", "prune"), ("self_heal", "selfHeal"), ("allow_empty", "allowEmpty")):
        if given.get(option) is not None:
            policy["automated"] = {**(policy.get("automated") or _switched_off(policy)), field: given[option]}
    _change_options(policy, given.get("sync_option") or ())
    _change_retry(policy, given)
    if policy:
        spec["syncPolicy"] = policy
    else:
        spec.pop("syncPolicy", None)


def _switched_off(policy: _Spec) -> _Spec:
    """Flags of automated sync do not switch it on."""
    return {} if "automated" in policy else {"enabled": False}


def _change_options(policy: _Spec, asked: tuple[str, ...]) -> None:
    options = list(policy.get("syncOptions") or ())
    for option in asked:
        if option.startswith("!"):
            options = [other for other in options if other != option[1:]]
            continue
        key = option.partition("=")[0]
        options = [*(other for other in options if other.partition("=")[0] != key), option]
    policy.pop("syncOptions", None)
    if options:
        policy["syncOptions"] = options


def _change_retry(policy: _Spec, given: dict[str, Any]) -> None:
    limit = given.get("sync_retry_limit")
    if limit == 0:
        policy.pop("retry", None)
    elif limit is not None:
        policy["retry"] = retry_block(
            limit,
            given["sync_retry_backoff_duration"],
            given["sync_retry_backoff_max_duration"],
            given["sync_retry_backoff_factor"],
        )
    if given.get("sync_retry_refresh") is not None:
        policy["retry"] = {**(policy.get("retry") or {}), "refresh": given["sync_retry_refresh"]}


def retry_block(limit: int, first: str, longest: str, factor: int) -> _Spec:
    """Durations as Argo CD writes them (`3m0s`). Raises click.BadParameter."""
    try:
        shown = duration.shown(duration.seconds(first)), duration.shown(duration.seconds(longest))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return {"limit": limit, "backoff": {"duration": shown[0], "maxDuration": shown[1], "factor": factor}}
