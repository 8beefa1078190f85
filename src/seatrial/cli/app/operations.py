"""What `sync` and `rollback` write as `.operation`, and when they refuse to. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Terminal
from seatrial.gitops.api import glob, names
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.gitops.api.application import Application


def check_free(application: Application) -> None:
    """Raises Terminal if an operation is asked for or running, or if there is nothing left to operate on."""
    if objects.is_deleting(application.object):
        raise Terminal(f"application '{application.name}' is being deleted: nothing can be synced into it")
    state = application.status.get("operationState") or {}
    if application.operation is not None or state.get("phase") in ("Running", "Terminating"):
        raise Terminal(
            f"application '{application.name}': another operation is in progress: wait for it with "
            f"`seatrial app wait {application.name} --operation`, or stop it with `seatrial app terminate-op`"
        )


def check_revision(application: Application, revisions: Sequence[str]) -> None:
    """With automated sync the next pass would undo it. Raises Terminal."""
    if application.automated is None:
        return
    targets = [source.target_revision for source in application.sources]
    for revision in revisions:
        if revision and revision not in targets:
            raise Terminal(
                f"application '{application.name}': cannot sync to {revision}: automated sync is on and follows "
                f"{targets[0] or 'HEAD'}. Switch it off with `seatrial app set {application.name} --sync-policy none`"
            )


def check_local(application: Application, *, dry_run: bool) -> None:
    """With automated sync Git would win again at once. Raises Terminal."""
    if application.automated is not None and not dry_run:
        raise Terminal(
            f"application '{application.name}': cannot sync local manifests while automated sync is on: add --dry-run, "
            f"or switch it off with `seatrial app set {application.name} --sync-policy none`"
        )


def parse_resources(texts: Sequence[str]) -> list[dict[str, Any]]:
    """`GROUP:KIND:NAME` or `GROUP:KIND:NAMESPACE/NAME`; a leading `!` excludes. Raises Terminal."""
    found = []
    for text in texts:
        parts = text.removeprefix("!").split(":")
        if len(parts) != 3 or parts[2].count("/") > 1:
            raise Terminal(f"--resource {text!r}: expected GROUP:KIND:NAME or GROUP:KIND:NAMESPACE/NAME")
        namespace, _, name = parts[2].rpartition("/")
        entry = {"group": parts[0], "kind": parts[1], "namespace": namespace, "name": name}
        found.append({**entry, "exclude": text.startswith("!")})
    return found


def is_selected(selection: Sequence[dict[str, Any]], group: str, kind: str, namespace: str, name: str) -> bool:
    """Any exclusion refuses; with exclusions only, the rest is selected."""
    included, only_exclusions = False, True
    for entry in selection:
        fits = (
            _fits(entry["group"], group)
            and _fits(entry["kind"], kind)
            and _fits(entry["name"], name)
            and (not entry["namespace"] or _fits(entry["namespace"], namespace))
        )
        if entry["exclude"]:
            if fits:
                return False
            continue
        only_exclusions = False
        included = included or fits
    return included or only_exclusions


def selected(
    application: Application, selection: Sequence[dict[str, Any]], asked: Sequence[str]
) -> list[dict[str, str]]:
    """The Application's resources that are selected, as an operation names them. Raises Terminal if none is."""
    if not selection:
        return []
    found = []
    for entry in application.status.get("resources") or ():
        key = {part: entry.get(part) or "" for part in ("group", "kind", "namespace", "name")}
        if is_selected(selection, key["group"], key["kind"], key["namespace"], key["name"]):
            found.append({part: value for part, value in key.items() if value or part in ("kind", "name")})
    if not found:
        raise Terminal(f"no resource of application '{application.name}' matches {', '.join(asked)}")
    return found


