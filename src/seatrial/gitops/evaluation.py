"""One Application evaluated: what it is to be, what is live, what differs, how it is. Changes nothing.

resolve and render (`desired`) -> track (`diff.targets`) -> pair with what is live -> compare -> health
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import orjson

from seatrial.base.errors import SeatrialError
from seatrial.gitops.api import validate
from seatrial.gitops.api.clusters import UnknownDestination
from seatrial.gitops.diff import application as comparison
from seatrial.gitops.diff.compare import OUT_OF_SYNC, SYNCED, UNKNOWN
from seatrial.gitops.diff.rules import Rules, scaled_by
from seatrial.gitops.diff.targets import Condition, track
from seatrial.gitops.health import aggregate, checks
from seatrial.gitops.health.health import ORDER, Health
from seatrial.gitops.health.health import UNKNOWN as UNKNOWN_HEALTH
from seatrial.gitops.live import Kind
from seatrial.gitops.status import COMPARISON_ERROR
from seatrial.gitops.sync import hooks
from seatrial.gitops.sync.options import annotation_list
from seatrial.kube.client.discovery import UnknownResource
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.gitops.api.settings import Settings
    from seatrial.gitops.api.source import Source
    from seatrial.gitops.configuration import Configuration
    from seatrial.gitops.desired import Desired, Rendered
    from seatrial.gitops.destinations import Destination, Destinations
    from seatrial.gitops.diff.application import Comparison, ResourceStatus
    from seatrial.gitops.diff.compare import Difference
    from seatrial.gitops.diff.sandbox import Sandbox
    from seatrial.gitops.health.checks import Checks
    from seatrial.kube.model.objects import Object, Ref

    Find = Callable[[Ref, str], Object | None]

AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler")


class Targets(NamedTuple):
    """Manifests with namespace and tracking id, and what they were made of."""

    revisions: tuple[str, ...]
    source_types: tuple[str, ...]
    objects: tuple[Object, ...]
    digest: str
    conditions: tuple[Condition, ...]
    secrets: frozenset[str] = frozenset()
    """What was decrypted for them: to be struck out of messages."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    comparison: Comparison
    health: Health
    conditions: tuple[Condition, ...]
    targets: Targets | None = None
    """None: there are none, for a reason that is among the conditions."""
    destination: Destination | None = None
    rules: Rules = field(default_factory=Rules)
    healths: dict[Ref, Health] = field(default_factory=dict)

    @property
    def unmodified(self) -> frozenset[Ref]:
        """What is as it should be."""
        return frozenset(item.pair.ref for item in self.comparison.resources if item.status == SYNCED)

    @property
    def problem(self) -> str:
        """Why nothing may be synced; "" if it may."""
        fatal = {validate.INVALID_SPEC} if self.targets is not None else {validate.INVALID_SPEC, COMPARISON_ERROR}
        return "; ".join(condition.message for condition in self.conditions if condition.type in fatal)


@dataclass(slots=True)
class Memory:
    """Of one Application, between two evaluations; lost without harm."""

    key: object = None
    targets: Targets | None = None


