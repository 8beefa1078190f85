"""A new volume for a claim: a directory of the node (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers.persistentvolume import names
from seatrial.cluster.controllers.persistentvolume.standard import PROVISIONER
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.kube.model.objects import Object


def refusal(claim: Object) -> str:
    """Why no directory can be what the claim asks for; "" if one can."""
    spec = claim["spec"]
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        return "volumeMode Block: this provisioner makes file systems only"
    if spec.get("selector") is not None:
        return "spec.selector: a new volume has no labels to select: leave it out, or make the volume yourself"
    if spec.get("dataSource") is not None or spec.get("dataSourceRef") is not None:
        return "spec.dataSource: this provisioner makes empty volumes only"
    return ""


def volume(claim: Object, storage_class: Object, directory: Path) -> Object:
    """Every access mode is fine: one node holds all pods."""
    uid = objects.uid(claim)
    spec: dict[str, Any] = {
        "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "accessModes": list(claim["spec"]["accessModes"]),
        "claimRef": reference(claim),
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
        "storageClassName": objects.name(storage_class),
        "volumeMode": "Filesystem",
        "hostPath": {"path": str(directory / uid), "type": "DirectoryOrCreate"},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": f"pvc-{uid}",
            "annotations": {names.PROVISIONED_BY: PROVISIONER},
            "finalizers": [names.VOLUME_PROTECTION, names.DATA],
        },
        "spec": spec,
    }


def reference(claim: Object) -> dict[str, str]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": objects.namespace(claim),
        "name": objects.name(claim),
        "uid": objects.uid(claim),
        "resourceVersion": claim["metadata"]["resourceVersion"],
    }
