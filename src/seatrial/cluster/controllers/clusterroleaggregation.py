"""ClusterRoles with an aggregationRule hold the rules of the roles they gather: so `edit` learns of a new kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.client.client import PatchType
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects, resources, roles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object


def build(context: ControlContext) -> Controller:
    resource = resources.for_plural("clusterroles", "rbac.authorization.k8s.io")
    cluster_roles = context.informers.get(resource)

    async def reconcile(key: Key) -> Outcome:
        role = cluster_roles.get(*key)
        if role is None or objects.is_deleting(role):
            return DONE
        rules = roles.aggregate(role, cluster_roles.list())
        if rules is not None:
            change = {"metadata": {"resourceVersion": role["metadata"]["resourceVersion"]}, "rules": rules}
            await context.client.patch(resource, key[1], change, type=PatchType.MERGE)
        return DONE

    def gathering(_changed: Object) -> Iterable[Key]:
        """Any role may be gathered by any other."""
        return [("", objects.name(role)) for role in cluster_roles.list() if roles.is_aggregated(role)]

    controller = Controller("clusterroleaggregation", reconcile, clock=context.clock)
    controller.watches(cluster_roles, gathering)
    return controller
