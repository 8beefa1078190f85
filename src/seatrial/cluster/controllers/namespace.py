"""Deleting a namespace deletes what is in it: pods first, then the rest, then the namespace may go.

The plan is pure: `deletable` says what is to be emptied in which order, `conditions_of` what people are told. Every
pass asks discovery anew, so that instances of a CustomResourceDefinition made a moment ago are not left behind.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seatrial.base.clock import parse_time, rfc3339
from seatrial.kube.client.discovery import RESTMapper
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import conditions, objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

FINALIZER = "kubernetes"
_SHORTEST_WAIT = 0.2
_LONGEST_WAIT = 5.0

_FINE = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
)
"""Condition type, and the reason and message of its `False`."""


def is_active(namespace: Object | None) -> bool:
    """Whether new objects may be made in it."""
    return namespace is not None and not objects.is_deleting(namespace)


@dataclass(slots=True)
class Survey:
    """What a pass found left in the namespace, and what went wrong."""

    remaining: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (plural, group)."""
    finalizers: Counter[str] = field(default_factory=Counter)
    discovery_error: str = ""
    errors: list[str] = field(default_factory=list)

    def note(self, resource: Resource, items: Sequence[Object]) -> None:
        if items:
            self.remaining[resource.plural, resource.group] += len(items)
        for item in items:
            self.finalizers.update(objects.finalizers(item))

    @property
    def is_clear(self) -> bool:
        return not (self.remaining or self.errors or self.discovery_error)


def deletable(found: Iterable[Resource]) -> list[Resource]:
    """Each namespaced resource once, in its preferred version, pods first."""
    once: dict[tuple[str, str], Resource] = {}
    for resource in found:
        if resource.namespaced and {"delete", "list"} <= set(resource.verbs):
            once.setdefault((resource.group, resource.plural), resource)
    return sorted(once.values(), key=lambda resource: (resource.group, resource.plural) != ("", "pods"))


def conditions_of(survey: Survey) -> Iterator[tuple[str, str, str, str]]:
    """Type, status, reason and message of each of the five conditions."""
    problems = dict(_problems(survey))
    for type_, reason, message in _FINE:
        if type_ in problems:
            yield type_, "True", *problems[type_]
        else:
            yield type_, "False", reason, message


def _problems(survey: Survey) -> Iterator[tuple[str, tuple[str, str]]]:
    if survey.discovery_error:
        yield "NamespaceDeletionDiscoveryFailure", ("DiscoveryFailed", survey.discovery_error)
    if survey.errors:
        shown = ", ".join(sorted(survey.errors))
        message = f"Failed to delete all resource types, {len(survey.errors)} remaining: {shown}"
        yield "NamespaceDeletionContentFailure", ("ContentDeletionFailed", message)
    if survey.remaining:
        shown = ", ".join(
            sorted(f"{plural}.{group} has {n} resource instances" for (plural, group), n in survey.remaining.items())
        )
        yield "NamespaceContentRemaining", ("SomeResourcesRemain", f"Some resources are remaining: {shown}")
    if survey.finalizers:
        shown = ", ".join(sorted(f"{name} in {n} resource instances" for name, n in survey.finalizers.items()))
        message = f"Some content in the namespace has finalizers remaining: {shown}"
        yield "NamespaceFinalizersRemaining", ("SomeFinalizersRemain", message)


def wait_before_next(deleted_at: float, now: float) -> float:
    """A namespace that takes long is looked at less and less often."""
    return min(_LONGEST_WAIT, max(_SHORTEST_WAIT, (now - deleted_at) / 5))


def build(context: ControlContext) -> Controller:
    return _Emptying(context).controller


class _Emptying:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._resource = resources.for_plural("namespaces")
        self._namespaces = context.informers.get(self._resource)
        self._mapper = RESTMapper(context.client)
        self.controller = Controller("namespace", self._reconcile, clock=context.clock, workers=4)
        self.controller.watches(self._namespaces)

    async def _reconcile(self, key: Key) -> Outcome:
        namespace = self._namespaces.get(*key)
        if namespace is None or not objects.is_deleting(namespace):
            return DONE
        if FINALIZER not in (namespace["spec"].get("finalizers") or ()):
            return DONE
        survey = await self._empty(objects.name(namespace))
        try:
            namespace = await self._report(namespace, survey)
            if survey.is_clear:
                await self._release(namespace)
                return DONE
        except StatusError as error:
            if error.code != 404:
                raise
            return DONE
        deleted_at = parse_time(namespace["metadata"]["deletionTimestamp"])
        return Outcome(requeue_after=wait_before_next(deleted_at, self._clock.time()))

    async def _empty(self, namespace: str) -> Survey:
        """Delete what can be deleted now: everything, but nothing else while there are pods."""
        survey = Survey()
        try:
            found = deletable(await self._mapper.refresh())
        except StatusError as error:
            survey.discovery_error = error.message
            return survey
        for resource in found:
            await self._clear(resource, namespace, survey)
            if not survey.is_clear and (resource.group, resource.plural) == ("", "pods"):
                break
        return survey

    async def _clear(self, resource: Resource, namespace: str, survey: Survey) -> None:
        try:
            items = (await self._client.list(resource, namespace)).items
            if any(not objects.is_deleting(item) for item in items):
                await self._delete(resource, namespace, items)
                items = (await self._client.list(resource, namespace)).items
        except StatusError as error:
            if error.code not in (404, 405):  # 404: the resource itself went away
                survey.errors.append(error.message)
        else:
            survey.note(resource, items)

    async def _delete(self, resource: Resource, namespace: str, items: Sequence[Object]) -> None:
        """Background, whatever the kind's own default: everything in the namespace goes anyway."""
        if "deletecollection" in resource.verbs:
            await self._client.delete_collection(resource, namespace, propagation="Background")
            return
        for item in items:
            try:
                await self._client.delete(resource, objects.name(item), namespace, propagation="Background")
            except StatusError as error:
                if error.code != 404:
                    raise

    async def _report(self, namespace: Object, survey: Survey) -> Object:
        changed = objects.clone(namespace)
        status = changed.setdefault("status", {})
        now = rfc3339(self._clock.time())
        listed = status.setdefault("conditions", [])
        news = [conditions.set_condition(listed, *condition, now) for condition in conditions_of(survey)]
        if not any(news) and status.get("phase") == "Terminating":
            return namespace
        status["phase"] = "Terminating"
        return await self._client.update(self._resource, changed, subresource="status")

    async def _release(self, namespace: Object) -> None:
        changed = objects.clone(namespace)
        changed["spec"]["finalizers"] = [name for name in changed["spec"]["finalizers"] if name != FINALIZER]
        await self._client.update(self._resource, changed, subresource="finalize")
