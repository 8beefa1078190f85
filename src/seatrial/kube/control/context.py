"""What a controller module needs to build its controller: `def build(context: ControlContext) -> Controller`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.events import EventRecorder
    from seatrial.kube.control.informer import InformerFactory


@dataclass
class ControlContext:
    client: Client
    informers: InformerFactory
    clock: Clock
    recorder: EventRecorder
