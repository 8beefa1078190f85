"""Which operations each resource has: what clients look up to learn paths, kinds and parameters.

Neutral between the dialects; `documents` writes them down in OpenAPI 2 or 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.openapi.definitions import META

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seatrial.kube.model.resources import Resource, SubResource

    Naming = Callable[[str, str, str], str]
    """(group, version, kind) -> name of the definition, "" if there is none."""

_LIST = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_LOG = (
    "container",
    "follow",
    "limitBytes",
    "previous",
    "sinceSeconds",
    "stream",
    "tailLines",
    "timestamps",
)
_COLLECTION_VERBS = {"list", "create", "deletecollection"}


@dataclass(frozen=True, slots=True)
class Verb:
    method: str
    action: str
    """x-kubernetes-action."""
    word: str
    """What the operation's id starts with."""
    parameters: tuple[str, ...] = ()


_VERBS = {
    "list": Verb("get", "list", "list", _LIST),
    "create": Verb("post", "post", "create", _WRITE),
    "deletecollection": Verb("delete", "deletecollection", "deleteCollection", (*_DELETE, *_LIST[1:9])),
    "get": Verb("get", "get", "read"),
    "update": Verb("put", "put", "replace", _WRITE),
    "patch": Verb("patch", "patch", "patch", (*_WRITE, "force")),
    "delete": Verb("delete", "delete", "delete", _DELETE),
}


@dataclass(frozen=True, slots=True)
class Operation:
    verb: Verb
    id: str
    tag: str
    description: str
    gvk: tuple[str, str, str]
    """Group, version, kind."""
    parameters: tuple[str, ...] = ()
    body: str = ""
    """The definition of the body; "" if there is none."""
    answer: str = ""
    """The definition of the answer; "" if that is text or a stream."""
    action: str = ""
    is_custom: bool = False
    """Of a custom resource, which knows no strategic merge patch."""

    @property
    def success(self) -> tuple[str, ...]:
        """The status codes of success."""
        codes = {"create": ("200", "201", "202"), "replace": ("200", "201"), "patch": ("200", "201")}
        return codes.get(self.verb.word, ("200",)) if self.body else ("200",)


@dataclass(slots=True)
class Path:
    path: str
    parameters: tuple[str, ...]
    """`name` and `namespace`, where they are part of the path."""
    operations: list[Operation] = field(default_factory=list)


def paths(resource: Resource, naming: Naming, *, is_custom: bool = False) -> Iterator[Path]:
    """Every path of a resource and its sub-resources that has an operation."""
    for path in _paths(resource, naming):
        if path.operations:
            path.operations = [replace(operation, is_custom=is_custom) for operation in path.operations]
            yield path


def _paths(resource: Resource, naming: Naming) -> list[Path]:
    namespace = "{namespace}" if resource.namespaced else ""
    scope = ("namespace",) if resource.namespaced else ()
    collection = Path(resource.path(namespace), scope)
    item = Path(resource.path(namespace, "{name}"), ("name", *scope))
    for verb in resource.verbs:
        if verb in _VERBS:
            at = collection if verb in _COLLECTION_VERBS else item
            at.operations.append(_operation(resource, verb, naming))
    found = [collection, item]
    if resource.namespaced and "list" in resource.verbs:
        found.append(Path(resource.path(), (), [_operation(resource, "list", naming, "ForAllNamespaces")]))
    for sub in resource.subresources:
        operations = [_sub_operation(resource, sub, verb, naming) for verb in sub.verbs if verb in _VERBS]
        found.append(Path(resource.path(namespace, "{name}", sub.name), ("name", *scope), operations))
    return found


def _operation(resource: Resource, verb: str, naming: Naming, suffix: str = "") -> Operation:
    how = _VERBS[verb]
    group, version, kind = resource.group, resource.version, resource.kind
    own = naming(group, version, kind)
    answers = {
        "list": naming(group, version, resource.list_name),
        "delete": f"{META}Status",
        "deletecollection": f"{META}Status",
    }
    return Operation(
        verb=how,
        id=_id(resource, how.word, resource.namespaced and not suffix, kind) + suffix,
        tag=_tag(resource),
        description=f"{how.word} {'objects' if verb in ('list', 'deletecollection') else 'an object'} of kind {kind}",
        gvk=(group, version, kind),
        parameters=how.parameters,
        body=_body(how, own),
        answer=answers.get(verb, own),
        action=how.action,
    )


def _sub_operation(resource: Resource, sub: SubResource, verb: str, naming: Naming) -> Operation:
    how = _VERBS[verb]
    is_stream = sub.kind.endswith("Options")
    is_log = sub.name == "log"
    definition = "" if is_stream or is_log else naming(sub.group, sub.version, sub.kind)
    word = f"connect{how.method.capitalize()}" if is_stream else how.word
    return Operation(
        verb=how,
        id=_id(resource, word, resource.namespaced, resource.kind) + _camel(sub.name),
        tag=_tag(resource),
        description=f"{how.word} {sub.name} of the named {resource.kind}",
        gvk=(sub.group, sub.version, sub.kind),
        parameters=_LOG if is_log else () if is_stream else how.parameters,
        body="" if is_stream else _body(how, definition),
        answer=definition,
        action="connect" if is_stream else how.action,
    )


def _body(how: Verb, own: str) -> str:
    if how.method == "patch":
        return f"{META}Patch"
    if how.method == "delete":
        return f"{META}DeleteOptions"
    return own if how.method in ("post", "put") else ""


def _id(resource: Resource, word: str, is_namespaced: bool, kind: str) -> str:
    """`listAppsV1NamespacedDeployment`: unique, and what generated clients name their methods after."""
    group = _camel(resource.group.removesuffix(".k8s.io") or "core")
    return f"{word}{group}{_camel(resource.version)}{'Namespaced' if is_namespaced else ''}{kind}"


def _tag(resource: Resource) -> str:
    group = _camel(resource.group.removesuffix(".k8s.io") or "core")
    return f"{group[0].lower()}{group[1:]}_{resource.version}"


def _camel(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[.-]", text))
