"""What a running sync needs from outside: a client, live objects by watch, health, time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object, Ref
    from seatrial.kube.model.resources import Resource


class Live(Protocol):
    """The cluster as a watch shows it; `gitops.live.LiveState` is one."""

    def get(self, ref: Ref, api_version: str) -> Object | None: ...

    def tracked(self, instance: str) -> Mapping[Ref, Object]:
        """What carries this Application's tracking id."""


class Assessed(Protocol):
    @property
    def status(self) -> str:
        """Healthy, Progressing, Degraded, Suspended, Missing or Unknown."""

    @property
    def message(self) -> str: ...


def apply_everything(target: Object, _live: Object) -> Object:
    return target


def forget(_target: Object, _live: Object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Context:
    client: Client
    clock: Clock
    live: Live
    resource: Callable[[str, str], Awaitable[Resource]]
    """By apiVersion and kind. Raises UnknownResource."""
    assess: Callable[[Object], Assessed | None]
    """The health of a live object; None: its kind has none."""
    keep_ignored: Callable[[Object, Object], Object] = apply_everything
    """RespectIgnoreDifferences: the target with the live values of what `ignoreDifferences` names."""
    on_applied: Callable[[Object, Object], None] = forget
    """Hears of each manifest (as sent) that was applied, and what the server made of it: that needs no compare."""
    wave_delay: float = 2.0
    """Seconds between two steps, for controllers to say in a status that they saw the change."""
    concurrency: int = 20
    """Calls at a time inside a step."""


class Progress(NamedTuple):
    state: Object
    """The `operationState` to write before the next `advance`."""
    requeue_after: float | None = None
    """Seconds; None: nothing is to be done until an object changes."""
    done: bool = False
