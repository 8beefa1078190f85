"""What happens to an object on its way in beyond its own kind's rules: it looks at other objects.

`on_create` and `on_update` may change the object or refuse it; `allocate` gives it what there is only one of;
`stored` and `removed` tell what follows from a write at once (served kinds, addresses).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver import roles
from seatrial.cluster.apiserver.admission import certificates, definitions, namespaces, pods, storage
from seatrial.cluster.apiserver.admission.namespaces import PROTECTED_NAMESPACES

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.catalog import Kind
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object

__all__ = ["PROTECTED_NAMESPACES", "allocate", "on_create", "on_update", "removed", "stored"]

_UNENFORCED = {
    "admissionregistration.k8s.io": "admission webhooks and policies are stored but not called by this server",
}
_UNENFORCED_KINDS = {
    "resourcequotas": "resource quotas are stored but not enforced by this server",
    "limitranges": "limit ranges are stored but not enforced by this server",
}


def on_create(core: Core, call: Call, obj: Object) -> None:
    namespaces.check_open(core, call, obj)
    _warn_unenforced(call)
    match call.kind.key:
        case "pods":
            pods.admit(core, call, obj)
        case "persistentvolumeclaims":
            storage.default_class(core, obj)
        case "ingresses.networking.k8s.io":
            storage.default_ingress_class(core, obj)
        case "certificatesigningrequests.certificates.k8s.io":
            certificates.admit(call, obj, None)
        case "customresourcedefinitions.apiextensions.k8s.io":
            definitions.admit(core, call, obj, None)


def complete(call: Call, obj: Object) -> None:
    """What every write adds before it is known whether anything has changed."""
    if call.kind.key == "pods":
        pods.readmit(obj)


def on_update(core: Core, call: Call, obj: Object, live: Object) -> None:
    match call.kind.key:
        case "certificatesigningrequests.certificates.k8s.io":
            certificates.admit(call, obj, live)
        case "customresourcedefinitions.apiextensions.k8s.io":
            definitions.admit(core, call, obj, live)


def allocate(core: Core, call: Call, obj: Object, live: Object | None = None) -> None:
    if call.kind.key == "services":
        core.allocator.assign(obj, live)


def stored(core: Core, kind: Kind, obj: Object) -> None:
    if kind.resource.group == roles.GROUP:
        core.roles.touched()
    if kind.key == "customresourcedefinitions.apiextensions.k8s.io":
        definitions.serve(core, obj)
    elif kind.key == "services":
        core.allocator.hold(obj)


def removed(core: Core, kind: Kind, obj: Object) -> None:
    if kind.resource.group == roles.GROUP:
        core.roles.touched()
    if kind.key == "customresourcedefinitions.apiextensions.k8s.io":
        core.catalog.undefine(obj["metadata"]["name"])
    elif kind.key == "services":
        core.allocator.release(obj)


def _warn_unenforced(call: Call) -> None:
    text = _UNENFORCED.get(call.resource.group) or _UNENFORCED_KINDS.get(call.kind.key)
    if text:
        call.warnings.append(text)
