"""One pass over one Application: evaluate, go on with what runs, decide, act, write what changed.

Two calls of the API frame a sync: one says what is about to be done, one what came of it. Everything between is
derived anew in each pass, so a pass may end anywhere.
"""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339
from seatrial.base.errors import Retryable, SeatrialError
from seatrial.gitops import plaintext
from seatrial.gitops import status as statuses
from seatrial.gitops.api import names
from seatrial.gitops.api.application import Application, Retry
from seatrial.gitops.api.resources import APPLICATIONS
from seatrial.gitops.evaluation import Evaluation, Evaluator, Memory
from seatrial.gitops.history import entries, rollback
from seatrial.gitops.live import ASK_AGAIN_SECONDS
from seatrial.gitops.operations import Operations, Running
from seatrial.gitops.sync import decide, deletion, results
from seatrial.gitops.sync.fights import Fights
from seatrial.kube.client.client import PatchType
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.base.clock import Clock
    from seatrial.gitops.health.checks import Checks
    from seatrial.gitops.history.records import Records
    from seatrial.gitops.sync.decide import Decision
    from seatrial.gitops.sync.deletion import Deletion
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.events import EventRecorder
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

_OURS = "argocd.argoproj.io"
"""In the names of finalizers that are for this controller."""
_NOTE_SECONDS = 60.0
"""Over which Applications spread the news that a commit did not touch them."""
_UNKNOWN_SECONDS = 5.0
"""Before another try where something could not be asked."""


@dataclass(slots=True)
class _Known:
    """Of one Application, in memory: lost without harm at a restart."""

    memory: Memory = field(default_factory=Memory)
    latest: Object | None = None
    """The object as our last write left it: the watch may be behind."""
    running: Running | None = None
    deletion: Deletion | None = None
    fights: Fights = field(default_factory=Fights)
    note_due: float | None = None
    synced_digest: str = ""
    """Of the manifests of the last sync."""


