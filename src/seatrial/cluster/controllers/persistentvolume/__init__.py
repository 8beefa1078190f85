"""PersistentVolumes and their claims: bound to each other, made on demand, reclaimed when nobody claims them any more.

`claims` and `volumes` each look after one kind: phases, binding, the protection of what is in use. `match` finds the
volume for a claim, `provision` describes a new one, `ephemeral` makes the claims of generic ephemeral volumes. Data is
not touched here: a node makes a volume's directory for the first pod that mounts it, and removes it (its `reclaimer`)
before the volume's object goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers.persistentvolume import ephemeral
from seatrial.cluster.controllers.persistentvolume.claims import Claims
from seatrial.cluster.controllers.persistentvolume.volumes import Volumes

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.controller import Controller


def build(context: ControlContext, directory: Path) -> tuple[Controller, ...]:
    """`directory`: where the data of provisioned volumes lies on the node."""
    return Claims(context, directory).controller, Volumes(context).controller, ephemeral.build(context)
