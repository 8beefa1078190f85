"""One pass over one Deployment: claim its ReplicaSets, carry out what `rollout` decided, write the status once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.cluster.controllers import ownership
from seatrial.cluster.controllers.deployment import history, progress, rollout
from seatrial.cluster.controllers.pods import is_terminal
from seatrial.cluster.controllers.template import same_template
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, owner_keys
from seatrial.kube.model import objects, resources, selectors
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.cluster.controllers.deployment.history import Sets
    from seatrial.cluster.controllers.deployment.progress import Happened
    from seatrial.cluster.controllers.deployment.rollout import Limits, Resize
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.selectors import LabelSelector

_COMPONENT = "deployment-controller"
_WORKERS = 5


def build(context: ControlContext) -> Controller:
    return _Deployments(context).controller


class _CreateFailed(Exception):
    """Carries the API's refusal of a new ReplicaSet to where the status is written."""

    def __init__(self, cause: StatusError) -> None:
        super().__init__(cause.message)
        self.cause = cause


class _Progress(NamedTuple):
    sets: Sets
    happened: Happened


class _Deployments:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._resource = resources.for_plural("deployments", "apps")
        self._set_resource = resources.for_plural("replicasets", "apps")
        self._deployments = context.informers.get(self._resource)
        self._sets = context.informers.get(self._set_resource)
        self._pods = context.informers.get(resources.for_plural("pods"))
        ownership.index(self._sets)
        ownership.index(self._pods)
        self._claimer = ownership.Claimer(context.client, self._resource, self._set_resource)
        self.controller = Controller("deployment", self._reconcile, clock=context.clock, workers=_WORKERS)
        self.controller.watches(self._deployments)
        self.controller.watches(self._sets, owner_keys("Deployment", "apps"))
        self.controller.watches(self._sets, ownership.possible_owners(self._deployments, _selector))
        self.controller.watches(self._pods, lambda _pod: ())
        self._pods.on_change(self._pod_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """Recreate waits for the last old pod to be gone: tell it when one is."""
        if new is not None or old is None:
            return
        reference = objects.controller_of(old)
        found = self._sets.get(objects.namespace(old), reference["name"]) if reference else None
        for key in owner_keys("Deployment", "apps")(found) if found is not None else ():
            deployment = self._deployments.get(*key)
            if deployment is not None and not rollout.is_rolling(deployment):
                self.controller.enqueue(key)

    async def _reconcile(self, key: Key) -> Outcome:
        deployment = self._deployments.get(*key)
        if deployment is None:
            return DONE
        held = await self._claimer.claim(deployment, self._sets, _selector(deployment))
        sets = history.sort_out(deployment, held)
        if objects.is_deleting(deployment):
            await self._report(deployment, sets)
            return DONE
        try:
            done = await self._advance(deployment, sets)
        except _CreateFailed as failure:
            await self._report_failure(deployment, sets, failure.cause)
            raise failure.cause from None
        status = await self._report(deployment, *done)
        if progress.is_complete(deployment, status):
            await self._clean_up(deployment, done.sets.old)
        wait = progress.next_look(deployment, status, self._clock.time())
        return DONE if wait is None else Outcome(requeue_after=wait)

    async def _advance(self, deployment: Object, sets: Sets) -> _Progress:
        bounds = rollout.limits(deployment)
        sets = await self._renew(deployment, sets)
        if deployment["spec"].get("paused") or rollout.is_scaling(deployment, sets.all):
            return _Progress(await self._scale(deployment, sets, bounds), progress.NOTHING)
        if rollout.is_rolling(deployment):
            return await self._roll(deployment, sets, bounds)
        return await self._recreate(deployment, sets, bounds)

    async def _scale(self, deployment: Object, sets: Sets, bounds: Limits) -> Sets:
        known = (deployment.get("status") or {}).get("replicas") or 0
        changes = rollout.scale(bounds, sets.new, sets.old, known, rolling=rollout.is_rolling(deployment))
        return await self._resize(deployment, sets, bounds, changes)

    async def _roll(self, deployment: Object, sets: Sets, bounds: Limits) -> _Progress:
        if sets.new is None:
            return await self._create(deployment, sets, bounds)
        changes = rollout.roll(bounds, sets.new, sets.old)
        return _Progress(await self._resize(deployment, sets, bounds, changes), progress.NOTHING)

    async def _recreate(self, deployment: Object, sets: Sets, bounds: Limits) -> _Progress:
        """All old pods go before the first new one comes."""
        if rollout.active(sets.old):
            changes = [rollout.Resize(found, 0) for found in rollout.active(sets.old)]
            return _Progress(await self._resize(deployment, sets, bounds, changes), progress.NOTHING)
        if self._old_pods_remain(sets.old):
            return _Progress(sets, progress.NOTHING)
        if sets.new is None:
            return await self._create(deployment, sets, bounds)
        changes = [rollout.Resize(sets.new, bounds.replicas)]
        return _Progress(await self._resize(deployment, sets, bounds, changes), progress.NOTHING)

    def _old_pods_remain(self, old: Iterable[Object]) -> bool:
        """Pods on their way out still run."""
        for found in old:
            if (found.get("status") or {}).get("replicas"):
                return True
            if any(not is_terminal(pod) for pod in ownership.dependents(self._pods, found)):
                return True
        return False

    # writes

    async def _renew(self, deployment: Object, sets: Sets) -> Sets:
        """Bring the new set's revision and copied annotations up to date."""
        new = sets.new
        if new is None:
            return sets
        annotations = history.annotations_of_new(deployment, new, history.next_revision(sets.old))
        min_ready = deployment["spec"].get("minReadySeconds") or 0
        if annotations == objects.annotations(new) and min_ready == (new["spec"].get("minReadySeconds") or 0):
            return sets
        changed = objects.clone(new)
        changed["metadata"]["annotations"] = annotations
        changed["spec"]["minReadySeconds"] = min_ready
        return sets._replace(new=await self._client.update(self._set_resource, changed))

    async def _create(self, deployment: Object, sets: Sets, bounds: Limits) -> _Progress:
        wanted = history.replica_set_for(deployment, bounds, sets.old)
        try:
            made = await self._client.create(self._set_resource, wanted)
        except StatusError as error:
            if error.reason == "AlreadyExists":
                return _Progress(sets._replace(new=await self._existing(deployment, wanted, error)), progress.NOTHING)
            raise _CreateFailed(error) from error
        if rollout.size(made):
            self._tell_scaled(deployment, made, 0, rollout.size(made))
        return _Progress(sets._replace(new=made), progress.Happened(created=True))

    async def _existing(self, deployment: Object, wanted: Object, error: StatusError) -> Object:
        """The set of that name, if it is ours (the cache was late); else the next pass tries another name."""
        found = await self._client.get(self._set_resource, objects.name(wanted), objects.namespace(wanted))
        reference = objects.controller_of(found) or {}
        ours = reference.get("uid") == objects.uid(deployment)
        if ours and same_template(found["spec"]["template"], deployment["spec"]["template"]):
            return found
        changed = objects.clone(deployment)
        status = changed.setdefault("status", {})
        status["collisionCount"] = (status.get("collisionCount") or 0) + 1
        await self._client.update(self._resource, changed, subresource="status")
        raise error

    async def _resize(self, deployment: Object, sets: Sets, bounds: Limits, changes: Sequence[Resize]) -> Sets:
        written: dict[str, Object] = {}
        for found, replicas in changes:
            written[objects.uid(found)] = await self._resize_one(deployment, bounds, found, replicas)
        new = sets.new and written.get(objects.uid(sets.new), sets.new)
        return sets._replace(new=new, old=[written.get(objects.uid(found), found) for found in sets.old])

    async def _resize_one(self, deployment: Object, bounds: Limits, found: Object, replicas: int) -> Object:
        annotations = {**objects.annotations(found), **rollout.size_annotations(bounds)}
        before = rollout.size(found)
        if before == replicas and annotations == objects.annotations(found):
            return found
        changed = objects.clone(found)
        changed["spec"]["replicas"] = replicas
        changed["metadata"]["annotations"] = annotations
        written = await self._client.update(self._set_resource, changed)
        if before != replicas:
            self._tell_scaled(deployment, found, before, replicas)
        return written

    def _tell_scaled(self, deployment: Object, found: Object, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {objects.name(found)} from {before} to {after}"
        self._recorder.event(deployment, "Normal", "ScalingReplicaSet", message, component=_COMPONENT)

    async def _clean_up(self, deployment: Object, old: Iterable[Object]) -> None:
        for found in history.superfluous(deployment, old):
            meta = found["metadata"]
            try:
                await self._client.delete(
                    self._set_resource, meta["name"], meta["namespace"], uid=meta["uid"], propagation="Background"
                )
            except StatusError as error:
                if error.code != 404:
                    raise

    async def _report_failure(self, deployment: Object, sets: Sets, error: StatusError) -> None:
        message = f"Failed to create new replica set: {error.message}"
        self._recorder.event(deployment, "Warning", progress.CREATE_FAILED, message, component=_COMPONENT)
        await self._report(deployment, sets, progress.Happened(create_error=message))

    async def _report(self, deployment: Object, sets: Sets, happened: Happened = progress.NOTHING) -> Object:
        """Write status and revision if they differ. Returns the status."""
        status = progress.status_of(deployment, sets, self._clock.time(), happened)
        annotations = dict(objects.annotations(deployment))
        if sets.new is not None and history.revision(sets.new):
            annotations[history.REVISION] = str(history.revision(sets.new))
        if status == deployment.get("status") and annotations == objects.annotations(deployment):
            return status
        changed = objects.clone(deployment)
        changed["status"] = status
        if annotations:
            changed["metadata"]["annotations"] = annotations
        await self._client.update(self._resource, changed, subresource="status")
        return status


def _selector(deployment: Object) -> LabelSelector:
    return selectors.from_object(deployment["spec"].get("selector"))
