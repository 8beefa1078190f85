"""The StorageClass every cluster starts with.

It binds at once. The usual `WaitForFirstConsumer` is for volumes that must be near their pod; here one node holds them
all, and waiting would only hurt: `helm --wait` and a GitOps sync wait for claims to be bound before they make, or
count, the pod that uses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NAME = "standard"
PROVISIONER = "seatrial.dev/local-path"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def storage_class() -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": NAME, "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": True,
    }
