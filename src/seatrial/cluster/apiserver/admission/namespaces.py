"""A namespace must exist, and not be on its way out, before anything is put into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model import objects, resources, status
from seatrial.kube.model.status import Cause

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object

PROTECTED_NAMESPACES = frozenset({"default", "kube-system", "kube-public"})


def check_open(core: Core, call: Call, obj: Object) -> None:
    if not call.resource.namespaced:
        return
    namespace = core.object("namespaces", "", call.namespace)
    if namespace is None:
        raise status.not_found(resources.for_plural("namespaces"), call.namespace)
    if objects.is_deleting(namespace):
        name = objects.name(obj)
        cause = Cause("NamespaceTerminating", f"namespace {call.namespace} is being terminated", "metadata.namespace")
        raise status.forbidden(
            f'{call.resource} "{name}" is forbidden: unable to create new content in namespace {call.namespace} '
            "because it is being terminated",
            call.resource,
            name,
            [cause],
        )
