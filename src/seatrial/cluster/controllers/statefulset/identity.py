"""What is particular to the pod of one ordinal: name, labels, host name and claims. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers.revisions import HASH_LABEL
from seatrial.cluster.controllers.template import pod_from
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"

_NAME = re.compile(r"(.*)-(0|[1-9][0-9]*)")


def start(stateful_set: Object) -> int:
    first: int = (stateful_set["spec"].get("ordinals") or {}).get("start") or 0
    return first


def replicas(stateful_set: Object) -> int:
    count: int = stateful_set["spec"].get("replicas", 1)
    return count


def ordinals(stateful_set: Object) -> range:
    first = start(stateful_set)
    return range(first, first + replicas(stateful_set))


def ordinal_of(stateful_set: Object, pod: Object) -> int | None:
    """The pod's place; None if its name is not one of this set's."""
    match = _NAME.fullmatch(objects.name(pod))
    if match is None or match[1] != objects.name(stateful_set):
        return None
    return int(match[2])


def pod_name(stateful_set: Object, ordinal: int) -> str:
    return f"{objects.name(stateful_set)}-{ordinal}"


def labels(stateful_set: Object, ordinal: int) -> dict[str, str]:
    return {POD_NAME: pod_name(stateful_set, ordinal), POD_INDEX: str(ordinal)}


def pod_for(stateful_set: Object, template: Object, ordinal: int, revision: str) -> Object:
    name = pod_name(stateful_set, ordinal)
    pod = pod_from(template, stateful_set, name=name)
    own = {**labels(stateful_set, ordinal), HASH_LABEL: revision}
    pod["metadata"]["labels"] = {**(pod["metadata"].get("labels") or {}), **own}
    spec = pod["spec"]
    spec["hostname"] = name
    spec["subdomain"] = stateful_set["spec"].get("serviceName") or ""
    claimed = {claim["metadata"]["name"]: claim_name(claim, name) for claim in claim_templates(stateful_set)}
    if claimed:
        others = [volume for volume in spec.get("volumes") or [] if volume["name"] not in claimed]
        spec["volumes"] = [*(_volume(volume, claim) for volume, claim in claimed.items()), *others]
    return pod


def _volume(name: str, claim: str) -> dict[str, Any]:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}


def claim_templates(stateful_set: Object) -> list[Object]:
    return stateful_set["spec"].get("volumeClaimTemplates") or []


def claim_name(template: Object, pod: str) -> str:
    return f"{template['metadata']['name']}-{pod}"


def claims_for(stateful_set: Object, pod: str) -> list[Object]:
    """The claims of one pod, as they are first made."""
    selected = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    made = []
    for template in claim_templates(stateful_set):
        claim = objects.clone(template)
        claim.pop("status", None)
        meta = claim["metadata"]
        meta["name"] = claim_name(template, pod)
        meta["namespace"] = objects.namespace(stateful_set)
        meta["labels"] = {**(meta.get("labels") or {}), **selected}
        made.append({**claim, "apiVersion": "v1", "kind": "PersistentVolumeClaim"})
    return made


# who owns a claim, and so whose end it shares


def claim_owners(stateful_set: Object, claim: Object, pod: Object | None, ordinal: int) -> list[dict[str, Any]]:
    """The owner references the retention policy asks for, beside those of others."""
    kept = [
        reference for reference in objects.owner_references(claim) if not _is_ours(stateful_set, reference, ordinal)
    ]
    if any(reference.get("controller") for reference in kept):
        return kept  # somebody else manages this claim
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    condemned = ordinal not in ordinals(stateful_set)
    if condemned and policy.get("whenScaled") == "Delete":
        return [*kept, _reference(pod)] if pod is not None else kept
    if policy.get("whenDeleted") == "Delete":
        return [*kept, objects.controller_reference(stateful_set)]
    return kept


def _is_ours(stateful_set: Object, reference: dict[str, Any], ordinal: int) -> bool:
    kind, name = reference.get("kind"), reference.get("name")
    return (kind, name) in (
        ("StatefulSet", objects.name(stateful_set)),
        ("Pod", pod_name(stateful_set, ordinal)),
    )


def _reference(pod: Object) -> dict[str, Any]:
    return {**objects.controller_reference({"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]})}


def is_stale(claim: Object, pod: str) -> bool:
    """It is going, or will go, with an earlier pod of this name: a new pod must not begin to use it."""
    if objects.is_deleting(claim):
        return True
    return any(found.get("kind") == "Pod" and found.get("name") == pod for found in objects.owner_references(claim))
