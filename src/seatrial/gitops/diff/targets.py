"""Targets: the manifests as this Application wants them in the cluster, with namespace and tracking id."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seatrial.gitops.api import names
from seatrial.gitops.diff.normalise import is_secret, store_strings
from seatrial.kube.model import objects
from seatrial.kube.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seatrial.gitops.api.application import Application
    from seatrial.gitops.api.settings import Settings
    from seatrial.kube.model.objects import Object

    IsNamespaced = Callable[[str, str], bool | None]
    """By apiVersion and kind; None: the cluster does not serve the kind."""

REPEATED = "RepeatedResourceWarning"
EXCLUDED = "ExcludedResourceWarning"
SHARED = "SharedResourceWarning"
INVALID = "InvalidSpecError"


class Condition(NamedTuple):
    """Of an Application; its time is the writer's."""

    type: str
    message: str


class Targets(NamedTuple):
    objects: tuple[Object, ...]
    conditions: tuple[Condition, ...]


def track(
    manifests: Iterable[Object],
    application: Application,
    is_namespaced: IsNamespaced,
    settings: Settings | None = None,
    server: str = names.IN_CLUSTER,
) -> Targets:
    """New objects; the manifests stay as they are. Of several of the same name the last wins."""
    written = list(manifests)
    scopes = _defined_scopes(written)
    found: dict[Ref | int, Object] = {}
    counts: dict[Ref, int] = {}
    conditions: list[Condition] = []
    for place, manifest in enumerate(written):
        group, _ = objects.split_api_version(manifest.get("apiVersion") or "")
        kind = manifest.get("kind") or ""
        if settings is not None and settings.is_excluded(group, kind, server):
            conditions.append(_excluded(group, kind, manifest))
            continue
        namespaced = is_namespaced(manifest.get("apiVersion") or "", kind)
        if namespaced is None:
            namespaced = scopes.get((group, kind), True)
        target = _placed(manifest, application, namespaced=namespaced)
        ref = objects.ref(target)
        key = ref if ref.name else place  # hooks with generateName have no name yet, and are never the same
        found.pop(key, None)
        found[key] = target
        if ref.name:
            counts[ref] = counts.get(ref, 0) + 1
    conditions += [_repeated(ref, count) for ref, count in counts.items() if count > 1]
    conditions += [_homeless(obj) for obj in found.values() if objects.metadata(obj).get("namespace") == ""]
    return Targets(tuple(found.values()), tuple(conditions))


def _placed(manifest: Object, application: Application, *, namespaced: bool) -> Object:
    """With namespace (or without, where the kind has none) and tracking id."""
    metadata = dict(objects.metadata(manifest))
    if namespaced:
        metadata["namespace"] = metadata.get("namespace") or application.destination.namespace
    else:
        metadata.pop("namespace", None)
    made = {**manifest, "metadata": metadata}
    if is_secret(made) and "stringData" in made:
        store_strings(made)  # server-side apply would own `stringData`, which no stored Secret has
    annotations = metadata.get("annotations")
    metadata["annotations"] = {
        **(annotations if isinstance(annotations, dict) else {}),
        names.TRACKING_ID: tracking_id(made, application.instance, application.destination.namespace),
    }
    return made


def tracking_id(obj: Object, instance: str, namespace: str = "") -> str:
    """`instance:group/Kind:namespace/name`; a cluster-scoped object carries the namespace of the destination."""
    ref = objects.ref(obj)
    return f"{instance}:{ref.group}/{ref.kind}:{ref.namespace or namespace}/{ref.name}"


class Tracking(NamedTuple):
    instance: str
    ref: Ref

    @classmethod
    def of(cls, obj: Object) -> Tracking | None:
        """What the object's tracking id says; None if it has none, or one that cannot be read."""
        instance, _, rest = (objects.annotations(obj).get(names.TRACKING_ID) or "").partition(":")
        kind, _, place = rest.partition(":")
        if kind.count("/") != 1 or place.count("/") != 1:
            return None
        return cls(instance, Ref(*kind.split("/"), *place.split("/")))

    def is_of(self, obj: Object) -> bool:
        """Whether it was written for this object, and not copied from another along with its annotations."""
        ref = objects.ref(obj)
        return self.ref._replace(namespace=ref.namespace) == ref and ref.namespace in ("", self.ref.namespace)


def _defined_scopes(manifests: list[Object]) -> dict[tuple[str, str], bool]:
    """Of kinds whose definitions are among the manifests: the cluster may not know them yet."""
    found = {}
    for manifest in manifests:
        if manifest.get("kind") == "CustomResourceDefinition":
            spec = manifest.get("spec") or {}
            kind = (spec.get("names") or {}).get("kind") or ""
            found[spec.get("group") or "", kind] = spec.get("scope") != "Cluster"
    return found


def _excluded(group: str, kind: str, manifest: Object) -> Condition:
    return Condition(EXCLUDED, f"{group}/{kind} {objects.name(manifest)} is excluded by the settings: it is left out")


def _repeated(ref: Ref, count: int) -> Condition:
    return Condition(REPEATED, f"{ref} is among the manifests {count} times: the last one is used")


def _homeless(obj: Object) -> Condition:
    return Condition(INVALID, f"{objects.ref(obj)} has no namespace: give it one, or spec.destination.namespace")
