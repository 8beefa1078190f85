"""What a pod's claims have to say: whether it can run at all yet, and on which nodes.

A class that waits for its first consumer is bound after the pod has a node: its claims keep nobody back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.scheduler.ledger import is_done
from seatrial.kube.model import nodefit, objects, resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

TAKEN = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
_BY_CLAIM = "scheduled claim"
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"


class Storage:
    def __init__(self, informers: InformerFactory) -> None:
        self._claims = informers.get(resources.for_plural("persistentvolumeclaims"))
        self._volumes = informers.get(resources.for_plural("persistentvolumes"))
        self._classes = informers.get(resources.for_plural("storageclasses", "storage.k8s.io"))
        self._pods = informers.get(resources.for_plural("pods"))
        self._pods.add_index(_BY_CLAIM, _held)
        self.informers = (self._claims, self._volumes, self._classes)

    def on_change(self, handler: Callable[[], None]) -> None:
        for informer in self.informers:
            informer.on_change(lambda _old, _new: handler())

    def obstacle(self, pod: Object) -> str:
        """Why the pod can run nowhere; "" if its claims do not stand in the way."""
        for name, owned in claims_of(pod):
            claim = self._claims.get(objects.namespace(pod), name)
            if claim is None:
                waiting = "waiting for ephemeral volume controller to create the " if owned else ""
                return f'{waiting}persistentvolumeclaim "{name}"' + ("" if owned else " not found")
            if problem := self._problem(claim):
                return problem
            if _is_for_one(claim) and self._is_held(claim, pod):
                return TAKEN
        return ""

    def admits(self, pod: Object, node: Object) -> bool:
        """The volumes of its claims may be used from there."""
        for name, _ in claims_of(pod):
            claim = self._claims.get(objects.namespace(pod), name)
            volume = self._volumes.get("", claim["spec"].get("volumeName") or "") if claim is not None else None
            required = ((volume or {"spec": {}})["spec"].get("nodeAffinity") or {}).get("required")
            terms = (required or {}).get("nodeSelectorTerms") or []
            if required is not None and not any(nodefit.term_matches(term, node) for term in terms):
                return False
        return True

    def _problem(self, claim: Object) -> str:
        name, phase = objects.name(claim), (claim.get("status") or {}).get("phase")
        if objects.is_deleting(claim):
            return f'persistentvolumeclaim "{name}" is being deleted'
        if phase == "Lost":
            volume = claim["spec"].get("volumeName")
            return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
        if phase != "Bound" and not self._waits(claim):
            return "pod has unbound immediate PersistentVolumeClaims"
        return ""

    def _is_held(self, claim: Object, pod: Object) -> bool:
        held = self._pods.by_index(_BY_CLAIM, f"{objects.namespace(claim)}/{objects.name(claim)}")
        return any(objects.uid(other) != objects.uid(pod) for other in held)

    def _waits(self, claim: Object) -> bool:
        name = objects.annotations(claim).get(_OLD_CLASS) or claim["spec"].get("storageClassName") or ""
        storage_class = self._classes.get("", name)
        return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def claims_of(pod: Object) -> Iterator[tuple[str, bool]]:
    """The name of each claim, and whether it is made with the pod."""
    for volume in pod["spec"].get("volumes") or []:
        if volume.get("persistentVolumeClaim"):
            yield volume["persistentVolumeClaim"]["claimName"], False
        elif volume.get("ephemeral"):
            yield f"{objects.name(pod)}-{volume['name']}", True


def _is_for_one(claim: Object) -> bool:
    return "ReadWriteOncePod" in (claim["spec"].get("accessModes") or [])


def _held(pod: Object) -> Iterator[str]:
    """The claims of a pod that has a node and has not ended."""
    if pod["spec"].get("nodeName") and not is_done(pod):
        for name, _ in claims_of(pod):
            yield f"{objects.namespace(pod)}/{name}"
