"""What the server tells clients it serves: `/`, `/api`, `/apis` and below, in the old form and the aggregated one.

Pure functions of the resources served now, built-in and custom; the front desk caches nothing and adds ETag
handling. Source: the API concepts' "API discovery" and the discovery types of meta/v1 and apidiscovery/v2.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.kube.model.objects import join_api_version
from seatrial.kube.model.resources import sort_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource, SubResource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_AGGREGATED_PARAMETERS = {"g": "apidiscovery.k8s.io", "v": "v2", "as": "apigroupdiscoverylist"}
_JSON = "application/json"


def answer(path: str, accept: str, resources: Iterable[Resource]) -> tuple[bytes, str, str] | None:
    """The document at `path` with its content type and ETag; None if there is none."""
    parts = path.strip("/").split("/")
    is_aggregated, content_type = negotiate(accept) if len(parts) == 1 else (False, _JSON)
    found = _document(parts, is_aggregated, list(resources))
    if found is None:
        return None
    data = orjson.dumps(found)
    return data, content_type, f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def negotiate(accept: str) -> tuple[bool, str]:
    """Does this Accept header ask for aggregated discovery, and the content type to answer with.

    The first form we have wins; `profile=nopeer` asks to leave out other API servers, of which there are none.
    """
    for wanted in accept.split(","):
        media, *parameters = (part.strip() for part in wanted.split(";"))
        given = dict(parameter.lower().split("=", 1) for parameter in parameters if "=" in parameter)
        if media not in (_JSON, "application/*", "*/*"):
            continue
        if "as" not in given:
            return False, _JSON
        if {key: given.get(key) for key in _AGGREGATED_PARAMETERS} == _AGGREGATED_PARAMETERS:
            return True, AGGREGATED
    return False, _JSON


def _document(parts: list[str], is_aggregated: bool, resources: list[Resource]) -> Object | None:
    match parts:
        case [""]:
            return index(resources)
        case ["api"]:
            return aggregated([r for r in resources if not r.group]) if is_aggregated else api_versions(resources)
        case ["apis"]:
            return aggregated([r for r in resources if r.group]) if is_aggregated else group_list(resources)
        case ["api", version]:
            return resource_list("", version, resources)
        case ["apis", name]:
            return group(name, resources)
        case ["apis", name, version]:
            return resource_list(name, version, resources)
    return None


_OTHER_PATHS = (
    "/.well-known/openid-configuration",
    "/api",
    "/apis",
    "/healthz",
    "/livez",
    "/openapi/v2",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
)


def index(resources: Sequence[Resource]) -> Object:
    """`/`: the paths there are to go on from."""
    groups = {f"/apis/{r.group}" for r in resources if r.group}
    versions = {f"/apis/{r.group}/{r.version}" if r.group else f"/api/{r.version}" for r in resources}
    return {"paths": sorted({*_OTHER_PATHS, *groups, *versions})}


def api_versions(resources: Iterable[Resource]) -> Object:
    """`/api`: the versions of the core group."""
    found = _versions(r for r in resources if not r.group)
    return {"kind": "APIVersions", "versions": found, "serverAddressByClientCIDRs": []}


def group_list(resources: Iterable[Resource]) -> Object:
    """`/apis`."""
    groups = [_group(name, members) for name, members in _by_group(resources).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(name: str, resources: Iterable[Resource]) -> Object | None:
    """`/apis/<group>`."""
    members = [r for r in resources if r.group == name]
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, members)} if members else None


def resource_list(group_name: str, version: str, resources: Iterable[Resource]) -> Object | None:
    """`/api/v1` and `/apis/<group>/<version>`."""
    every = list(resources)
    members = [r for r in every if r.group == group_name and r.version == version]
    if not members:
        return None
    hashes = _storage_hashes(every)
    entries = [entry for r in members for entry in _entries(r, hashes)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": join_api_version(group_name, version),
        "resources": entries,
    }


def aggregated(resources: Iterable[Resource]) -> Object:
    """The APIGroupDiscoveryList of these resources: all there is to know in one document."""
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [_aggregated_group(name, members) for name, members in _by_group(resources).items()],
    }


def _by_group(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    groups: dict[str, list[Resource]] = {}
    for resource in resources:
        groups.setdefault(resource.group, []).append(resource)
    return groups


def _versions(resources: Iterable[Resource]) -> list[str]:
    return sort_versions({r.version for r in resources})


def _group(name: str, members: Sequence[Resource]) -> Object:
    versions = [{"groupVersion": join_api_version(name, version), "version": version} for version in _versions(members)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _storage_hashes(resources: Iterable[Resource]) -> dict[tuple[str, str], str]:
    """A client only compares these: equal means stored alike. All versions are stored as the preferred one."""
    stored: dict[tuple[str, str], dict[str, Resource]] = {}
    for r in resources:
        if "watch" in r.verbs:
            stored.setdefault((r.group, r.plural), {})[r.version] = r
    return {key: _storage_hash(versions[sort_versions(versions)[0]]) for key, versions in stored.items()}


def _storage_hash(resource: Resource) -> str:
    named = f"{resource.group}/{resource.version}/{resource.kind}"
    return base64.b64encode(hashlib.sha256(named.encode()).digest()[:8]).decode()


def _entries(resource: Resource, hashes: dict[tuple[str, str], str]) -> Iterator[Object]:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    _add(entry, "shortNames", resource.short_names)
    _add(entry, "categories", resource.categories)
    _add(entry, "storageVersionHash", hashes.get((resource.group, resource.plural)))
    yield entry
    for sub in resource.subresources:
        yield {
            "name": f"{resource.plural}/{sub.name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            **_foreign(resource, sub),
            "kind": sub.kind,
            "verbs": list(sub.verbs),
        }


def _foreign(resource: Resource, sub: SubResource) -> dict[str, str]:
    """Group and version of a sub-resource's kind, where they are not the resource's own."""
    if (sub.group, sub.version) == (resource.group, resource.version):
        return {}
    return {"group": sub.group, "version": sub.version}


def _aggregated_group(name: str, members: Sequence[Resource]) -> Object:
    versions = [
        {
            "version": version,
            "resources": [_aggregated_resource(r) for r in members if r.version == version],
            "freshness": "Current",
        }
        for version in _versions(members)
    ]
    return {"metadata": {"name": name} if name else {}, "versions": versions}


def _aggregated_resource(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    _add(entry, "shortNames", resource.short_names)
    _add(entry, "categories", resource.categories)
    subresources = [
        {
            "subresource": sub.name,
            "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
            "verbs": list(sub.verbs),
        }
        for sub in resource.subresources
    ]
    _add(entry, "subresources", subresources)
    return entry


def _add(entry: Object, key: str, value: Any) -> None:
    if value:
        entry[key] = list(value) if isinstance(value, tuple) else value
