"""One pass over one StatefulSet: its revisions, its claims, the next step of the plan, its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers import ownership, pods
from seatrial.cluster.controllers.podwriter import PODS, PodWriter, Wording
from seatrial.cluster.controllers.revisions import Revisions, template_of
from seatrial.cluster.controllers.statefulset import identity, plan
from seatrial.cluster.controllers.statefulset.status import status_of
from seatrial.kube.client.client import PatchType
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, owner_keys
from seatrial.kube.model import objects, resources, selectors
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cluster.controllers.revisions import Found
    from seatrial.cluster.controllers.statefulset.plan import Create, View
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.events import EventType
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.selectors import LabelSelector

_COMPONENT = "statefulset-controller"
_WORDING = Wording(
    created="create Pod {pod} in StatefulSet {owner} successful",
    create_failed="create Pod {pod} in StatefulSet {owner} failed error: {error}",
    deleted="delete Pod {pod} in StatefulSet {owner} successful",
    delete_failed="delete Pod {pod} in StatefulSet {owner} failed error: {error}",
)
_REVISION_LABEL = "controller.kubernetes.io/hash"
_UNTIL_CLAIM_IS_GONE = 1.0
_WORKERS = 5


def build(context: ControlContext) -> Controller:
    return _StatefulSets(context).controller


class _StatefulSets:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._resource = resources.for_plural("statefulsets", "apps")
        self._claim_resource = resources.for_plural("persistentvolumeclaims")
        self._sets = context.informers.get(self._resource)
        self._pods = context.informers.get(PODS)
        self._claims = context.informers.get(self._claim_resource)
        ownership.index(self._pods)
        self._claimer = ownership.Claimer(context.client, self._resource, PODS)
        self._revisions = Revisions(context, self._resource, _REVISION_LABEL)
        self._writer = PodWriter(context, _COMPONENT, _WORDING)
        keys = owner_keys("StatefulSet", "apps")
        self._writer.observe(self._pods, keys)
        self.controller = Controller("statefulset", self._reconcile, clock=context.clock, workers=_WORKERS)
        self.controller.watches(self._sets)
        self.controller.watches(self._pods, keys)
        self.controller.watches(self._pods, ownership.possible_owners(self._sets, _selector))
        self.controller.watches(self._revisions.informer, lambda _revision: ())
        self.controller.watches(self._claims, lambda _claim: ())

    async def _reconcile(self, key: Key) -> Outcome:
        stateful_set = self._sets.get(*key)
        if stateful_set is None:
            self._writer.expectations.forget(key)
            return DONE
        caught_up = self._writer.expectations.satisfied(key)
        held = await self._held(stateful_set)
        found = await self._revisions.sync(stateful_set)
        view = self._view(stateful_set, held, found)
        blocked, error = False, None
        if caught_up and not objects.is_deleting(stateful_set):
            try:
                blocked = await self._step(view, found)
            except StatusError as caught:
                error = caught
        status = await self._report(view, found)
        if error is not None:
            raise error
        live = plan.live_revisions(held) | {view.current, status["currentRevision"]}
        await self._revisions.prune(stateful_set, found, live)
        if blocked:
            return Outcome(requeue_after=_UNTIL_CLAIM_IS_GONE)
        wait = pods.next_availability(held, plan.min_ready(stateful_set), view.now)
        return DONE if wait is None else Outcome(requeue_after=wait)

    async def _held(self, stateful_set: Object) -> list[Object]:
        def is_member(pod: Object) -> bool:
            return identity.ordinal_of(stateful_set, pod) is not None

        return await self._claimer.claim(stateful_set, self._pods, _selector(stateful_set), keep=is_member)

    def _view(self, stateful_set: Object, held: Sequence[Object], found: Found) -> View:
        """Without a known current revision the history begins with the present one."""
        update = objects.name(found.update)
        named = (stateful_set.get("status") or {}).get("currentRevision") or ""
        known = any(objects.name(revision) == named for revision in found.all)
        return plan.View(stateful_set, held, named if known else update, update, self._clock.time())

    async def _step(self, view: View, found: Found) -> bool:
        """True if a claim of an earlier pod is in the way."""
        for pod in view.pods:
            await self._look_after(view.stateful_set, pod)
        steps = plan.steps(view)
        made, blocked = [], False
        for create in steps.create:
            if await self._prepare_claims(view.stateful_set, create):
                made.append(self._pod(view.stateful_set, create, found))
            else:
                blocked = True
        await self._writer.delete(view.stateful_set, steps.delete)
        await self._writer.create(view.stateful_set, made)
        return blocked

    def _pod(self, stateful_set: Object, create: Create, found: Found) -> Object:
        revision = next(each for each in found.all if objects.name(each) == create.revision)
        return identity.pod_for(stateful_set, template_of(revision), create.ordinal, create.revision)

    # claims

    async def _prepare_claims(self, stateful_set: Object, create: Create) -> bool:
        """The claims of a pod to be; False while an old one has to go first."""
        name = identity.pod_name(stateful_set, create.ordinal)
        wanted = identity.claims_for(stateful_set, name)
        present = [self._claims.get(objects.namespace(claim), objects.name(claim)) for claim in wanted]
        if any(claim is not None and identity.is_stale(claim, name) for claim in present):
            return False
        await self._create_claims(stateful_set, name, create.ordinal)
        return True

    async def _create_claims(self, stateful_set: Object, pod: str, ordinal: int) -> None:
        for claim in identity.claims_for(stateful_set, pod):
            if self._claims.get(objects.namespace(claim), objects.name(claim)) is None:
                owners = identity.claim_owners(stateful_set, claim, None, ordinal)
                if owners:
                    claim["metadata"]["ownerReferences"] = owners
                await self._create_claim(stateful_set, claim, pod)

    async def _create_claim(self, stateful_set: Object, claim: Object, pod: str) -> None:
        subject = f"create Claim {objects.name(claim)} Pod {pod} in StatefulSet {objects.name(stateful_set)}"
        try:
            await self._client.create(self._claim_resource, claim)
        except StatusError as error:
            if error.reason == "AlreadyExists":
                return
            self._event(stateful_set, "Warning", "FailedCreate", f"{subject} failed error: {error.message}")
            raise
        self._event(stateful_set, "Normal", "SuccessfulCreate", f"{subject} success")

    def _event(self, stateful_set: Object, type_: EventType, reason: str, message: str) -> None:
        self._recorder.event(stateful_set, type_, reason, message, component=_COMPONENT)

    async def _look_after(self, stateful_set: Object, pod: Object) -> None:
        """Labels of an adopted pod, claims that were lost, and who owns the claims."""
        ordinal = identity.ordinal_of(stateful_set, pod)
        if ordinal is None or objects.is_deleting(pod):
            return
        wanted = identity.labels(stateful_set, ordinal)
        if not wanted.items() <= objects.labels(pod).items():
            await self._patch(PODS, pod, {"labels": wanted})
        if pods.phase(pod) == "Pending" and ordinal in identity.ordinals(stateful_set):
            await self._create_claims(stateful_set, objects.name(pod), ordinal)
        for template in identity.claim_templates(stateful_set):
            name = identity.claim_name(template, objects.name(pod))
            claim = self._claims.get(objects.namespace(pod), name)
            if claim is not None and not objects.is_deleting(claim):
                await self._set_owners(stateful_set, claim, pod, ordinal)

    async def _set_owners(self, stateful_set: Object, claim: Object, pod: Object, ordinal: int) -> None:
        owners = identity.claim_owners(stateful_set, claim, pod, ordinal)
        if owners != objects.owner_references(claim):
            await self._patch(self._claim_resource, claim, {"ownerReferences": owners or None})

    async def _patch(self, resource: resources.Resource, obj: Object, change: Object) -> None:
        meta = obj["metadata"]
        change = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], **change}
        await self._client.patch(resource, meta["name"], {"metadata": change}, meta["namespace"], type=PatchType.MERGE)

    async def _report(self, view: View, found: Found) -> Object:
        status = status_of(view, found.collisions)
        if status != view.stateful_set.get("status"):
            changed = objects.clone(view.stateful_set)
            changed["status"] = status
            await self._client.update(self._resource, changed, subresource="status")
        return status


def _selector(stateful_set: Object) -> LabelSelector:
    return selectors.from_object(stateful_set["spec"].get("selector"))
