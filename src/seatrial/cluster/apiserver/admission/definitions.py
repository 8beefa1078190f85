"""CustomResourceDefinitions: established at once, served from the moment they are stored.

Upstream needs a controller and about a second for it; here names are checked against the catalog on the way in.
A definition is deleted only after its objects: a finalizer holds it, a controller empties it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.cluster.apiserver.customresources import definition
from seatrial.kube.model import objects
from seatrial.kube.model.schema import structural

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def admit(core: Core, call: Call, crd: Object, live: Object | None) -> None:
    if live is None:
        crd["metadata"]["finalizers"] = sorted({*objects.finalizers(crd), FINALIZER})
    if not _is_well_formed(crd):
        return  # validation, which comes next, says why
    schemas = [(version.get("schema") or {}).get("openAPIV3Schema") or {} for version in crd["spec"]["versions"]]
    if any(structural.has_cel(schema) for schema in schemas):
        call.warnings.append("x-kubernetes-validations are stored but not evaluated by this server")
    crd["status"] = definition.status(crd, _taken(core, crd), rfc3339(core.clock.time()))


def _is_well_formed(crd: Object) -> bool:
    return not definition.validate(crd, None)


def _taken(core: Core, crd: Object) -> dict[str, str]:
    """Names of the same group that belong to other kinds: name -> plural of its owner."""
    spec = crd["spec"]
    taken: dict[str, str] = {}
    for kind in core.catalog.all():
        resource = kind.resource
        if resource.group != spec["group"] or resource.plural == spec["names"]["plural"]:
            continue
        for name in (resource.plural, resource.singular, resource.kind, resource.list_name, *resource.short_names):
            taken[name] = resource.plural
    return taken


def serve(core: Core, crd: Object) -> None:
    if definition.is_established(crd):
        core.catalog.define(crd)
