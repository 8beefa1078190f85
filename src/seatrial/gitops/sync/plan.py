"""The plan: every task of a sync in its order, and in which steps (one phase and wave each) they are done.

Pure: the same inputs give the same plan, so a resumed operation makes it anew and goes on where its results end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from seatrial.gitops.api import names
from seatrial.gitops.sync import order
from seatrial.gitops.sync.tasks import tasks_of, with_prune_last
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.gitops.sync.options import Options
    from seatrial.gitops.sync.tasks import Inputs, Task
    from seatrial.kube.model.objects import Object


class Step(NamedTuple):
    phase: str
    wave: int


@dataclass(frozen=True, slots=True)
class Plan:
    tasks: tuple[Task, ...]

    @property
    def steps(self) -> list[Step]:
        return list(dict.fromkeys(step_of(task) for task in self.tasks))

    @property
    def is_multi_step(self) -> bool:
        """Only then is the health of what was applied waited for."""
        return len({step_of(task) for task in self.tasks}) > 1

    def defined_here(self, task: Task) -> bool:
        """Whether the definition of the task's kind is part of this sync."""
        return any(order.defines(other, task.ref) for other in self.tasks)

    def made_here(self, namespace: str) -> bool:
        """Whether that Namespace is part of this sync."""
        return any(order.is_namespace(task.ref) and task.ref.name == namespace for task in self.tasks)


def plan(inputs: Inputs) -> Plan:
    return Plan(tuple(order.ordered(with_prune_last(tasks_of(inputs), inputs.options))))


def step_of(task: Task) -> Step:
    return Step(task.phase, task.wave)


def groups(tasks: Iterable[Task]) -> list[list[Task]]:
    """Neighbours of one kind: these are applied together."""
    return [list(found) for _, found in groupby(tasks, key=lambda task: (task.ref.group, task.ref.kind))]


def shared(tasks: Iterable[Task], instance: str) -> list[tuple[Task, str]]:
    """Targets whose live object another Application tracks, and which one (FailOnSharedResource)."""
    found = [(task, owner_of(task.live)) for task in tasks if not task.prunes and task.live is not None]
    return [(task, owner) for task, owner in found if owner and owner != instance]


def tracking_id(obj: Object, instance: str) -> str:
    ref = objects.ref(obj)
    return f"{instance}:{ref.group}/{ref.kind}:{ref.namespace}/{ref.name}"


def owner_of(live: Object | None) -> str:
    """The Application that tracks an object; "" if none does, or if the id was copied from another object."""
    if live is None:
        return ""
    written = objects.annotations(live).get(names.TRACKING_ID) or ""
    instance = written.partition(":")[0]
    return instance if written and _names(written, live, instance) else ""


def _names(written: str, live: Object, instance: str) -> bool:
    """An id without a namespace names a cluster-scoped object; some write the destination's there: both count."""
    ref = objects.ref(live)
    if written == tracking_id(live, instance):
        return True
    start, end = f"{instance}:{ref.group}/{ref.kind}:", f"/{ref.name}"
    return not ref.namespace and written.startswith(start) and written.endswith(end)


def unconfirmed(tasks: Sequence[Task], options: Options, setting: str = "Prune") -> list[Task]:
    """Those that wait for a person's word (`Prune=confirm`, `Delete=confirm`)."""
    return [task for task in tasks if options.setting(setting, task.live) == "confirm"]
