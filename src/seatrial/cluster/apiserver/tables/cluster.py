"""Rows of the cluster's own kinds: Node, Namespace, ConfigMap, Secret, ServiceAccount, Event, quotas, Lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.tables.columns import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    Column,
    Layout,
    age,
    dig,
    since,
    text,
)
from seatrial.kube.model import conditions, objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_ROLE_LABEL = "node-role.kubernetes.io/"
_OLD_ROLE_LABEL = "kubernetes.io/role"


def _node(obj: Object, now: float) -> list[Any]:
    info = dig(obj, "status", "nodeInfo") or {}
    kernel = info.get("kernelVersion") or UNKNOWN
    if info.get("architecture"):
        kernel = f"{kernel} ({info['architecture']})"
    return [
        objects.name(obj),
        _node_status(obj),
        ",".join(_roles(objects.labels(obj))) or NONE,
        age(obj, now),
        info.get("kubeletVersion") or "",
        _node_address(obj, "InternalIP"),
        _node_address(obj, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(obj: Object) -> str:
    ready = conditions.get(obj, "Ready")
    if ready is None:
        status = "Unknown"
    else:
        status = "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{status},SchedulingDisabled" if dig(obj, "spec", "unschedulable") else status


def _roles(labels: dict[str, str]) -> list[str]:
    found = {key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL)}
    return sorted((found | {labels.get(_OLD_ROLE_LABEL) or ""}) - {""})


def _node_address(obj: Object, kind: str) -> str:
    addresses = dig(obj, "status", "addresses") or []
    return next((item.get("address") or "" for item in addresses if item.get("type") == kind), NONE)


def _namespace(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), dig(obj, "status", "phase") or "", age(obj, now)]


def _config_map(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), age(obj, now)]


def _secret(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), obj.get("type") or "", len(obj.get("data") or {}), age(obj, now)]


def name_and_age(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), age(obj, now)]


def event_cells(obj: Object, now: float) -> list[Any]:
    """An event in its core shape: a series tells when it was seen last, and how often."""
    first = since(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    last = since(obj["lastTimestamp"], now) if obj.get("lastTimestamp") else first
    count = obj.get("count") or 1
    series = obj.get("series")
    if series:
        last, count = since(series.get("lastObservedTime"), now), series.get("count") or 0
    about = obj.get("involvedObject") or {}
    kind = (about.get("kind") or "").lower()
    return [
        last,
        obj.get("type") or "",
        obj.get("reason") or "",
        f"{kind}/{about['name']}" if about.get("name") else kind,
        about.get("fieldPath") or "",
        _event_source(obj),
        (obj.get("message") or "").strip(),
        first,
        count,
        objects.name(obj),
    ]


def _event_source(obj: Object) -> str:
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent") or ""
    instance = source.get("host") or obj.get("reportingInstance") or ""
    return f"{component}, {instance}" if instance else component


def _new_event(obj: Object, now: float) -> list[Any]:
    core = {
        **obj,
        "involvedObject": obj.get("regarding"),
        "message": obj.get("note"),
        "source": obj.get("deprecatedSource"),
        "firstTimestamp": obj.get("deprecatedFirstTimestamp"),
        "lastTimestamp": obj.get("deprecatedLastTimestamp"),
        "count": obj.get("deprecatedCount"),
        "reportingComponent": obj.get("reportingController"),
    }
    return event_cells(core, now)


def _quota(obj: Object, now: float) -> list[Any]:
    hard, used = dig(obj, "status", "hard") or {}, dig(obj, "status", "used") or {}
    shown = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
    limits = [text for name, text in shown.items() if name.startswith("limits.")]
    requests = [text for name, text in shown.items() if not name.startswith("limits.")]
    return [objects.name(obj), ", ".join(requests), ", ".join(limits), age(obj, now)]


def _lease(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), dig(obj, "spec", "holderIdentity") or "", age(obj, now)]


def _component(obj: Object, _now: float) -> list[Any]:
    healthy = conditions.get(obj.get("conditions") or [], "Healthy")
    if healthy is None:
        return [objects.name(obj), "Unknown", "", ""]
    status = "Healthy" if healthy.get("status") == "True" else "Unhealthy"
    return [objects.name(obj), status, healthy.get("message") or "", healthy.get("error") or ""]


_EVENT_COLUMNS = (
    text("Last Seen", "When it happened last."),
    text("Type", "Normal or Warning."),
    text("Reason", "Why it was recorded, in a word."),
    text("Object", "What it is about."),
    text("Subobject", "The part of the object it is about.", 1),
    text("Source", "Who recorded it.", 1),
    text("Message", "What happened."),
    text("First Seen", "When it happened first.", 1),
    text("Count", "How often it happened.", 1),
    Column("Name", "string", "name", NAME.description, 1),
)

LAYOUTS = {
    "componentstatuses": Layout(
        (
            NAME,
            text("Status", "Whether the component is healthy."),
            text("Message", "What it says."),
            text("Error", "What went wrong."),
        ),
        _component,
    ),
    "configmaps": Layout((NAME, text("Data", "Number of entries."), AGE), _config_map),
    "events": Layout(_EVENT_COLUMNS, event_cells),
    "events.events.k8s.io": Layout(_EVENT_COLUMNS, _new_event),
    "leases.coordination.k8s.io": Layout((NAME, text("Holder", "Who holds the Lease."), AGE), _lease),
    "namespaces": Layout((NAME, text("Status", "Active or Terminating."), AGE), _namespace),
    "nodes": Layout(
        (
            NAME,
            text("Status", "Whether the node is ready and takes pods."),
            text("Roles", "What the node is for."),
            AGE,
            text("Version", "Version of its kubelet."),
            text("Internal-IP", "Address inside the cluster.", 1),
            text("External-IP", "Address from outside.", 1),
            text("OS-Image", "Operating system.", 1),
            text("Kernel-Version", "Kernel and architecture.", 1),
            text("Container-Runtime", "What runs its containers.", 1),
        ),
        _node,
    ),
    "resourcequotas": Layout(
        (NAME, text("Request", "Used and allowed."), text("Limit", "Limits used and allowed."), AGE), _quota
    ),
    "secrets": Layout(
        (NAME, text("Type", "What the secret is for."), text("Data", "Number of entries."), AGE), _secret
    ),
    "serviceaccounts": Layout((NAME, AGE), name_and_age),
}
