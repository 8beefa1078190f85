"""What a request is aimed at, read off its path: group, version, resource, namespace, name, sub-resource, verb.

`/api/v1/namespaces/shop/pods/web-0/log` and `/apis/apps/v1/deployments` are the two shapes. Anything else is a
non-resource path. Source: the request-info rules of the Kubernetes API concepts page.
"""

from __future__ import annotations

from dataclasses import dataclass

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


@dataclass(frozen=True, slots=True)
class Target:
    verb: str
    group: str
    version: str
    resource: str
    namespace: str
    name: str
    subresource: str
    rest: str = ""
    """What follows the sub-resource (a proxy path)."""


def parse(method: str, path: str, watch: bool = False) -> Target | None:
    """The target, or None when `path` is not a resource path."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and not group:
        if len(rest) >= 3 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            namespace, rest = rest[1], rest[2:]
        elif len(rest) >= 2:
            namespace = rest[1]
    elif rest[0] == "namespaces" and len(rest) >= 3:
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    return Target(
        verb=_verb(method, name, watch),
        group=group,
        version=version,
        resource=rest[0],
        namespace=namespace,
        name=name,
        subresource=rest[2] if len(rest) > 2 else "",
        rest="/".join(rest[3:]),
    )


def _verb(method: str, name: str, watch: bool) -> str:
    verb = _VERBS.get(method, method.lower())
    if name:
        return verb
    if verb == "get":
        return "watch" if watch else "list"
    return "deletecollection" if verb == "delete" else verb
