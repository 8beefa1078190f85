"""Every namespace has a ConfigMap `kube-root-ca.crt`: what a pod needs to trust the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers.namespace import is_active
from seatrial.cluster.controllers.serviceaccount import is_too_late
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object

NAME = "kube-root-ca.crt"
_DESCRIPTION = "The certificate authority to check the API server's certificate with, inside the cluster."


def build(context: ControlContext, ca_pem: str) -> Controller:
    """`ca_pem`: the certificate of the authority that signed the API server's."""
    resource = resources.for_plural("configmaps")
    namespaces = context.informers.get(resources.for_plural("namespaces"))
    maps = context.informers.get(resource)

    async def reconcile(key: Key) -> Outcome:
        namespace = key[1]
        if not is_active(namespaces.get(*key)):
            return DONE
        found = maps.get(namespace, NAME)
        try:
            if found is None:
                await context.client.create(resource, _config_map(namespace, ca_pem))
            elif found.get("data") != {"ca.crt": ca_pem}:
                await context.client.update(resource, {**objects.clone(found), "data": {"ca.crt": ca_pem}})
        except StatusError as error:
            if not is_too_late(error):
                raise
        return DONE

    controller = Controller("rootca", reconcile, clock=context.clock)
    controller.watches(namespaces)
    controller.watches(maps, _namespace_of_ours)
    return controller


def _namespace_of_ours(config_map: Object) -> Iterable[Key]:
    return (("", objects.namespace(config_map)),) if objects.name(config_map) == NAME else ()


def _config_map(namespace: str, ca_pem: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "annotations": {"kubernetes.io/description": _DESCRIPTION},
        },
        "data": {"ca.crt": ca_pem},
    }
