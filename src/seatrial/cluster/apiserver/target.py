"""What a request is aimed at, read off its path: group, version, resource, namespace, name, sub-resource, verb.

`/api/v1/namespaces/shop/pods/web-0/log` and `/apis/apps/v1/deployments` are the two shapes. Anything else is a
non-resource path. Source: the request-info rules of the Kubernetes API concepts page.
"""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.kube.model import selectors

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


def parse(method: str, path: str, watch: bool = False, field_selector: str = "") -> Target | None:
    """The target, or None when `path` is not a resource path. Raises StatusError 400 for a bad field selector."""
    parts = path.strip("/").split("/")
    if "" in parts:
        return None
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace, rest = _placed(group, rest)
    if not group and namespace and rest[0] == "namespaces" and rest[1:2] != [namespace]:
        # A namespace lies in no other: else whoever may do anything in one could do anything to all.
        return None
    name = rest[1] if len(rest) > 1 else ""
    verb = _verb(method, name, watch)
    return Target(
        verb=verb,
        group=group,
        version=version,
        resource=rest[0],
        namespace=namespace,
        name=_selected_name(field_selector) if verb in ("list", "watch") else name,
        subresource=rest[2] if len(rest) > 2 else "",
        rest="/".join(rest[3:]),
    )


def _placed(group: str, rest: list[str]) -> tuple[str, list[str]]:
    """The namespace, and the parts from the resource on. A Namespace object counts as in the namespace it is."""
    if rest[0] != "namespaces" or len(rest) < 2:
        return "", rest
    if not group and (len(rest) == 2 or rest[2] in _NAMESPACE_SUBRESOURCES):
        return rest[1], rest
    return (rest[1], rest[2:]) if len(rest) > 2 else ("", rest)


def _selected_name(field_selector: str) -> str:
    """The one name a list or watch is about: a rule with `resourceNames` may allow just that."""
    if "metadata.name" not in field_selector:
        return ""
    wanted = selectors.parse_field_selector(field_selector).requirements
    return next((value for path, operator, value in wanted if path == "metadata.name" and operator == "="), "")


def _verb(method: str, name: str, watch: bool) -> str:
    verb = _VERBS.get(method, method.lower())
    if name:
        return verb
    if verb == "get":
        # HEAD asks for an answer without its body: one that never ends has no use for that.
        return "watch" if watch and method != "HEAD" else "list"
    return "deletecollection" if verb == "delete" else verb
