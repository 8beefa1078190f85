"""Normalised: an object without what is not compared, and in one spelling. Both sides of a comparison go through here.

Pure but for jq expressions, which a sandbox runs (see `sandbox`): they come from whoever may write an Application.
"""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Any

from seatrial.gitops.diff import known
from seatrial.gitops.diff.ownership import entries, overlaid, union
from seatrial.gitops.diff.sandbox import SandboxFailed, ScriptFailed
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.gitops.diff.rules import ObjectRules
    from seatrial.gitops.diff.sandbox import Sandbox
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SERVER_FIELDS = (
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields",
    "resourceVersion", "selfLink", "uid",
)  # fmt: skip
_RBAC = "rbac.authorization.k8s.io/"
_ROLES = ("Role", "ClusterRole")


def normalise(obj: Object, rules: ObjectRules, sandbox: Sandbox | None = None) -> Object:
    """A new object. Raises SandboxFailed."""
    made = objects.clone(obj)
    _strip(made, keeps_status=rules.keeps_status)
    _by_kind(made, rules)
    for path, type_ in rules.fields:
        known.respell(made, path, type_)
    if rules.ignores_replicas and isinstance(made.get("spec"), dict):
        made["spec"].pop("replicas", None)
    for pointer in rules.pointers:
        remove(made, pointer)
    if rules.jq and sandbox is not None:
        for expression in rules.jq:
            made = _without(made, expression, sandbox)
    return made


def normalise_pair(
    live: Object, predicted: Object, rules: ObjectRules, sandbox: Sandbox | None = None
) -> tuple[Object, Object]:
    """Live and predicted, normalised; where they differ in a field of an ignored manager, the live value on both."""
    predicted = as_managed(predicted, live, rules.managers)
    return normalise(live, rules, sandbox), normalise(predicted, rules, sandbox)


def as_managed(obj: Object, live: Object, managers: tuple[str, ...]) -> Object:
    """`obj` with the live values of the fields that these managers own."""
    owned = union(entries(live, managers)) if managers else {}
    if not owned:
        return obj
    made: Object = overlaid(obj, live, owned)
    return made


def is_secret(obj: Object) -> bool:
    return obj.get("kind") == "Secret" and obj.get("apiVersion") == "v1"


def _strip(obj: Object, *, keeps_status: bool) -> None:
    """What the server writes and no manifest does."""
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        for name in _SERVER_FIELDS:
            metadata.pop(name, None)
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            annotations.pop(LAST_APPLIED, None)
        for name in ("annotations", "labels"):
            if not metadata.get(name):
                metadata.pop(name, None)
    if not keeps_status:
        obj.pop("status", None)


def _by_kind(obj: Object, rules: ObjectRules) -> None:
    kind, api_version = obj.get("kind"), obj.get("apiVersion") or ""
    if is_secret(obj):
        store_strings(obj)
    elif kind in _ROLES and api_version.startswith(_RBAC):
        _role(obj, ignores_aggregated=rules.ignores_aggregated)
    elif kind == "Endpoints" and api_version == "v1":
        _endpoints(obj)


def store_strings(obj: Object) -> None:
    """A Secret as the server keeps it: all under `data`, no nulls."""
    data = obj.get("data")
    data = {key: "" if value is None else value for key, value in data.items()} if isinstance(data, dict) else {}
    plain = obj.pop("stringData", None)
    for key, value in (plain if isinstance(plain, dict) else {}).items():
        data[key] = base64.b64encode(("" if value is None else str(value)).encode()).decode()
    if data:
        obj["data"] = data
    else:
        obj.pop("data", None)


def _role(obj: Object, *, ignores_aggregated: bool) -> None:
    """Rules of an aggregated role are the controller's: ours never, if so configured."""
    aggregated = obj.get("kind") == "ClusterRole" and obj.get("aggregationRule")
    if not obj.get("rules") or (aggregated and ignores_aggregated):
        obj["rules"] = None


def _endpoints(obj: Object) -> None:
    subsets = obj.get("subsets")
    if not isinstance(subsets, list) or not all(isinstance(subset, dict) for subset in subsets):
        return
    for subset in subsets:
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")
        for name in ("addresses", "notReadyAddresses", "ports"):
            if isinstance(subset.get(name), list):
                subset[name].sort(key=_text)
    subsets.sort(key=_text)


def _text(value: Any) -> str:
    import orjson

    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def remove(document: Any, pointer: str) -> None:
    """RFC 6902 `remove`; a path that is not there is fine."""
    if not pointer.startswith("/"):
        return
    *parents, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))
    for step in parents:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return
    if isinstance(document, dict):
        document.pop(last, None)
    elif isinstance(document, list) and last.isdecimal() and int(last) < len(document):
        del document[int(last)]


def _without(obj: Object, expression: str, sandbox: Sandbox) -> Object:
    """An expression that fails ignores nothing. Its error may quote the object, so it is not told."""
    try:
        return sandbox.delete_by_jq(expression, obj)
    except ScriptFailed:
        log.debug("a jq path expression failed and is left out", extra={"expression": expression})
        return obj
    except SandboxFailed:
        raise
