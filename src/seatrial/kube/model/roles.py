"""ClusterRole aggregation: a role whose rules are gathered from the roles its selectors match. Pure.

The server fills in the bootstrap roles with it, a controller keeps all roles current.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.kube.model import objects, selectors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object


def is_aggregated(cluster_role: Object) -> bool:
    return bool((cluster_role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def aggregate(cluster_role: Object, all: Iterable[Object]) -> list[dict[str, Any]] | None:
    """The rules its aggregationRule gathers from the other ClusterRoles; None if it has none or nothing changes.

    Raises ValueError for a selector that is none.
    """
    if not is_aggregated(cluster_role):
        return None
    wanted = cluster_role["aggregationRule"]["clusterRoleSelectors"]
    others = sorted((role for role in all if objects.name(role) != objects.name(cluster_role)), key=objects.name)
    gathered: dict[bytes, dict[str, Any]] = {}
    for selector in map(selectors.from_object, wanted):
        for role in others:
            if selector.matches(objects.labels(role)):
                for rule in role.get("rules") or ():
                    gathered.setdefault(orjson.dumps(rule, option=orjson.OPT_SORT_KEYS), rule)
    rules = list(gathered.values())
    return None if rules == (cluster_role.get("rules") or []) else rules
