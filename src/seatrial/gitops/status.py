"""`status` of an Application in Argo CD's shape (3.x), and the smallest patch that brings it there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.kube.model.objects import Object

COMPARISON_ERROR = "ComparisonError"
SYNC_ERROR = "SyncError"
DELETION_ERROR = "DeletionError"
OURS = frozenset(
    {
        COMPARISON_ERROR,
        SYNC_ERROR,
        DELETION_ERROR,
        "InvalidSpecError",
        "UnknownError",
        "SharedResourceWarning",
        "RepeatedResourceWarning",
        "ExcludedResourceWarning",
        "OrphanedResourceWarning",
        "SettingsWarning",
    }
)
"""Condition types that the engine decides on; any other in the list is somebody else's."""
_LONGEST_MESSAGE = 4096


def compared_to(app: Application) -> dict[str, Any]:
    """What a comparison was made with; another spec needs another comparison."""
    spec = app.object.get("spec") or {}
    found: dict[str, Any] = {"destination": spec.get("destination") or {}}
    if app.has_many_sources:
        found["sources"] = spec["sources"]
    elif spec.get("source"):
        found["source"] = spec["source"]
    if app.ignore_differences:
        found["ignoreDifferences"] = app.ignore_differences
    return found


def sync_of(app: Application, status: str, revisions: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"status": status, "comparedTo": compared_to(app)}
    return found | revision_fields(app, revisions)


def revision_fields(app: Application, revisions: Sequence[str]) -> dict[str, Any]:
    """`revision`, or `revisions` of an Application with several sources."""
    if app.has_many_sources:
        return {"revisions": list(revisions)}
    return {"revision": revisions[0]} if revisions else {}


def health_of(status: str, message: str, before: Mapping[str, Any], now: str) -> dict[str, Any]:
    """The time of the last transition stays while the word does."""
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    found = {"status": status, "lastTransitionTime": since or now}
    return found | ({"message": message} if message else {})


def conditions_of(
    before: Iterable[Mapping[str, Any]], found: Iterable[tuple[str, str]], now: str
) -> list[dict[str, Any]]:
    """`found`: (type, message). A condition that says what it said keeps its time; ours that hold no more go."""
    known = {(c.get("type"), c.get("message")): c for c in before}
    made = [dict(condition) for condition in known.values() if condition.get("type") not in OURS]
    for kind, text in dict.fromkeys(found):
        message = text[:_LONGEST_MESSAGE]
        old = known.get((kind, message))
        made.append(
            {"type": kind, "message": message, "lastTransitionTime": (old or {}).get("lastTransitionTime") or now}
        )
    return sorted(made, key=lambda condition: (condition.get("type") or "", condition.get("message") or ""))


def summary_of(live: Iterable[Object], images: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if listed := sorted(set(images)):
        found["images"] = listed
    if urls := sorted({url for obj in live for url in _urls(obj)}):
        found["externalURLs"] = urls
    return found


def _urls(obj: Object) -> list[str]:
    """Where an Ingress can be reached: its hosts and paths, once a proxy serves it."""
    annotated = objects.annotations(obj).get("link.argocd.argoproj.io/external-link")
    found = [annotated] if annotated else []
    if obj.get("kind") != "Ingress" or not ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        return found
    spec = obj.get("spec") or {}
    secure = {host for entry in spec.get("tls") or () for host in entry.get("hosts") or ()}
    for rule in spec.get("rules") or ():
        host = rule.get("host")
        if not host:
            continue
        scheme = "https" if host in secure else "http"
        paths = [path.get("path") or "" for path in (rule.get("http") or {}).get("paths") or ()] or [""]
        found += [f"{scheme}://{host}{'' if path == '/' else path}" for path in paths]
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch of the fields that differ: those that are gone are null, maps inside are patched in turn."""
    patch: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        old = before.get(key)
        if old == value:
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            patch[key] = changes(old, value)
        else:
            patch[key] = value
    return patch
