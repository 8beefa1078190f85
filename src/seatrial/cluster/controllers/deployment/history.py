"""Revisions of a Deployment: which ReplicaSet has the present template, how all are numbered and kept. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.cluster.controllers.deployment import rollout
from seatrial.cluster.controllers.pods import created_at
from seatrial.cluster.controllers.template import POD_TEMPLATE_HASH, same_template, stable_hash, without_hash
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.cluster.controllers.deployment.rollout import Limits
    from seatrial.kube.model.objects import Object

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ROLLBACK_TO = "deprecated.deployment.rollback.to"
_NOT_COPIED = frozenset({_LAST_APPLIED, _ROLLBACK_TO, REVISION, REVISION_HISTORY, rollout.DESIRED, rollout.MAX})
_LONGEST_HISTORY = 2000
"""Characters."""


class Sets(NamedTuple):
    """A Deployment's ReplicaSets: the one with the present template, if any, and the others."""

    new: Object | None
    old: list[Object]

    @property
    def all(self) -> list[Object]:
        return [*self.old, *([self.new] if self.new is not None else [])]


def sort_out(deployment: Object, replica_sets: Iterable[Object]) -> Sets:
    """Of several with the present template the oldest is the new one."""
    ordered = rollout.oldest_first(replica_sets)
    template = deployment["spec"]["template"]
    new = next((found for found in ordered if same_template(found["spec"]["template"], template)), None)
    return Sets(new, [found for found in ordered if found is not new])


def revision(obj: Object) -> int:
    text = objects.annotations(obj).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_revision(old: Iterable[Object]) -> int:
    return max((revision(found) for found in old), default=0) + 1


def annotations_of_new(deployment: Object, new: Object | None, number: int) -> dict[str, str]:
    """The annotations the new set is to have: its own, the Deployment's, and its revision if that moved on."""
    own = dict(objects.annotations(new)) if new is not None else {}
    copied = {key: value for key, value in objects.annotations(deployment).items() if key not in _NOT_COPIED}
    made = {**own, **copied}
    present = revision(new) if new is not None else 0
    if present < number:
        made[REVISION] = str(number)
        if present:
            made[REVISION_HISTORY] = _longer(own.get(REVISION_HISTORY, ""), str(present))
    return made


def _longer(history: str, number: str) -> str:
    """The oldest numbers are dropped where the text would grow too long."""
    numbers = [*filter(None, history.split(",")), number]
    while len(",".join(numbers)) > _LONGEST_HISTORY:
        numbers.pop(0)
    return ",".join(numbers)


def replica_set_for(deployment: Object, bounds: Limits, old: Sequence[Object]) -> Object:
    """The ReplicaSet of a template seen for the first time."""
    spec = deployment["spec"]
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    template = objects.clone(without_hash(spec["template"]))
    label = stable_hash(template, collisions)
    meta = template.setdefault("metadata", {})
    meta["labels"] = {**(meta.get("labels") or {}), POD_TEMPLATE_HASH: label}
    selector = objects.clone(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), POD_TEMPLATE_HASH: label}
    rolling = rollout.is_rolling(deployment)
    replicas = rollout.grown(bounds, 0, rollout.total(old)) if rolling else bounds.replicas
    annotations = annotations_of_new(deployment, None, next_revision(old))
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{objects.name(deployment)}-{label}",
            "namespace": objects.namespace(deployment),
            "labels": dict(meta["labels"]),
            "annotations": {**annotations, **rollout.size_annotations(bounds)},
            "ownerReferences": [objects.controller_reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return made


def superfluous(deployment: Object, old: Iterable[Object]) -> list[Object]:
    """Old sets beyond `revisionHistoryLimit`, lowest revision first; a set that still has pods stays."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None:
        return []
    alive = [found for found in old if not objects.is_deleting(found)]
    ordered = sorted(alive, key=lambda found: (revision(found), created_at(found)))
    return [found for found in ordered[: max(0, len(alive) - limit)] if _is_idle(found)]


def _is_idle(replica_set: Object) -> bool:
    status = replica_set.get("status") or {}
    seen = (status.get("observedGeneration") or 0) >= (objects.metadata(replica_set).get("generation") or 0)
    return rollout.size(replica_set) == 0 and not status.get("replicas") and seen
