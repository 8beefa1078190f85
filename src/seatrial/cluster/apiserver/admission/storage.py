"""The cluster's default StorageClass and IngressClass, given to what names none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Core
    from seatrial.kube.model.objects import Object

DEFAULT_STORAGE_CLASS = "storageclass.kubernetes.io/is-default-class"
DEFAULT_INGRESS_CLASS = "ingressclass.kubernetes.io/is-default-class"
_OLD_INGRESS_CLASS = "kubernetes.io/ingress.class"


def default_class(core: Core, claim: Object) -> None:
    """Only a claim without the field gets the default: an empty string means "no class"."""
    if "storageClassName" not in claim["spec"]:
        name = _marked(core, "storageclasses.storage.k8s.io", DEFAULT_STORAGE_CLASS)
        if name:
            claim["spec"]["storageClassName"] = name


def default_ingress_class(core: Core, ingress: Object) -> None:
    if "ingressClassName" in ingress["spec"] or _OLD_INGRESS_CLASS in objects.annotations(ingress):
        return
    name = _marked(core, "ingressclasses.networking.k8s.io", DEFAULT_INGRESS_CLASS)
    if name:
        ingress["spec"]["ingressClassName"] = name


def _marked(core: Core, resource: str, annotation: str) -> str:
    """The class marked as default; the newest, then the first by name, if several are."""
    marked = [
        entry for entry in core.store.list(resource) if objects.annotations(entry.object).get(annotation) == "true"
    ]
    if not marked:
        return ""
    newest = max(entry.object["metadata"]["creationTimestamp"] for entry in marked)
    return min(entry.name for entry in marked if entry.object["metadata"]["creationTimestamp"] == newest)
