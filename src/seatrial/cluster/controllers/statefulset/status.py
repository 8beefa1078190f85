"""The status of a StatefulSet. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers import pods
from seatrial.cluster.controllers.statefulset import identity
from seatrial.cluster.controllers.statefulset.plan import min_ready, revision_of
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.cluster.controllers.statefulset.plan import View
    from seatrial.kube.model.objects import Object


def status_of(view: View, collisions: int) -> Object:
    """An update is complete when every pod is there, ready and updated: then the new revision is the current one."""
    stateful_set, seen = view.stateful_set, view.pods
    staying = [pod for pod in seen if not objects.is_deleting(pod)]
    ready = [pod for pod in seen if pods.phase(pod) == "Running" and pods.is_ready(pod)]
    current, updated = (sum(revision_of(pod) == name for pod in staying) for name in (view.current, view.update))
    current_revision = view.current
    if updated == len(ready) == len(seen) == identity.replicas(stateful_set):
        current, current_revision = updated, view.update
    optional = {
        "observedGeneration": objects.metadata(stateful_set).get("generation") or 0,
        "readyReplicas": len(ready),
        "currentReplicas": current,
        "updatedReplicas": updated,
    }
    status: Object = {
        "replicas": len(seen),
        "availableReplicas": sum(pods.is_available(pod, min_ready(stateful_set), view.now) for pod in ready),
        "currentRevision": current_revision,
        "updateRevision": view.update,
        "collisionCount": collisions,
    }
    status |= {key: value for key, value in optional.items() if value}
    kept = (stateful_set.get("status") or {}).get("conditions")
    return {**status, "conditions": kept} if kept else status
