"""Applications as `argocd` prints them. Objects in, lines out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time
from seatrial.cli.printing import field, table
from seatrial.gitops.api import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.gitops.api.source import Source

_LIST_HEADS = ("NAME", "CLUSTER", "NAMESPACE", "PROJECT", "STATUS", "HEALTH", "SYNCPOLICY", "CONDITIONS")
_WIDE_HEADS = ("REPO", "PATH", "TARGET")
_RESOURCE_HEADS = ("GROUP", "KIND", "NAMESPACE", "NAME", "STATUS", "HEALTH", "HOOK", "MESSAGE")
_SHORT = 7
_LONGEST_PARAMETER = 80


@dataclass(frozen=True, slots=True)
class ResourceState:
    group: str
    kind: str
    namespace: str
    name: str
    status: str = ""
    health: str = ""
    hook: str = ""
    message: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.group, self.kind, self.namespace, self.name)

    @property
    def cells(self) -> tuple[str, ...]:
        return (*self.key, self.status, self.health, self.hook, self.message)

    def merged(self, newer: ResourceState) -> ResourceState:
        """What `newer` says, and where it says nothing what was known."""
        told = {name: getattr(newer, name) or getattr(self, name) for name in ("status", "health", "hook", "message")}
        return replace(self, **told)


def qualified_name(application: Application) -> str:
    """As everywhere in Argo CD's output: with the namespace."""
    return f"{application.namespace}/{application.name}" if application.namespace else application.name


def cluster(application: Application) -> str:
    return application.destination.server or application.destination.name


def list_table(applications: Sequence[Application], *, wide: bool) -> list[str]:
    rows = []
    for application in applications:
        row = [
            qualified_name(application), cluster(application), application.destination.namespace, application.project,
            sync_status(application), health(application), _policy(application), _conditions(application),
        ]  # fmt: skip
        if wide:
            source = _first(application)
            row += [source.repo_url, source.path, source.target_revision] if source else ["", "", ""]
        rows.append(row)
    return table(rows, (*_LIST_HEADS, *_WIDE_HEADS) if wide else _LIST_HEADS)


def summary(application: Application) -> list[str]:
    lines = [
        field("Name:", qualified_name(application)),
        field("Project:", application.project),
        field("Server:", cluster(application)),
        field("Namespace:", application.destination.namespace),
        "Sources:" if application.has_many_sources else "Source:",
    ]
    for source in application.sources:
        lines += _source(source)
    automated = application.automated
    policy = "Manual" if automated is None else "Automated (Prune)" if automated.prune else "Automated"
    lines += [
        field("SyncWindow:", "Sync Allowed"),
        field("Sync Policy:", policy),
        field("Sync Status:", _sync_line(application)),
        field("Health Status:", health(application)),
    ]
    if application.status.get("health", {}).get("message"):
        lines.append(field("Health Message:", application.status["health"]["message"]))
    return lines


def _source(source: Source) -> list[str]:
    lines = [field("- Repo:", source.repo_url), field("  Target:", source.target_revision)]
    if source.path:
        lines.append(field("  Path:", source.path))
    if source.chart:
        lines.append(field("  Chart:", source.chart))
    if source.ref:
        lines.append(field("  Ref:", source.ref))
    if values := (source.helm or {}).get("valueFiles"):
        lines.append(field("  Helm Values:", ",".join(values)))
    if prefix := (source.kustomize or {}).get("namePrefix"):
        lines.append(field("  Name Prefix:", prefix))
    return lines


def conditions(application: Application) -> list[str]:
    found = application.status.get("conditions") or ()
    rows = [(item.get("type"), item.get("message"), item.get("lastTransitionTime")) for item in found]
    return table(rows, ("CONDITION", "MESSAGE", "LAST TRANSITION")) if rows else []