class ApplicationController:
    def __init__(
        self, client: Client, clock: Clock, applications: Informer, evaluator: Evaluator, records: Records,
        recorder: EventRecorder, *, namespace: str, checks: Checks, wave_delay: float = 2.0, workers: int = 20,
    ) -> None:  # fmt: skip
        self._client = client
        self._clock = clock
        self._applications = applications
        self._evaluator = evaluator
        self._records = records
        self._recorder = recorder
        self._namespace = namespace
        self._known: dict[Key, _Known] = {}
        self.checks = checks
        self.operations = Operations(evaluator, records, clock, wave_delay, checks)
        self.controller = Controller("applications", self._reconcile, clock=clock, workers=workers)
        self.controller.watches(applications)

    def touch(self, instance: str) -> None:
        """Something of this Application changed."""
        namespace, _, name = instance.rpartition("_")
        self.controller.enqueue((namespace or self._namespace, name))

    def touch_all(self) -> None:
        for obj in self._applications.list():
            self.controller.enqueue((objects.namespace(obj), objects.name(obj)))

    def use(self, checks: Checks) -> None:
        """The settings changed."""
        self.checks = self.operations.checks = checks
        self.touch_all()

    async def _reconcile(self, key: Key) -> Outcome:
        obj = self._applications.get(*key)
        if obj is None:
            self._known.pop(key, None)
            return DONE
        known = self._known.setdefault(key, _Known())
        app = Application(_newest(obj, known.latest))
        if objects.annotations(app.object).get(names.SKIP_RECONCILE) == "true":
            return DONE
        if objects.is_deleting(app.object):
            return await self._delete(app, known)
        return await self._pass(app, known)

    async def _pass(self, app: Application, known: _Known) -> Outcome:
        running = await self._resume(app, known)
        find = running.operation.sight.get if running is not None else None
        found = await self._evaluator.evaluate(
            app, known.memory, self.checks, self._namespace, refresh=app.refresh, find=find
        )
        if running is not None:
            return await self._go_on(app, known, running, found)
        if app.operation is not None:
            return await self._begin(app, known, found, app.operation)
        decision = self._decide(app, known, found)
        if decision.operation is not None:
            if decision.healing:
                self._note_repairs(known, found, decision)
            return await self._begin(app, known, found, decision.operation, decision.condition)
        return await self._settle(app, known, found, decision)

    # what runs

    async def _resume(self, app: Application, known: _Known) -> Running | None:
        """The operation that is under way, also one that another process began."""
        state = app.status.get("operationState") or {}
        if state.get("phase") in (results.RUNNING, results.TERMINATING):
            if known.running is None:
                known.running = await self.operations.resume(app, state)
            if state["phase"] == results.TERMINATING:
                known.running.operation.terminate()
        else:
            known.running = None
        return known.running

    async def _begin(
        self, app: Application, known: _Known, found: Evaluation, operation: Object, condition: str = ""
    ) -> Outcome:
        """Say what is about to be done; the next pass does it."""
        known.running = await self.operations.begin(app, operation, found)
        state = known.running.operation.state
        await self._write(app, known, found, state=state, condition=condition, operation=operation)
        return Outcome(requeue_after=0.0)

    async def _go_on(self, app: Application, known: _Known, running: Running, found: Evaluation) -> Outcome:
        operation = running.operation
        if (wait := operation.retry_due_in()) is not None and wait <= 0:
            await self.operations.supersede(app, running, found)
        await self.operations.use(app, running, found)
        progress = await operation.advance()
        if not progress.done:
            await self._write(app, known, found, state=progress.state)
            return Outcome(requeue_after=progress.requeue_after)
        known.running = None
        if running.digest:
            known.synced_digest = running.digest
        after = await self._evaluator.evaluate(
            app, known.memory, self.checks, self._namespace, find=operation.sight.get
        )
        await self._finish(app, known, after, running, progress.state)
        return Outcome(requeue_after=self._again(after))

    async def _finish(
        self, app: Application, known: _Known, found: Evaluation, running: Running, state: Object
    ) -> None:
        history: list[Object] = app.status.get("history") or []
        if entries.is_recorded(state):
            number = entries.next_id(history)
            history = entries.appended(history, state, app.history_limit)
            await self._records.record(app, number, running.manifests)
        if state["phase"] != results.SUCCEEDED:  # a success is in the status and the history: no call more for it
            message = plaintext.struck(f"{state['phase']}: {state.get('message') or ''}", _secrets(known, found))
            self._recorder.event(app.object, "Warning", "OperationCompleted", message)
        log.info("sync ended", extra={"application": app.name, "phase": state["phase"]})
        await self._write(app, known, found, state=state, history=history, operation={})

    # what is to be done

    def _decide(self, app: Application, known: _Known, found: Evaluation) -> Decision:
        if found.targets is None or found.problem:
            return decide.Decision("nothing is known to sync to")
        now = self._clock.time()
        spec = app.object.get("spec") or {}
        situation = decide.Situation(
            automated=app.automated,
            status=found.comparison.status,
            revisions=found.targets.revisions,
            sources=spec.get("sources") or spec.get("source"),
            resources=[
                decide.Found(
                    item.pair.ref,
                    item.status or "Synced",
                    requires_pruning=item.requires_pruning,
                    hook=item.status is None,
                )
                for item in found.comparison.resources
            ],
            now=now,
            last=app.status.get("operationState"),
            operation_pending=False,
            deleting=objects.is_deleting(app.object),
            inputs_changed=not known.synced_digest or known.synced_digest != found.targets.digest,
            skipped=rollback.skipped(app),
            fights=known.fights.going_on(now),
            sync_options=app.sync_options,
            retry=app.retry,
            healing=_healing(app),
        )
        return decide.decide(situation)

    def _note_repairs(self, known: _Known, found: Evaluation, decision: Decision) -> None:
        for item in found.comparison.resources:
            if item.pair.ref in decision.healing and item.difference is not None and item.pair.live is not None:
                fields = _differing(item.difference.live, item.difference.predicted)
                known.fights.repaired(item.pair.ref, fields, item.pair.live, self._clock.time())

    async def _settle(self, app: Application, known: _Known, found: Evaluation, decision: Decision) -> Outcome:
        """Nothing to do: say how it is. That a commit touched nothing of ours is said when there is time for it."""
        now = self._clock.monotonic()
        changed = self._changes(app, known, found, condition=decision.condition)
        waits = [decision.after, self._again(found)]
        if _is_note(changed) and not app.refresh:
            if known.note_due is None:
                known.note_due = now + _spread(app)
            if now < known.note_due:
                return Outcome(requeue_after=min([known.note_due - now, *(w for w in waits if w is not None)]))
        known.note_due = None
        if changed:
            await self._send(app, known, changed)
        return Outcome(requeue_after=min((wait for wait in waits if wait is not None), default=None))

    def _again(self, found: Evaluation) -> float | None:
        """When to look again without anything changing."""
        if found.targets is None or any(c.type == "SettingsWarning" for c in found.conditions):
            return max(_UNKNOWN_SECONDS, ASK_AGAIN_SECONDS)
        differences = (item.difference for item in found.comparison.resources)
        return _UNKNOWN_SECONDS if any(each is not None and each.retryable for each in differences) else None

    # going

    async def _delete(self, app: Application, known: _Known) -> Outcome:
        mine = [name for name in objects.finalizers(app.object) if _OURS in name]
        if not mine:
            return DONE
        try:
            destination = await self._evaluator.destination(app)
        except SeatrialError as error:
            # Where it was deployed is not known any more: nothing can be deleted there.
            log.warning("destination unknown, nothing is deleted", extra={"application": app.name, "error": error})
            await self._drop(app, known, mine)
            return DONE
        if known.deletion is None:
            targets: tuple[Object, ...] = ()
            if any("delete-finalizer" in name for name in objects.finalizers(app.object)):
                made = await self._evaluator.targets(app, app.sources, known.memory, destination)
                targets = made.objects
            await self._evaluator.watch(app, targets, destination)
            context = self.operations.context(app, destination, None, self.checks)
            known.deletion = deletion.Deletion(context, targets)
        came = await known.deletion.advance(app)
        if came.drop:
            await self._drop(app, known, came.drop)
            return Outcome(requeue_after=0.0)
        await self._say_deleting(app, known, came)
        return Outcome(requeue_after=came.requeue_after)

    async def _drop(self, app: Application, known: _Known, gone: Iterable[str]) -> None:
        left = [name for name in objects.finalizers(app.object) if name not in set(gone)]
        version = app.object["metadata"]["resourceVersion"]
        patch = {"metadata": {"finalizers": left or None, "resourceVersion": version}}
        known.latest = await self._patch(app, patch)

    async def _say_deleting(self, app: Application, known: _Known, came: deletion.Deleting) -> None:
        found = [(statuses.DELETION_ERROR, came.message)] if came.blocked else []
        before = app.status.get("conditions") or []
        conditions = statuses.conditions_of(before, found, self._now())
        if conditions != before:
            known.latest = await self._patch(app, {"status": {"conditions": conditions}})

    # writing

    def _changes(
        self, app: Application, known: _Known, found: Evaluation, *, state: Object | None = None,
        history: list[Object] | None = None, condition: str = "",
    ) -> Object:  # fmt: skip
        """The merge patch that brings the Application up to date; empty if it is."""
        before = app.status
        after = {**before, **self._status(app, found, condition)}
        if state is not None:
            after["operationState"] = state
        if history is not None:
            after["history"] = history
        after = plaintext.struck_values(after, _secrets(known, found), only="message")
        patch: Object = {}
        changed = statuses.changes(before, after)
        if changed and (changed.keys() != {"reconciledAt"} or app.refresh):
            patch["status"] = changed
        metadata: Object = {}
        if app.refresh:
            metadata[names.REFRESH] = None
        if found.targets is not None and rollback.is_pin_over(app, found.targets.revisions):
            metadata[names.SKIPPED_REVISION] = None
        if metadata:
            patch["metadata"] = {"annotations": metadata}
        if wanted := self._finalizers(app, found):
            patch.setdefault("metadata", {})["finalizers"] = wanted
        return patch

    def _finalizers(self, app: Application, found: Evaluation) -> list[str]:
        """With those that hooks for the Application's own end need; [] if nothing is to be changed."""
        present = objects.finalizers(app.object)
        needed = deletion.finalizers_for(found.targets.objects) if found.targets is not None else set()
        missing = sorted(needed - set(present))
        return [*present, *missing] if missing else []

    def _status(self, app: Application, found: Evaluation, condition: str) -> Object:
        now = self._now()
        conditions = [(item.type, item.message) for item in found.conditions]
        if condition:
            conditions.append((statuses.SYNC_ERROR, condition))
        before = app.status
        revisions = found.targets.revisions if found.targets is not None else _revisions(before)
        made: Object = {
            "sync": statuses.sync_of(app, found.comparison.status, revisions),
            "health": statuses.health_of(found.health.status, found.health.message, before.get("health") or {}, now),
            "conditions": statuses.conditions_of(before.get("conditions") or [], conditions, now),
            "reconciledAt": now,
            "controllerNamespace": self._namespace,
        }
        if found.targets is not None:
            made["resources"] = _resources(found)
            live = [item.pair.live for item in found.comparison.resources if item.pair.live is not None]
            images = [image for obj in live for image in results.images(obj)]
            made["summary"] = statuses.summary_of(live, images)
            types = list(found.targets.source_types)
            if app.has_many_sources:
                made["sourceTypes"] = types
            elif types:
                made["sourceType"] = types[0]
        return made

    async def _write(
        self, app: Application, known: _Known, found: Evaluation, *, state: Object | None = None,
        history: list[Object] | None = None, condition: str = "", operation: Object | None = None,
    ) -> None:  # fmt: skip
        """`operation`: what is under way from now on, {} for nothing any more. A person may ask for another meanwhile:
        such a write is refused if the object is not as we know it."""
        patch = self._changes(app, known, found, state=state, history=history, condition=condition)
        if operation is not None and operation != (app.operation or {}):
            patch["operation"] = operation or None
            patch.setdefault("metadata", {})["resourceVersion"] = app.object["metadata"]["resourceVersion"]
        if patch:
            await self._send(app, known, patch)

    async def _send(self, app: Application, known: _Known, patch: Object) -> None:
        try:
            known.latest = await self._patch(app, patch)
        except StatusError as error:
            if error.code == 404:
                return
            known.running = None  # what is written counts: the next pass begins from there
            raise
        except Retryable:
            known.running = None
            raise
        app.object = known.latest

    async def _patch(self, app: Application, patch: Object) -> Object:
        return await self._client.patch(APPLICATIONS, app.name, patch, app.namespace, type=PatchType.MERGE)

    def _now(self) -> str:
        return rfc3339(self._clock.time())


