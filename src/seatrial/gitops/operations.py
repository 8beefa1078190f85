"""Operations of Applications: which manifests each works towards, from its begin over retries to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import SeatrialError
from seatrial.gitops.api.clusters import UnknownDestination
from seatrial.gitops.api.source import Source
from seatrial.gitops.api.validate import INVALID_SPEC
from seatrial.gitops.desired import Rendered
from seatrial.gitops.diff import keep
from seatrial.gitops.evaluation import Memory, assess
from seatrial.gitops.history import entries, rollback
from seatrial.gitops.status import revision_fields
from seatrial.gitops.sync import nowhere, results, retry
from seatrial.gitops.sync.context import Context, apply_everything
from seatrial.gitops.sync.deletion import approval
from seatrial.gitops.sync.operation import Desired, Operation
from seatrial.gitops.sync.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.base.clock import Clock
    from seatrial.gitops.api.application import Application
    from seatrial.gitops.destinations import Destination
    from seatrial.gitops.diff.rules import Rules
    from seatrial.gitops.diff.targets import Condition
    from seatrial.gitops.evaluation import Evaluation, Evaluator, Targets
    from seatrial.gitops.health.checks import Checks
    from seatrial.gitops.history.records import Records
    from seatrial.kube.model.objects import Object


@dataclass(slots=True)
class Running:
    operation: Operation
    revisions: tuple[str, ...]
    manifests: tuple[Object, ...] = ()
    digest: str = ""
    memory: Memory = field(default_factory=Memory)
    problem: str = ""
    """Why nothing can be done at all: it has no destination."""


class Operations:
    def __init__(self, evaluator: Evaluator, records: Records, clock: Clock, wave_delay: float, checks: Checks) -> None:
        self._evaluator = evaluator
        self._records = records
        self._clock = clock
        self._wave_delay = wave_delay
        self.checks = checks

    async def begin(self, app: Application, operation: Object, found: Evaluation) -> Running:
        """The state of a new operation, with what its revision is. Never raises for what is wrong with the sources:
        the operation then ends with that."""
        sync = operation.get("sync") or {}
        revisions = entries.revisions_of(sync)
        if not revisions and found.targets is not None:
            revisions = found.targets.revisions
        elif revisions and not sync.get("manifests") and rollback.entry_of(operation) is None:
            revisions = await self._resolved(app, sync, revisions)
        spec = app.object.get("spec") or {}
        resolved: dict[str, Any] = {"revision": "", **revision_fields(app, revisions)}  # the definition wants it
        for name in ("sources", "source"):
            if sync.get(name) or spec.get(name):
                resolved[name] = sync.get(name) or spec.get(name)
                break
        if app.managed_namespace_metadata:
            resolved["managedNamespaceMetadata"] = app.managed_namespace_metadata
        version = app.object["metadata"]["resourceVersion"]
        state = results.begin(operation, self._clock.time(), version, **resolved)
        destination, problem = found.destination, ""
        if destination is None:
            try:
                destination = await self._evaluator.destination(app)
            except SeatrialError as error:
                problem = error.message
        return self._running(app, state, destination, found.rules, problem)

    async def _resolved(self, app: Application, sync: Object, asked: tuple[str, ...]) -> tuple[str, ...]:
        """A branch or tag that somebody named becomes the commit it means now."""
        sources = self._sources(app, sync)
        try:
            if len(asked) == len(sources):
                named = [
                    Source.of({**source.spec, "targetRevision": name})
                    for source, name in zip(sources, asked, strict=True)
                ]
                return await self._evaluator.revisions(named)
        except SeatrialError:
            pass  # said when it is rendered
        return asked

    async def resume(self, app: Application, state: Object) -> Running:
        """Of an operation that is under way. Raises TransportError, StatusError: it waits for its destination."""
        try:
            destination = await self._evaluator.destination(app)
        except UnknownDestination as error:
            return self._running(app, state, None, None, error.message)
        return self._running(app, state, destination, None)

    def _running(
        self, app: Application, state: Object, destination: Destination | None, rules: Rules | None, problem: str = ""
    ) -> Running:
        revisions = entries.revisions_of(state.get("syncResult") or {})
        if destination is not None:
            context = self.context(app, destination, rules, self.checks)
        else:
            context = nowhere.context(self._clock)
        return Running(Operation(state, Desired(app.instance, ()), context), revisions, problem=problem)

    async def supersede(self, app: Application, running: Running, found: Evaluation) -> None:
        """The next try of a failed operation: with what Git says now, if it may."""
        operation = running.operation
        if found.targets is not None and retry.follows_branch(operation.state):
            operation.restart(**revision_fields(app, found.targets.revisions))
            running.revisions = found.targets.revisions
        else:
            operation.restart()

    async def use(self, app: Application, running: Running, found: Evaluation) -> None:
        """Have the operation work with its manifests, and with what the Application says now."""
        problem = running.problem or (_refused(found.conditions) if found.targets is None else "")
        targets: tuple[Object, ...] = ()
        unmodified = frozenset[Any]()
        try:
            if not problem:
                made = await self._targets(app, running, found)
                targets, running.manifests, running.digest = made.objects, made.objects, made.digest
                problem = _refused(made.conditions)
                if found.targets is not None and made.digest == found.targets.digest:
                    unmodified = found.unmodified
                    problem = found.problem
        except SeatrialError as error:
            problem = error.message
        running.operation.use(
            Desired(
                instance=app.instance,
                targets=targets,
                namespace=app.destination.namespace,
                namespace_metadata=app.managed_namespace_metadata or {},
                app_options=app.sync_options,
                unmodified=unmodified,
                approved_at=approval(app),
                has_source_error=problem,
            )
        )

    async def _targets(self, app: Application, running: Running, found: Evaluation) -> Targets:
        """Raises SeatrialError: why there are none."""
        if found.targets is not None and running.revisions == found.targets.revisions and self._is_plain(running):
            return found.targets
        operation = running.operation.state.get("operation") or {}
        sync = operation.get("sync") or {}
        destination = found.destination or await self._evaluator.destination(app)
        given = sync.get("manifests")
        if given:
            rendered = Rendered(running.revisions, (), tuple(orjson.loads(text) for text in given))
            return await self._evaluator.tracked(app, rendered, destination)
        entry = rollback.entry_of(operation)
        recorded = await self._records.read(app, entry) if entry is not None else None
        if recorded is not None and not recorded.omitted:
            rendered = Rendered(running.revisions, (), recorded.manifests)
            return await self._evaluator.tracked(app, rendered, destination)
        return await self._evaluator.targets(
            app, self._sources(app, sync), running.memory, destination, revisions=running.revisions
        )

    def _is_plain(self, running: Running) -> bool:
        operation = running.operation.state.get("operation") or {}
        sync = operation.get("sync") or {}
        special = ("manifests", "source", "sources")
        return rollback.entry_of(operation) is None and not any(sync.get(name) for name in special)

    def _sources(self, app: Application, sync: Object) -> tuple[Source, ...]:
        if sync.get("sources"):
            return tuple(Source.of(spec) for spec in sync["sources"])
        return (Source.of(sync["source"]),) if sync.get("source") else app.sources

    def context(self, app: Application, destination: Destination, rules: Rules | None, checks: Checks) -> Context:
        """What a sync or a deletion works with."""
        respects = Options.of({}, app.sync_options).is_on("RespectIgnoreDifferences")
        found = rules
        keeping = apply_everything
        if found is not None:
            chosen = keep.keep_ignored if respects else keep.keep_scaled
            keeping = partial(_kept, chosen, found)
        return Context(
            client=destination.client,
            clock=self._clock,
            live=destination.live,
            resource=destination.live.mapper.for_kind,
            assess=partial(_assessed, checks),
            keep_ignored=keeping,
            on_applied=destination.comparer.remember,
            wave_delay=self._wave_delay,
        )


def _refused(conditions: Iterable[Condition]) -> str:
    """What the project or the specification forbids: whichever manifests an operation brings."""
    return "; ".join(item.message for item in conditions if item.type == INVALID_SPEC)


def _kept(chosen: Any, rules: Rules, target: Object, live: Object) -> Object:
    made: Object = chosen(target, live, rules)
    return made


def _assessed(checks: Checks, obj: Object) -> Any:
    return assess(obj, checks)