class Evaluator:
    def __init__(
        self, configuration: Configuration, desired: Desired, destinations: Destinations, sandbox: Sandbox
    ) -> None:
        self._configuration = configuration
        self._desired = desired
        self._destinations = destinations
        self._sandbox = sandbox

    @property
    def settings(self) -> Settings:
        return self._configuration.settings

    def problems(self, app: Application, control_namespace: str) -> tuple[str, ...]:
        configuration = self._configuration
        project = configuration.project(app.project)
        return validate.problems(app, project, configuration.clusters, control_namespace=control_namespace)

    async def destination(self, app: Application) -> Destination:
        """Raises UnknownDestination, StatusError, TransportError."""
        return await self._destinations.of(self._configuration.clusters.resolve(app.destination))

    async def revisions(self, sources: Sequence[Source]) -> tuple[str, ...]:
        """Raises SourceFailed, SourceRefused."""
        return await self._desired.revisions(sources, force=True)

    async def watch(self, app: Application, targets: Sequence[Object], destination: Destination) -> None:
        """Have live copies of everything the Application has. Raises TimeoutError."""
        await destination.live.watch(_kinds(app, targets))

    async def evaluate(
        self, app: Application, memory: Memory, checks: Checks, control_namespace: str, *, refresh: str = "",
        find: Find | None = None,
    ) -> Evaluation:  # fmt: skip
        """`refresh`: `normal` asks the repositories anew, `hard` renders anew too. `find`: how live objects are seen.

        What goes wrong with sources or the cluster is among the conditions. Raises StatusError, TransportError for
        the controller's own cluster, TimeoutError while live copies are being loaded.
        """
        wrong = self.problems(app, control_namespace)
        if wrong:
            return failed(app, [Condition(validate.INVALID_SPEC, message) for message in wrong])
        try:
            destination = await self.destination(app)
            targets = await self.targets(app, app.sources, memory, destination, refresh=refresh)
        except (UnknownDestination, SeatrialError) as error:
            return failed(app, [Condition(COMPARISON_ERROR, error.message)])
        return await self.compare(app, targets, destination, checks, find)

    async def targets(
        self, app: Application, sources: Sequence[Source], memory: Memory, destination: Destination, *,
        revisions: Sequence[str] = (), refresh: str = "",
    ) -> Targets:  # fmt: skip
        """At `revisions`, or where the sources point now. Raises SourceFailed, SourceRefused, RenderFailed."""
        resolved = tuple(revisions) or await self._desired.revisions(sources, force=bool(refresh))
        key = (resolved, tuple(orjson.dumps(source.spec) for source in sources), app.project, app.name,
               app.destination, destination.kube_version, self.settings)  # fmt: skip
        if memory.targets is not None and memory.key == key and refresh != "hard":
            return memory.targets
        rendered = await self._desired.render(app, sources, resolved, destination, anew=refresh == "hard")
        memory.targets = await self.tracked(app, rendered, destination, memory.targets)
        memory.key = key
        return memory.targets

    async def tracked(
        self, app: Application, rendered: Rendered, destination: Destination, before: Targets | None = None
    ) -> Targets:
        scopes = await _scopes(destination, rendered.manifests)
        server = destination.cluster.server
        found = track(rendered.manifests, app, lambda *kind: scopes.get(kind), self.settings, server)
        conditions = [*found.conditions, *self._refused(app, found.objects, scopes)]
        digest = hashlib.blake2b(orjson.dumps(found.objects), digest_size=16).hexdigest()
        made = Targets(
            rendered.revisions, rendered.source_types, found.objects, digest, tuple(conditions), rendered.secrets
        )
        if before is not None and before.digest == digest:
            made = made._replace(objects=before.objects)  # the same ones: what is known of them stays known
        return made

    def _refused(
        self, app: Application, targets: Sequence[Object], scopes: dict[tuple[str, str], bool | None]
    ) -> list[Condition]:
        """Kinds that the project does not permit."""
        project = self._configuration.project(app.project)
        found = []
        for target in targets:
            ref = objects.ref(target)
            namespaced = scopes.get((target.get("apiVersion") or "", ref.kind)) is not False
            why = project and project.kind_violation(ref.group, ref.kind, ref.name, namespaced=namespaced)
            if why:
                found.append(Condition(validate.INVALID_SPEC, why))
        return found

    async def compare(
        self, app: Application, targets: Targets, destination: Destination, checks: Checks, find: Find | None = None
    ) -> Evaluation:
        live = destination.live
        unserved = await live.watch(_kinds(app, targets.objects))
        live.follow(app.instance, frozenset(objects.ref(target) for target in targets.objects))
        find = find or live.get
        rules = self.rules(app, targets.objects, live.all(AUTOSCALER))
        pairs = comparison.pair(targets.objects, live.tracked(app.instance), find, app.instance)
        differences: dict[Ref, Difference] = {}
        for each in pairs:
            if each.is_comparable:
                differences[each.ref] = await destination.comparer.compare(each.target, each.live, rules)
        compared = comparison.conclude(pairs, differences, app)
        healths = {}
        for each in pairs:
            if each.live is not None and (health := assess(each.live, checks)) is not None:
                healths[each.ref] = health
        overall = aggregate.aggregate(
            (aggregate.Resource(each.target, each.live, healths.get(each.ref)) for each in pairs),
            objects.ref(app.object),
        )
        missing = [Condition("SettingsWarning", f"the cluster serves no {kind.name} in {kind.api_version}")
                   for kind in sorted(unserved & set(_kinds(app, targets.objects)))
                   if kind.name and not _comes_along(kind, targets.objects)]  # fmt: skip
        conditions = (*targets.conditions, *compared.conditions, *missing)
        return Evaluation(compared, overall, conditions, targets, destination, rules, healths)

    def rules(self, app: Application, targets: Sequence[Object], autoscalers: Iterable[Object]) -> Rules:
        """What is not compared; `autoscalers`: those that are live."""
        scaled = scaled_by(autoscalers) | scaled_by(
            target for target in targets if target.get("kind") == AUTOSCALER.name
        )
        written = annotation_list(app.object, "argocd.argoproj.io/compare-options")
        return Rules.of(app.ignore_differences, self.settings, scaled, written)


def assess(obj: Object, found: Checks) -> Health | None:
    return checks.assess(obj, found)


def failed(app: Application, conditions: Sequence[Condition]) -> Evaluation:
    """Nothing could be compared: what was known of the resources is not known now."""
    nothing = comparison.Comparison(UNKNOWN, (), ())
    before = (app.status.get("health") or {}).get("status")
    return Evaluation(nothing, Health(before if before in ORDER else UNKNOWN_HEALTH), tuple(conditions))


def _kinds(app: Application, targets: Sequence[Object]) -> list[Kind]:
    """What is wanted, what was there before, and autoscalers: all are watched."""
    found = [Kind(target.get("apiVersion") or "", target.get("kind") or "") for target in targets]
    for item in app.status.get("resources") or ():
        api_version = objects.join_api_version(item.get("group") or "", item.get("version") or "")
        found.append(Kind(api_version, item.get("kind") or ""))
    return [kind for kind in dict.fromkeys([*found, AUTOSCALER]) if all(kind)]


def _comes_along(kind: Kind, targets: Sequence[Object]) -> bool:
    return any(
        target.get("kind") == "CustomResourceDefinition"
        and ((target.get("spec") or {}).get("names") or {}).get("kind") == kind.name
        for target in targets
    )


async def _scopes(destination: Destination, manifests: Sequence[Object]) -> dict[tuple[str, str], bool | None]:
    """Whether each kind is namespaced; None: the cluster does not serve it."""
    found: dict[tuple[str, str], bool | None] = {}
    for obj in manifests:
        key = (obj.get("apiVersion") or "", obj.get("kind") or "")
        if key not in found:
            try:
                found[key] = (await destination.live.mapper.for_kind(*key)).namespaced
            except UnknownResource:
                found[key] = None
    return found


def is_drift(resource: ResourceStatus) -> bool:
    return resource.status == OUT_OF_SYNC and not hooks.is_hook(resource.pair.obj)
