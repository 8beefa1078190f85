"""What is in a cluster before anybody creates anything: namespaces, roles, priorities, a storage class, the API's own
Service.

Written once; the default roles are brought up to date at each start (unless they opted out by
`rbac.authorization.kubernetes.io/autoupdate: "false"`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.allocation import API_SERVICE_IP
from seatrial.cluster.apiserver.auth import bootstrap as auth_bootstrap
from seatrial.cluster.controllers.persistentvolume import standard
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_PRIORITIES = {
    "system-cluster-critical": (
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    "system-node-critical": (
        2000001000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}
_AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"


async def populate(client: Client, host: str, port: int) -> None:
    """Create what is missing. `host` and `port` are where the API listens: the `kubernetes` Service's endpoint."""
    await asyncio.gather(*(_ensure(client, _namespace(name)) for name in _NAMESPACES))
    await asyncio.gather(
        *(_ensure(client, _priority_class(name, *rest)) for name, rest in _PRIORITIES.items()),
        *(_ensure_role(client, obj) for obj in auth_bootstrap.default_objects()),
        *(_ensure_role(client, obj) for obj in _node_access()),
        _ensure(client, _api_service()),
        _ensure(client, standard.storage_class()),
        _publish(client, _api_endpoints(host, port)),
        _publish(client, _api_endpoint_slice(host, port)),
    )


async def _ensure(client: Client, obj: Object) -> None:
    if await _live(client, obj) is None:
        await client.create(_resource(obj), obj)


async def _publish(client: Client, obj: Object) -> None:
    """Create, or replace what an earlier start left (the port may be another)."""
    live = await _live(client, obj)
    if live is None:
        await client.create(_resource(obj), obj)
    else:
        await _replace(client, live, obj)


async def _ensure_role(client: Client, obj: Object) -> None:
    live = await _live(client, obj)
    if live is None:
        await client.create(_resource(obj), obj)
    elif objects.annotations(live).get(_AUTOUPDATE) != "false" and not _holds(live, obj):
        await _replace(client, live, obj)


def _resource(obj: Object) -> Resource:
    return resources.for_kind(obj["apiVersion"], obj["kind"])


async def _live(client: Client, obj: Object) -> Object | None:
    try:
        return await client.get(_resource(obj), objects.name(obj), objects.namespace(obj))
    except StatusError as error:
        if error.code != 404:
            raise
        return None


async def _replace(client: Client, live: Object, obj: Object) -> None:
    version = live["metadata"]["resourceVersion"]
    await client.update(_resource(obj), {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}})


def _holds(live: Object, wanted: Object) -> bool:
    return all(live.get(field) == wanted.get(field) for field in ("rules", "subjects", "roleRef", "aggregationRule"))


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _priority_class(name: str, value: int, description: str) -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "description": description,
        "preemptionPolicy": "PreemptLowerPriority",
    }


_NODE_ROLE = "seatrial:node"
_NODES = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}
_NODE_RULES = (
    (("",), ("namespaces",), ("get", "list", "watch")),
    (("networking.k8s.io",), ("networkpolicies", "ingresses"), ("get", "list", "watch")),
    (("",), ("services", "endpoints"), ("create", "get", "list", "patch", "watch")),
    (("discovery.k8s.io",), ("endpointslices",), ("create", "get", "patch")),
    (("",), ("persistentvolumes",), ("get", "list", "watch", "patch", "update")),
    (("",), ("persistentvolumeclaims",), ("get", "list", "watch")),
)
"""What our node does besides a kubelet's and a kube-proxy's work: policies, DNS, local volumes."""


def _node_access() -> list[Object]:
    """The node's own process is one of system:nodes; there is no node authorizer that would narrow it to its pods."""
    rules = [{"apiGroups": list(g), "resources": list(r), "verbs": list(v)} for g, r, v in _NODE_RULES]
    role = {"metadata": {"name": _NODE_ROLE}, "rules": rules}
    made: list[Object] = [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", **role}]
    for name in (_NODE_ROLE, "system:node", "system:node-proxier"):
        bound = name if name == _NODE_ROLE else f"{_NODE_ROLE}:{name.rpartition(':')[2]}"
        made.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": bound},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [dict(_NODES)],
            }
        )
    return made


_API_LABELS = {"component": "apiserver", "provider": "kubernetes"}


def _api_service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": dict(_API_LABELS)},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": API_SERVICE_IP,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    }


def _api_endpoints(host: str, port: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{"addresses": [{"ip": host}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    }


def _api_endpoint_slice(host: str, port: int) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