def _newest(seen: Object, written: Object | None) -> Object:
    """The watch's copy, unless our own write came after it."""
    if written is None or objects.uid(seen) != objects.uid(written):
        return seen
    versions = [objects.metadata(obj).get("resourceVersion") or "" for obj in (seen, written)]
    if all(version.isdigit() for version in versions) and int(versions[0]) < int(versions[1]):
        return written
    return seen


def _secrets(known: _Known, found: Evaluation) -> frozenset[str]:
    """Also of what was wanted before, where nothing can be rendered now: a sync of it may be running."""
    targets = found.targets or known.memory.targets
    return targets.secrets if targets is not None else frozenset()


def _resources(found: Evaluation) -> list[Object]:
    listed = []
    for item in found.comparison.resources:
        shown = item.to_json()
        if (health := found.healths.get(item.pair.ref)) is not None:
            shown["health"] = health.to_json()
        elif item.pair.live is None and item.pair.target is not None and item.status is not None:
            shown["health"] = {"status": "Missing"}
        listed.append(shown)
    return listed


def _revisions(before: Object) -> tuple[str, ...]:
    return entries.revisions_of(before.get("sync") or {})


def _is_note(patch: Object) -> bool:
    """Nothing but the revision that was compared, and when."""
    changed = patch.get("status") or {}
    if patch.keys() != {"status"} or not changed.keys() <= {"sync", "reconciledAt"}:
        return False
    return (changed.get("sync") or {}).keys() <= {"revision", "revisions"}


def _spread(app: Application) -> float:
    return 1.0 + zlib.crc32(app.name.encode()) / 2**32 * _NOTE_SECONDS


def _healing(app: Application) -> Retry:
    """The first repair's delay may be chosen for each Application."""
    written = objects.annotations(app.object).get(names.SELF_HEAL_DELAY) or ""
    try:
        seconds = max(0.0, float(written))
    except ValueError:
        return decide.HEALING
    base = decide.HEALING
    return Retry(limit=base.limit, seconds=seconds, factor=base.factor, longest=max(base.longest, seconds))


def _differing(one: Any, other: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The fields in which two objects differ, as deep as they can be told apart."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for key in dict.fromkeys([*one, *other])
            if one.get(key) != other.get(key)
            for found in _differing(one.get(key), other.get(key), (*path, key))
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found
            for place, (left, right) in enumerate(zip(one, other, strict=True))
            if left != right
            for found in _differing(left, right, (*path, str(place)))
        ]
    return [path]
