"""A Task: one object to apply or to prune in one phase. Which tasks there are, from manifests and live objects."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from seatrial.gitops.api import names
from seatrial.gitops.sync import hooks
from seatrial.gitops.sync.order import is_namespace
from seatrial.kube.model import objects
from seatrial.kube.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from seatrial.gitops.sync.options import Options
    from seatrial.kube.model.objects import Object

    Find = Callable[[Ref, str], Object | None]
    """A live object by name and apiVersion."""


@dataclass(frozen=True, slots=True)
class Task:
    ref: Ref
    phase: str
    wave: int
    target: Object | None
    """None: to be pruned."""
    live: Object | None
    hook: bool = False
    makes_namespace: bool = False
    """Not in the manifests: `CreateNamespace=true` asks for it."""

    @property
    def prunes(self) -> bool:
        return self.target is None

    @property
    def obj(self) -> Object:
        return self.target if self.target is not None else (self.live or {})

    @property
    def api_version(self) -> str:
        found: str = self.obj.get("apiVersion") or ""
        return found

    def has_policy(self, policy: str) -> bool:
        return self.hook and policy in hooks.delete_policies(self.obj)

    def __str__(self) -> str:
        return f"{self.ref.group}/{self.ref.kind}/{self.ref.name}"


@dataclass(frozen=True, slots=True)
class Inputs:
    """All a plan depends on. Targets have their tracking id and namespace (none if cluster-scoped)."""

    targets: tuple[Object, ...]
    managed: Mapping[Ref, Object]
    """Live objects that the Application tracks."""
    find: Find
    options: Options
    revision: str = ""
    started: float = 0.0
    namespace: str = ""
    """Of the destination."""
    namespace_metadata: Mapping[str, Any] = field(default_factory=dict)
    phases: tuple[str, ...] = hooks.PHASES


def tasks_of(inputs: Inputs) -> list[Task]:
    """In no order, with the waves that manifests and live objects name."""
    made = [task for target in inputs.targets for task in _of_target(target, inputs)]
    made += _prunes(inputs)
    chosen = [task for task in made if inputs.options.selects(task.ref)]
    return [*chosen, *_destination(made, inputs)]


def _of_target(target: Object, inputs: Inputs) -> Iterable[Task]:
    hook = hooks.is_hook(target)
    if hook and inputs.options.skips_hooks:
        return
    for phase in hooks.phases(target):
        if phase in inputs.phases:
            obj = hooks.named(target, phase, inputs.revision, inputs.started) if hook else target
            ref = objects.ref(obj)
            live = inputs.find(ref, obj.get("apiVersion") or "")
            yield Task(ref, phase, hooks.wave(obj), obj, live, hook)


def _prunes(inputs: Inputs) -> Iterable[Task]:
    """A hook that lives on is nobody's leftover, nor is what has an owner: its owner takes it along."""
    named = {objects.ref(target) for target in inputs.targets}
    pruned = [
        Task(ref, hooks.SYNC, hooks.wave(live), None, live)
        for ref, live in inputs.managed.items()
        if ref not in named and not hooks.is_hook(live) and not objects.owner_references(live)
    ]
    return _mirrored([task for task in pruned if not hooks.skips(task.obj)])


def _mirrored(prunes: list[Task]) -> list[Task]:
    """What was made last goes first: the lowest wave among them changes places with the highest, and so on."""
    waves = sorted({task.wave for task in prunes})
    mirror = dict(zip(waves, reversed(waves), strict=True))
    return [replace(task, wave=mirror[task.wave]) for task in prunes]


def with_prune_last(tasks: list[Task], options: Options) -> list[Task]:
    """PruneLast: after the last wave of the Sync phase."""
    last = max((task.wave for task in tasks if task.phase == hooks.SYNC), default=0)
    return [
        replace(task, wave=max(last, 0) + 1) if task.prunes and options.is_set("PruneLast", task.live) else task
        for task in tasks
    ]


def _destination(tasks: list[Task], inputs: Inputs) -> Iterable[Task]:
    """CreateNamespace: the manifests' own Namespace beats it; one that is as asked needs nothing."""
    name = inputs.namespace
    if not name or not inputs.options.is_on("CreateNamespace"):
        return
    ref = Ref("", "Namespace", "", name)
    if any(is_namespace(task.ref) and task.ref.name == name and not task.prunes for task in tasks):
        return
    live = inputs.find(ref, "v1")
    target = destination_namespace(name, inputs.namespace_metadata)
    if live is None or not has_metadata(live, inputs.namespace_metadata):
        yield Task(ref, hooks.PRE_SYNC, 0, target, live, makes_namespace=True)


def destination_namespace(name: str, metadata: Mapping[str, Any]) -> Object:
    shown: Object = {"name": name}
    for key in ("labels", "annotations"):
        if metadata.get(key):
            shown[key] = dict(metadata[key])
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": shown}


def has_metadata(live: Object, wanted: Mapping[str, Any]) -> bool:
    """Whether `managedNamespaceMetadata` is all there, and nothing is left of what it asked for before."""
    owned = _owned_metadata(live)
    for key in ("labels", "annotations"):
        asked = wanted.get(key) or {}
        found = objects.metadata(live).get(key) or {}
        if any(found.get(name) != value for name, value in asked.items()) or owned[key] - set(asked):
            return False
    return True


def _owned_metadata(live: Object) -> dict[str, set[str]]:
    """The names of labels and annotations that this engine has applied."""
    owned: dict[str, set[str]] = defaultdict(set)
    for entry in objects.metadata(live).get("managedFields") or ():
        if (entry.get("manager"), entry.get("operation")) == (names.FIELD_MANAGER, "Apply"):
            fields = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
            for key in ("labels", "annotations"):
                found = (name.removeprefix("f:") for name in fields.get(f"f:{key}") or ())
                owned[key].update(name for name in found if name != names.TRACKING_ID and name != ".")
    return owned
