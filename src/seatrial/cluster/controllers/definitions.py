"""A CustomResourceDefinition as the resource it brings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model import conditions, resources
from seatrial.kube.model.resources import Resource

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

DEFINITIONS = resources.for_plural("customresourcedefinitions", "apiextensions.k8s.io")


def served_as(definition: Object) -> Resource | None:
    """The resource, in the version that comes first of those served; None before it is served."""
    if not conditions.is_true(definition, "Established"):
        return None
    spec = definition["spec"]
    served = resources.sort_versions(version["name"] for version in spec["versions"] if version["served"])
    if not served:
        return None
    names = (definition.get("status") or {}).get("acceptedNames") or spec["names"]
    return Resource(
        group=spec["group"],
        version=served[0],
        kind=names["kind"],
        plural=names["plural"],
        namespaced=spec["scope"] == "Namespaced",
    )
