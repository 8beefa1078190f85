"""`status.operationState` in Argo CD's shape: how it begins, what each task adds to it, how it ends.

Everything an operation knows is in there; beside Argo's own fields only `operation.info` is used, for two notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339
from seatrial.gitops.sync.hooks import is_hook
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seatrial.gitops.sync.tasks import Task
    from seatrial.kube.model.objects import Object

RUNNING, TERMINATING = "Running", "Terminating"
SUCCEEDED, FAILED, ERROR = "Succeeded", "Failed", "Error"
COMPLETED = frozenset({SUCCEEDED, FAILED, ERROR})

SYNCED, SYNC_FAILED, PRUNED, PRUNE_SKIPPED = "Synced", "SyncFailed", "Pruned", "PruneSkipped"
PHASE_OF_CODE = {SYNCED: RUNNING, SYNC_FAILED: FAILED, PRUNED: SUCCEEDED, PRUNE_SKIPPED: SUCCEEDED}

INFO_ID = "seatrial.dev/operation"
INFO_FAILURE = "seatrial.dev/failure"
RETRYABLE, TERMINAL = "retryable", "terminal"


def begin(operation: Mapping[str, Any], now: float, id: str, **resolved: Any) -> Object:
    """The state to write before anything is done.

    `id`: unique among the application's operations (its resourceVersion is). `resolved`: what goes into `syncResult`:
    `revision` or `revisions`, `source` or `sources`, `managedNamespaceMetadata`.
    """
    asked = dict(operation)
    kept = [item for item in asked.get("info") or () if item.get("name") not in (INFO_ID, INFO_FAILURE)]
    asked["info"] = [*kept, {"name": INFO_ID, "value": id}]
    return {
        "operation": asked,
        "phase": RUNNING,
        "message": "",
        "startedAt": rfc3339(now),
        "syncResult": {key: value for key, value in resolved.items() if value is not None},
    }


def info(state: Object, name: str) -> str:
    """A note of the operation, "" if there is none."""
    found = (state.get("operation") or {}).get("info") or ()
    return next((item.get("value") or "" for item in found if item.get("name") == name), "")


class Results:
    """The state of an operation, being changed: a copy that is nobody else's."""

    def __init__(self, state: Object) -> None:
        self.state = objects.clone(state)
        self._sync: Object = self.state.setdefault("syncResult", {})
        if not self._sync.get("resources"):
            self._sync["resources"] = []
        self._resources: list[Object] = self._sync["resources"]
        self._by_key = {_key_of(item): item for item in self._resources}

    @property
    def is_empty(self) -> bool:
        return not self._resources

    @property
    def revision(self) -> str:
        many = self._sync.get("revisions") or [""]
        return self._sync.get("revision") or many[0] or ""

    def of(self, task: Task) -> Object:
        """What is known of a task; empty before its turn."""
        found: Object = self._by_key.get(_key(task), {})
        return found

    def phase(self, task: Task) -> str:
        found: str = self.of(task).get("hookPhase") or ""
        return found

    def status(self, task: Task) -> str:
        found: str = self.of(task).get("status") or ""
        return found

    def message(self, task: Task) -> str:
        found: str = self.of(task).get("message") or ""
        return found

    def set(self, task: Task, status: str, phase: str, message: str = "") -> bool:
        """An empty message keeps the last one. Whether anything changed."""
        item = self._by_key.get(_key(task))
        if item is None:
            item = self._by_key[_key(task)] = _item(task)
            self._resources.append(item)
        before = dict(item)
        item.update(hookPhase=phase, message=message or item.get("message") or "")
        if status:
            item["status"] = status
        return before != item

    def arrange(self, tasks: Iterable[Task]) -> None:
        """List these in the order of the plan and not in that of the answers."""
        keys = dict.fromkeys(_key(task) for task in tasks)
        others = [item for item in self._resources if _key_of(item) not in keys]
        self._resources[:] = [*others, *(self._by_key[key] for key in keys if key in self._by_key)]

    def say(self, message: str) -> None:
        self.state["message"] = message

    def finish(self, phase: str, message: str, now: float) -> None:
        self.state.update(phase=phase, message=message, finishedAt=rfc3339(now))

    def note(self, name: str, value: str) -> None:
        operation = self.state.setdefault("operation", {})
        others = [item for item in operation.get("info") or () if item.get("name") != name]
        operation["info"] = [*others, {"name": name, "value": value}]

    def messages(self, tasks: Iterable[Task]) -> list[str]:
        return [self.message(task) for task in tasks]


def _key(task: Task) -> tuple[str, str, str, str, str]:
    return (*task.ref, task.phase)


def _key_of(item: Object) -> tuple[str, str, str, str, str]:
    return (
        item.get("group") or "",
        item.get("kind") or "",
        item.get("namespace") or "",
        item.get("name") or "",
        item.get("syncPhase") or "",
    )


def _item(task: Task) -> Object:
    ref = task.ref
    _, version = objects.split_api_version(task.api_version)
    made: Object = {
        "group": ref.group,
        "version": version,
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "syncPhase": task.phase,
    }
    if is_hook(task.obj):
        made["hookType"] = task.phase
    found = images(task.obj)
    return {**made, "images": found} if found else made


def images(obj: Object) -> list[str]:
    """Of the containers of a pod, a pod template or a job template."""
    spec = obj.get("spec") if isinstance(obj.get("spec"), dict) else {}
    for key in ("jobTemplate", "template"):
        inner = (spec or {}).get(key)
        if isinstance(inner, dict):
            spec = inner.get("spec") if isinstance(inner.get("spec"), dict) else {}
    containers = (spec or {}).get("containers")
    if not isinstance(containers, list):
        return []
    found = (item.get("image") for item in containers if isinstance(item, dict))
    return list(dict.fromkeys(image for image in found if isinstance(image, str)))
