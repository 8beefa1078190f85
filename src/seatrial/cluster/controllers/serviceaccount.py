"""Every namespace has a ServiceAccount `default`: pods that name none run as it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers.namespace import is_active
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object

NAME = "default"


def build(context: ControlContext) -> Controller:
    resource = resources.for_plural("serviceaccounts")
    namespaces = context.informers.get(resources.for_plural("namespaces"))
    accounts = context.informers.get(resource)

    async def reconcile(key: Key) -> Outcome:
        namespace = key[1]
        if is_active(namespaces.get(*key)) and accounts.get(namespace, NAME) is None:
            try:
                await context.client.create(resource, _account(namespace))
            except StatusError as error:
                if not is_too_late(error):
                    raise
        return DONE

    controller = Controller("serviceaccount", reconcile, clock=context.clock)
    controller.watches(namespaces)
    controller.watches(accounts, _namespace_of_default)
    return controller


def _account(namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": NAME, "namespace": namespace},
    }


def _namespace_of_default(account: Object) -> Iterable[Key]:
    return (("", objects.namespace(account)),) if objects.name(account) == NAME else ()


def is_too_late(error: StatusError) -> bool:
    """The object is there by now, or its namespace is going or gone: nothing is left to do."""
    ending = error.code == 403 and any(
        cause.get("reason") == "NamespaceTerminating" for cause in error.details.get("causes") or ()
    )
    return ending or error.code == 404 or error.reason == "AlreadyExists"
