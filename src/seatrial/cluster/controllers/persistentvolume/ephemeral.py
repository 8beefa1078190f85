"""Generic ephemeral volumes: a claim that is made with its pod, and goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers.serviceaccount import is_too_late
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, owner_keys
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object

_CLAIMS = resources.for_plural("persistentvolumeclaims")


def build(context: ControlContext) -> Controller:
    pods = context.informers.get(resources.for_plural("pods"))
    claims = context.informers.get(_CLAIMS)

    async def reconcile(key: Key) -> Outcome:
        pod = pods.get(*key)
        if pod is None or objects.is_deleting(pod):
            return DONE
        for volume in _ephemeral(pod):
            wanted = claim(pod, volume)
            found = claims.get(key[0], objects.name(wanted))
            if found is None:
                await _create(context, wanted)
            elif (objects.controller_of(found) or {}).get("uid") != objects.uid(pod):
                text = f'ephemeral volume "{volume["name"]}": the claim "{objects.name(found)}" is not of this pod'
                context.recorder.event(pod, "Warning", "EphemeralVolumeConflict", text)
        return DONE

    controller = Controller("ephemeral volumes", reconcile, clock=context.clock)
    controller.watches(pods, lambda pod: ((objects.namespace(pod), objects.name(pod)),) if _ephemeral(pod) else ())
    controller.watches(claims, owner_keys("Pod", ""))
    return controller


def claim(pod: Object, volume: Mapping[str, Any]) -> Object:
    template = volume["ephemeral"]["volumeClaimTemplate"]
    metadata = {
        key: value for key, value in (template.get("metadata") or {}).items() if key in ("labels", "annotations")
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            **metadata,
            "name": f"{objects.name(pod)}-{volume['name']}",
            "namespace": objects.namespace(pod),
            "ownerReferences": [objects.controller_reference({"apiVersion": "v1", "kind": "Pod", **pod})],
        },
        "spec": template["spec"],
    }


def _ephemeral(pod: Object) -> list[Mapping[str, Any]]:
    found: Iterable[Mapping[str, Any]] = pod["spec"].get("volumes") or []
    return [volume for volume in found if (volume.get("ephemeral") or {}).get("volumeClaimTemplate")]


async def _create(context: ControlContext, wanted: Object) -> None:
    try:
        await context.client.create(_CLAIMS, wanted)
    except StatusError as error:
        if error.code != 409 and not is_too_late(error):
            raise
