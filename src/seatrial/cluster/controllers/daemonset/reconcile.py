"""One pass over one DaemonSet: its revisions, the pods the plan asks for, its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers import ownership, pods
from seatrial.cluster.controllers.daemonset import placement, plan
from seatrial.cluster.controllers.podwriter import PODS, PodWriter
from seatrial.cluster.controllers.revisions import HASH_LABEL, Revisions
from seatrial.kube.control.backoff import doubling
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, owner_keys
from seatrial.kube.model import objects, resources, selectors
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.cluster.controllers.revisions import Found
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.selectors import LabelSelector

MOST_AT_ONCE = 250
"""Pods made or deleted in one pass."""
_COMPONENT = "daemonset-controller"
_FIRST_BACK_OFF, _LAST_BACK_OFF = 1.0, 900.0
"""Seconds between two deletions of failed pods on one node."""
_WORKERS = 2


def build(context: ControlContext) -> Controller:
    return _DaemonSets(context).controller


class _Failures:
    """When failed pods of a node may be replaced again: a node that rejects them would keep us busy for ever."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[int, float]] = {}
        """By DaemonSet uid and node: how often, and when the last one was replaced."""

    def wait(self, daemon_set: str, node: str, now: float) -> float:
        """Seconds to wait; 0 means now, and counts."""
        times, last = self._known.get((daemon_set, node), (0, 0.0))
        delay = doubling(times - 1, _FIRST_BACK_OFF, _LAST_BACK_OFF) if times else 0.0
        if times and now - last > 2 * _LAST_BACK_OFF:
            times, delay = 0, 0.0
        left = last + delay - now
        if times and left > 0:
            return left
        self._known[daemon_set, node] = (times + 1, now)
        return 0.0

    def forget(self, kept: set[str]) -> None:
        self._known = {key: value for key, value in self._known.items() if key[0] in kept}


class _DaemonSets:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._resource = resources.for_plural("daemonsets", "apps")
        self._sets = context.informers.get(self._resource)
        self._pods = context.informers.get(PODS)
        self._nodes = context.informers.get(resources.for_plural("nodes"))
        ownership.index(self._pods)
        self._claimer = ownership.Claimer(context.client, self._resource, PODS)
        self._revisions = Revisions(context, self._resource, HASH_LABEL)
        self._writer = PodWriter(context, _COMPONENT)
        self._failures = _Failures()
        keys = owner_keys("DaemonSet", "apps")
        self._writer.observe(self._pods, keys)
        self.controller = Controller("daemonset", self._reconcile, clock=context.clock, workers=_WORKERS)
        self.controller.watches(self._sets)
        self.controller.watches(self._pods, keys)
        self.controller.watches(self._pods, ownership.possible_owners(self._sets, _selector))
        self.controller.watches(self._revisions.informer, lambda _revision: ())
        self.controller.watches(self._nodes, lambda _node: ())
        self._nodes.on_change(self._node_changed)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        """Heartbeats concern nobody: only sets whose verdict on the node changed look again."""
        for daemon_set in self._sets.list():
            before, after = (placement.verdict(daemon_set, node) if node else None for node in (old, new))
            if before != after:
                self.controller.enqueue((objects.namespace(daemon_set), objects.name(daemon_set)))

    async def _reconcile(self, key: Key) -> Outcome:
        daemon_set = self._sets.get(*key)
        if daemon_set is None:
            self._writer.expectations.forget(key)
            self._failures.forget({objects.uid(found) for found in self._sets.list()})
            return DONE
        if objects.is_deleting(daemon_set):
            return DONE
        caught_up = self._writer.expectations.satisfied(key)
        held = await self._claimer.claim(daemon_set, self._pods, _selector(daemon_set))
        found = await self._revisions.sync(daemon_set)
        mark = objects.labels(found.update).get(HASH_LABEL, "")
        view = plan.View(daemon_set, self._nodes.list(), placement.by_node(held), mark, self._clock.time())
        waits, error = [pods.next_availability(held, plan.min_ready(daemon_set), view.now)], None
        if caught_up:
            try:
                waits.append(await self._step(view))
            except StatusError as caught:
                error = caught
        await self._report(view, found.collisions)
        if error is not None:
            raise error
        await self._prune(daemon_set, found, held)
        return Outcome(requeue_after=min((wait for wait in waits if wait is not None), default=None))

    async def _step(self, view: plan.View) -> float | None:
        """Seconds until failed pods may be replaced; None if none wait."""
        steps = plan.manage(view)
        ready_to_go, wait = self._due(view, steps.failed)
        steps.delete += ready_to_go
        if not steps.create and not steps.delete and _is_rolling(view.daemon_set):
            steps = plan.update(view)
        await self._carry_out(view, steps)
        return wait

    def _due(self, view: plan.View, failed: Iterable[Object]) -> tuple[list[Object], float | None]:
        due: list[Object] = []
        waits: list[float] = []
        for pod in failed:
            node = placement.target(pod)
            wait = self._failures.wait(objects.uid(view.daemon_set), node, view.now)
            if wait > 0:
                waits.append(wait)
                continue
            due.append(pod)
            subject = f"{objects.namespace(pod)}/{objects.name(pod)} on node {node}"
            message = f"Found failed daemon pod {subject}, will try to kill it"
            self._recorder.event(view.daemon_set, "Warning", "FailedDaemonPod", message, component=_COMPONENT)
        return due, min(waits, default=None)

    async def _carry_out(self, view: plan.View, steps: plan.Steps) -> None:
        await self._writer.delete(view.daemon_set, steps.delete[:MOST_AT_ONCE])
        made = [placement.pod_for(view.daemon_set, node, view.mark) for node in steps.create[:MOST_AT_ONCE]]
        await self._writer.create(view.daemon_set, made)

    async def _prune(self, daemon_set: Object, found: Found, held: Sequence[Object]) -> None:
        marks = {objects.labels(pod).get(HASH_LABEL) for pod in held}
        live = {objects.name(each) for each in found.all if objects.labels(each).get(HASH_LABEL) in marks}
        await self._revisions.prune(daemon_set, found, live)

    async def _report(self, view: plan.View, collisions: int) -> None:
        status = plan.status_of(view, collisions)
        if status == view.daemon_set.get("status"):
            return
        changed = objects.clone(view.daemon_set)
        changed["status"] = status
        await self._client.update(self._resource, changed, subresource="status")


def _is_rolling(daemon_set: Object) -> bool:
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    return bool(strategy.get("type") == "RollingUpdate")


def _selector(daemon_set: Object) -> LabelSelector:
    return selectors.from_object(daemon_set["spec"].get("selector"))