def sync(
    application: Application,
    *,
    user: str,
    revision: str = "",
    revisions: Sequence[str] = (),
    positions: Sequence[int] = (),
    resources: Sequence[dict[str, str]] = (),
    prune: bool = False,
    dry_run: bool = False,
    strategy: str = "hook",
    force: bool = False,
    options: Sequence[str] = (),
    retry: dict[str, Any] | None = None,
    infos: dict[str, str] | None = None,
    manifests: Sequence[str] = (),
) -> dict[str, Any]:
    """`manifests`: JSON, in place of what Git says."""
    asked: dict[str, Any] = {"syncStrategy": {strategy: {"force": True} if force else {}}}
    if revision:
        asked["revision"] = revision
    if revisions:
        asked["revisions"] = _by_position(application, revisions, positions)
    asked |= {key: True for key, wanted in (("prune", prune), ("dryRun", dry_run)) if wanted}
    if resources:
        asked["resources"] = list(resources)
    if manifests:
        asked["manifests"] = list(manifests)
    if merged := _options(application, options):
        asked["syncOptions"] = merged
    operation: dict[str, Any] = {"initiatedBy": {"username": user}, "sync": asked}
    if found := (retry if retry is not None else application.retry):
        operation["retry"] = found
    if infos:
        operation["info"] = [{"name": name, "value": value} for name, value in infos.items()]
    return operation


def rollback(application: Application, entry: dict[str, Any], *, user: str, prune: bool) -> dict[str, Any]:
    """The deployment `entry` of the history again; `info` carries its id, for the manifests kept under it."""
    asked: dict[str, Any] = {"syncStrategy": {"apply": {}}}
    for key in ("revision", "revisions", "source", "sources"):
        if entry.get(key):
            asked[key] = entry[key]
    if prune:
        asked["prune"] = True
    if options := _options(application, ()):
        asked["syncOptions"] = options
    info = [{"name": names.ROLLBACK, "value": str(entry.get("id", 0))}]
    return {"initiatedBy": {"username": user}, "info": info, "sync": asked}


def history_entry(application: Application, wanted: int | None) -> dict[str, Any]:
    """By id; None is the one before the last. Raises Terminal."""
    entries = application.status.get("history") or []
    if wanted is None:
        if len(entries) < 2:
            raise Terminal(
                f"application '{application.name}' has {len(entries)} successful deployment(s): expected two"
            )
        before: dict[str, Any] = entries[-2]
        return before
    for entry in entries:
        if entry.get("id", 0) == wanted:
            found: dict[str, Any] = entry
            return found
    known = ", ".join(str(entry.get("id", 0)) for entry in entries) or "none"
    raise Terminal(f"application '{application.name}' has no deployment {wanted} in its history (it has: {known})")


def left_revision(application: Application) -> str:
    """What a rollback turns away from: the newest revision that automated sync would go back to."""
    status = application.status.get("sync") or {}
    newest: dict[str, Any] = (application.status.get("history") or [{}])[-1]
    many = status.get("revisions") or newest.get("revisions")
    return ",".join(many) if many else status.get("revision") or newest.get("revision") or ""


def _by_position(application: Application, revisions: Sequence[str], positions: Sequence[int]) -> list[str]:
    """For every source: the one given for its position, else its target."""
    sources = application.sources
    if len(revisions) != len(positions):
        raise Terminal("--revisions and --source-positions (or --source-names) must be given equally often")
    targets = [source.target_revision for source in sources]
    for revision, position in zip(revisions, positions, strict=True):
        if not 1 <= position <= len(sources):
            raise Terminal(f"--source-positions {position}: the Application has {len(sources)} source(s)")
        targets[position - 1] = revision
    return targets


def _options(application: Application, more: Sequence[str]) -> list[str]:
    """The Application's own with `more` over them."""
    keys = {option.partition("=")[0] for option in more}
    return [*(option for option in application.sync_options if option.partition("=")[0] not in keys), *more]


def _fits(pattern: str, text: str) -> bool:
    return pattern == text or ("*" in pattern and glob.matches(pattern, text))
