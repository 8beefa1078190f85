"""The data of volumes that were deleted: removed from the node's disk, then the volume's object may go.

A volume our provisioner made carries a finalizer until that is done.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from typing import TYPE_CHECKING

from seatrial.base.errors import Retryable
from seatrial.cluster.node.volumes.claims import directory_of
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

FINALIZER = "seatrial.dev/local-path"
_PROTECTED = "kubernetes.io/pv-protection"
_VOLUMES = resources.for_plural("persistentvolumes")


class DataNotRemoved(Retryable):
    reason = "VolumeFailedDelete"


def build(client: Client, informers: InformerFactory, clock: Clock, directory: Path | None) -> Controller:
    """`directory`: where the data of provisioned volumes lies; None if pods are simulated and have none."""
    volumes = informers.get(_VOLUMES)

    async def reconcile(key: Key) -> Outcome:
        volume = volumes.get(*key)
        if volume is None or not _is_due(volume):
            return DONE
        if directory is not None and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            await asyncio.to_thread(_remove, volume, directory)
        changed = objects.clone(volume)
        changed["metadata"]["finalizers"].remove(FINALIZER)
        try:
            await client.update(_VOLUMES, changed)
        except StatusError as error:
            if error.code != 404:
                raise
        return DONE

    controller = Controller("volume reclaimer", reconcile, clock=clock)
    controller.watches(volumes)
    return controller


def _is_due(volume: Object) -> bool:
    """While it is protected a claim has it still."""
    finalizers = objects.finalizers(volume)
    return objects.is_deleting(volume) and FINALIZER in finalizers and _PROTECTED not in finalizers


def _remove(volume: Object, directory: Path) -> None:
    """Raises DataNotRemoved."""
    data = directory_of(volume, directory)
    if data is None:
        return
    try:
        shutil.rmtree(data)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataNotRemoved(f"cannot remove {error.filename or data}: {error.strerror}") from error
    log.info("the data of a volume was removed", extra={"volume": objects.name(volume)})
