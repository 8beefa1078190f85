"""The roles and bindings every cluster starts with, as Kubernetes defines them.

`data/bootstrap.json` is made by `tools/generate_bootstrap_roles.py`. The server writes what is missing at start;
aggregated roles come with their rules filled in, so that they work before any controller runs.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import orjson

from seatrial.kube.model.roles import aggregate

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_API_VERSION = "rbac.authorization.k8s.io/v1"
_COMMON: dict[str, dict[str, str]] = {
    "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
}
NAMESPACES = ("kube-system", "kube-public")
"""Where the default Roles and RoleBindings live; the server makes these first."""


def default_objects() -> list[Object]:
    """ClusterRoles, ClusterRoleBindings, Roles and RoleBindings, in this order; new objects at each call."""
    raw = orjson.loads(files("seatrial.cluster.apiserver.auth").joinpath("data/bootstrap.json").read_bytes())
    found = [_expanded(item) for item in raw]
    cluster_roles = [item for item in found if item["kind"] == "ClusterRole"]
    while _gather(cluster_roles):  # admin gathers edit, which gathers view: until no round changes anything
        pass
    return found


def _gather(cluster_roles: list[Object]) -> bool:
    """One round of aggregation in place; whether it changed a role."""
    changed = False
    for role in cluster_roles:
        rules = aggregate(role, cluster_roles)
        if rules is not None:
            role["rules"], changed = rules, True
    return changed


def _expanded(item: Object) -> Object:
    """The stored form leaves out what every one of them has."""
    metadata = {key: {**value, **item["metadata"].get(key, {})} for key, value in _COMMON.items()}
    return {"apiVersion": _API_VERSION, **item, "metadata": {**item["metadata"], **metadata}}
