"""What marks claims and volumes as they are bound, and what they say of themselves (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339
from seatrial.cluster.controllers.persistentvolume.standard import PROVISIONER
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.base.clock import Clock
    from seatrial.kube.model.objects import Object

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
STORAGE_PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
SELECTED_NODE = "volume.kubernetes.io/selected-node"
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"

CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
DATA = "seatrial.dev/local-path"
"""The finalizer of provisioned volumes: the node takes it off once their data is gone."""


def class_of(obj: Object) -> str:
    """Of a claim or a volume; "" for none."""
    old = objects.annotations(obj).get(_OLD_CLASS)
    return str(old if old is not None else obj["spec"].get("storageClassName") or "")


def names_class(claim: Object) -> bool:
    """False: it is to have the default class, once there is one. (An empty name asks for none.)"""
    return claim["spec"].get("storageClassName") is not None or _OLD_CLASS in objects.annotations(claim)


def phase(obj: Object) -> str:
    return str((obj.get("status") or {}).get("phase") or "Pending")


def is_bound(claim: Object) -> bool:
    """It has been bound, whatever became of its volume."""
    return BIND_COMPLETED in objects.annotations(claim)


def claim_reference(volume: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = volume["spec"].get("claimRef") or {}
    return found


def is_for(volume: Object, claim: Object) -> bool:
    """The volume is bound, or reserved by somebody, for this very claim."""
    reference = claim_reference(volume)
    return (
        reference.get("name") == objects.name(claim)
        and reference.get("namespace") == objects.namespace(claim)
        and reference.get("uid") in (None, "", objects.uid(claim))
    )


def is_ours(volume: Object) -> bool:
    return objects.annotations(volume).get(PROVISIONED_BY) == PROVISIONER


def in_phase(volume: Object, phase: str, clock: Clock, **more: str) -> Object:
    """A copy, as its status is to be written."""
    changed = objects.clone(volume)
    changed["status"] = {"phase": phase, "lastPhaseTransitionTime": rfc3339(clock.time()), **more}
    return changed