def operation(state: dict[str, Any] | None, now: float) -> list[str]:
    if not state:
        return []
    result, lines = state.get("syncResult"), []
    if result is not None:
        revision = ", ".join(result.get("revisions") or ()) or result.get("revision") or ""
        lines += [field("Operation:", "Sync"), field("Sync Revision:", revision)]
    started, finished = state.get("startedAt"), state.get("finishedAt")
    lines += [field("Phase:", state.get("phase")), field("Start:", started), field("Finished:", finished)]
    if started:
        lines.append(
            field("Duration:", duration.shown(int((parse_time(finished) if finished else now) - parse_time(started))))
        )
    if state.get("message"):
        lines.append(field("Message:", state["message"]))
    return lines


def resources(application: Application) -> list[str]:
    states = resource_states(application)
    return table([state.cells for state in states], _RESOURCE_HEADS) if states else []


def resource_states(application: Application) -> list[ResourceState]:
    """Those of the last operation in its order, with what is known of them now; then the others."""
    live = {_key(entry): entry for entry in application.status.get("resources") or ()}
    result = (application.status.get("operationState") or {}).get("syncResult") or {}
    states: list[ResourceState] = []
    told = set()
    for entry in result.get("resources") or ():
        key, hook = _key(entry), entry.get("hookType") or ""
        known = None if hook else live.get(key)
        status, condition = entry.get("hookPhase") or "", entry.get("status") or ""
        if known is not None:
            status, condition = known.get("status") or "", (known.get("health") or {}).get("status") or ""
        told.add(key)
        states.append(ResourceState(*key, status, condition, hook, entry.get("message") or ""))
    states += [
        ResourceState(*key, entry.get("status") or "", (entry.get("health") or {}).get("status") or "")
        for key, entry in sorted(live.items())
        if key not in told
    ]
    return states


def parameters(source: Source) -> list[str]:
    rows = [
        (entry.get("name"), _cut(entry.get("value") or "")) for entry in (source.helm or {}).get("parameters") or ()
    ]
    return table(rows, ("NAME", "VALUE"))


def history(application: Application) -> list[str]:
    """One table for each repository."""
    by_repository: dict[str, list[tuple[object, str, str]]] = {}
    for entry in application.status.get("history") or ():
        many = entry.get("sources") or ()
        revisions = entry.get("revisions") or [""] * len(many) if many else [entry.get("revision") or ""]
        for source, revision in zip(many or [entry.get("source") or {}], revisions, strict=False):
            target = source.get("targetRevision") or ""
            shown = f"{target} ({revision[:_SHORT]})" if len(revision) >= _SHORT else target
            row = (entry.get("id", 0), entry.get("deployedAt") or "", shown)
            by_repository.setdefault(source.get("repoURL") or "", []).append(row)
    lines: list[str] = []
    for repository, rows in by_repository.items():
        lines += [*([""] if lines else []), f"SOURCE  {repository}", *table(rows, ("ID", "DATE", "REVISION"))]
    return lines


def sync_status(application: Application) -> str:
    return (application.status.get("sync") or {}).get("status") or ""


def health(application: Application) -> str:
    return (application.status.get("health") or {}).get("status") or ""


def _sync_line(application: Application) -> str:
    status, source = sync_status(application), _first(application)
    target = source.target_revision if source else ""
    link = {"Synced": " to", "OutOfSync": " from"}.get(status, "")
    revision = (application.status.get("sync") or {}).get("revision") or ""
    line = f"{status}{link} {target}".rstrip() if link else status
    is_commit = len(target) >= _SHORT and all(char in "0123456789abcdef" for char in target)
    return f"{line} ({revision[:_SHORT]})" if len(revision) > _SHORT and not is_commit else line


def _policy(application: Application) -> str:
    automated = application.automated
    return "Manual" if automated is None else "Auto-Prune" if automated.prune else "Auto"


def _conditions(application: Application) -> str:
    counted = Counter(item.get("type") or "" for item in application.status.get("conditions") or ())
    return ",".join(f"{name}({count})" if count > 1 else name for name, count in sorted(counted.items())) or "<none>"


def _first(application: Application) -> Source | None:
    return next(iter(application.sources), None)


def _key(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    return (entry.get("group") or "", entry.get("kind") or "", entry.get("namespace") or "", entry.get("name") or "")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_PARAMETER else f"{text[: _LONGEST_PARAMETER - 3]}..."
