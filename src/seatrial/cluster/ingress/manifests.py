"""What the cluster knows of the ingress proxy: its class, its account and what that may read. Written at each start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model import resources

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

NAMESPACE = "kube-system"
NAME = "traefik"
"""Of the IngressClass, the ServiceAccount, its role and the binding."""
CONTROLLER = "traefik.io/ingress-controller"
_ROLES = "rbac.authorization.k8s.io"
_RULES = (
    ("", ("services", "secrets", "configmaps", "nodes"), ("get", "list", "watch")),
    ("discovery.k8s.io", ("endpointslices",), ("list", "watch")),
    ("networking.k8s.io", ("ingresses", "ingressclasses"), ("get", "list", "watch")),
    ("networking.k8s.io", ("ingresses/status",), ("update",)),
)
"""No more than its provider for Ingresses asks for; Secrets are the certificates."""


async def publish(client: Client) -> None:
    """`client` may write roles: the node may not. Fields of others stay. Raises StatusError."""
    for plural, group, obj in objects():
        await client.apply(resources.for_plural(plural, group), obj, force=True)


def objects() -> list[tuple[str, str, Object]]:
    """(plural, group, object)."""
    return [
        ("serviceaccounts", "", _account()),
        ("clusterroles", _ROLES, _role()),
        ("clusterrolebindings", _ROLES, _binding()),
        ("ingressclasses", "networking.k8s.io", _class()),
    ]


def _account() -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}}


def _role() -> Object:
    rules = [
        {"apiGroups": [group], "resources": list(plurals), "verbs": list(verbs)} for group, plurals, verbs in _RULES
    ]
    return {"apiVersion": f"{_ROLES}/v1", "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": rules}


def _binding() -> Object:
    return {
        "apiVersion": f"{_ROLES}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": NAME},
        "roleRef": {"apiGroup": _ROLES, "kind": "ClusterRole", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }


def _class() -> Object:
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": NAME, "annotations": annotations},
        "spec": {"controller": CONTROLLER},
    }
