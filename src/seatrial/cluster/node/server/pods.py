"""What the node's server asks the kubelet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seatrial.kube.model.objects import Object


@dataclass(frozen=True, slots=True)
class Found:
    """A container of a pod."""

    container_id: str
    """"" if it has not run since the node started."""
    log_path: Path
    is_running: bool


class Pods(Protocol):
    def find(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> Found:
        """Raises StatusError if there is no such pod or container, or it has not run yet."""

    def sandbox(self, namespace: str, pod: str) -> int | None:
        """A process in the pod's network namespace; None: it is the node's own. Raises StatusError."""

    def summary(self) -> list[tuple[Object, Mapping[str, str]]]:
        """Each pod with running containers, and their ids by name."""
