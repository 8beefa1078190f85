"""Making and deleting pods for a controller: with expectations, events, and a slow start where creating fails.

Creating begins with one pod and doubles, so that a template the API refuses costs one refused request and not five
hundred.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from seatrial.cluster.controllers.serviceaccount import is_too_late
from seatrial.kube.control.controller import own_key
from seatrial.kube.control.expectations import Expectations
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.controller import Key
    from seatrial.kube.control.events import EventType
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object

PODS = resources.for_plural("pods")


class Wording(NamedTuple):
    """The messages of the events, with `{pod}`, `{owner}` and `{error}`."""

    created: str = "Created pod: {pod}"
    create_failed: str = "Error creating: {error}"
    deleted: str = "Deleted pod: {pod}"
    delete_failed: str = "Error deleting: {error}"


_PLAIN = Wording()


class PodWriter:
    def __init__(self, context: ControlContext, component: str, wording: Wording = _PLAIN) -> None:
        self._wording = wording
        self.expectations = Expectations(context.clock)
        self._client = context.client
        self._recorder = context.recorder
        self._component = component

    def observe(self, pods: Informer, owner_keys: Callable[[Object], Iterable[Key]]) -> None:
        """Have the informer settle what is expected for the owners of pods."""

        def seen(old: Object | None, new: Object | None) -> None:
            if old is None and new is not None:
                for key in owner_keys(new):
                    self.expectations.observed_creation(key)
            gone = old if new is None else new if objects.is_deleting(new) else None
            if gone is not None:
                for key in owner_keys(gone):
                    self.expectations.observed_deletion(key, objects.uid(gone))

        pods.on_change(seen)

    async def create(self, owner: Object, pods: Sequence[Object]) -> None:
        """Create all, or raise the first error after the batch in which it happened."""
        key = own_key(owner)
        self.expectations.expect(key, creations=len(pods))
        done, batch = 0, 1
        while done < len(pods):
            current = pods[done : done + batch]
            results = await asyncio.gather(*(self._create(owner, pod) for pod in current), return_exceptions=True)
            done += len(current)
            batch *= 2
            error = next((result for result in results if isinstance(result, BaseException)), None)
            if error is not None:
                for _ in pods[done:]:
                    self.expectations.observed_creation(key)
                raise error

    async def _create(self, owner: Object, pod: Object) -> None:
        try:
            made = await self._client.create(PODS, pod)
        except BaseException as error:
            self.expectations.observed_creation(own_key(owner))
            if isinstance(error, StatusError):
                if error.code == 403 and is_too_late(error):
                    return  # the namespace is going, and the owner with it
                self._event(owner, "Warning", "FailedCreate", self._wording.create_failed, pod, error.message)
            raise
        self._event(owner, "Normal", "SuccessfulCreate", self._wording.created, made)

    async def delete(self, owner: Object, pods: Sequence[Object]) -> None:
        """Delete all that are not being deleted yet; raise the first error when each was tried."""
        leaving = [pod for pod in pods if not objects.is_deleting(pod)]
        self.expectations.expect(own_key(owner), deletions=[objects.uid(pod) for pod in leaving])
        results = await asyncio.gather(*(self._delete(owner, pod) for pod in leaving), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _delete(self, owner: Object, pod: Object) -> None:
        uid = objects.uid(pod)
        try:
            await self._client.delete(PODS, objects.name(pod), objects.namespace(pod), uid=uid)
        except BaseException as error:
            self.expectations.observed_deletion(own_key(owner), uid)
            if isinstance(error, StatusError):
                if error.code == 404 or error.reason == "Conflict":  # gone, or another pod by that name
                    return
                self._event(owner, "Warning", "FailedDelete", self._wording.delete_failed, pod, error.message)
            raise
        self._event(owner, "Normal", "SuccessfulDelete", self._wording.deleted, pod)

    def _event(self, owner: Object, type_: EventType, reason: str, text: str, pod: Object, error: str = "") -> None:
        message = text.format(pod=objects.name(pod), owner=objects.name(owner), error=error)
        self._recorder.event(owner, type_, reason, message, component=self._component)
