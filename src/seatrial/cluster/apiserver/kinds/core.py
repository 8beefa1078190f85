"""The core group's smaller kinds, and the table of all its kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import (
    checks,
    claims,
    configuration,
    events,
    names,
    pods,
    podspec,
    quantities,
    quotas,
    services,
)
from seatrial.cluster.apiserver.kinds.podspec.defaults import default_template
from seatrial.cluster.apiserver.kinds.podspec.placement import EFFECTS
from seatrial.cluster.apiserver.kinds.rules import Rules, number, setdefaults, struct, text, truth
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, duplicate_value, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def _default_namespace(obj: Object) -> None:
    if objects.name(obj):
        struct(obj["metadata"], "labels")[NAMESPACE_LABEL] = objects.name(obj)
    if obj.get("status"):
        setdefaults(obj["status"], phase="Active")


def _create_namespace(obj: Object) -> None:
    _default_namespace(obj)
    finalizers = struct(obj, "spec").get("finalizers") or []
    obj["spec"]["finalizers"] = finalizers if "kubernetes" in finalizers else [*finalizers, "kubernetes"]
    obj["status"] = {"phase": "Active"}


def _update_namespace(obj: Object, old: Object) -> None:
    """Only the `finalize` sub-resource removes the finalizers of a namespace's specification."""
    struct(obj, "spec")["finalizers"] = (old.get("spec") or {}).get("finalizers") or []


def _default_node(obj: Object) -> None:
    status = obj.get("status") or {}
    if status.get("capacity"):
        setdefaults(status, allocatable=dict(status["capacity"]))


def _validate_node(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    seen: set[tuple[Any, Any]] = set()
    for index, taint in enumerate(spec.get("taints") or []):
        field = f"metadata.taints[{index}]"  # so Kubernetes says
        causes += checks.named(taint.get("key"), f"{field}.key", names.qualified)
        causes += checks.optional_name(taint.get("value"), f"{field}.value", names.label_value)
        causes += checks.one_of(taint.get("effect"), f"{field}.effect", EFFECTS, as_given=True)
        key = (taint.get("key"), taint.get("effect"))
        if key in seen:
            causes.append(duplicate_value(field, taint))
        seen.add(key)
    status = obj.get("status") or {}
    for field in ("capacity", "allocatable"):
        causes += quantities.amounts(status.get(field), f"status.{field}")
    return causes


def _node_update(obj: Object, old: Object) -> list[Cause]:
    spec, old_spec = obj.get("spec") or {}, old.get("spec") or {}
    causes: list[Cause] = []
    for field in ("podCIDR", "podCIDRs", "providerID"):
        if old_spec.get(field):
            causes += checks.unchanged(spec.get(field), old_spec[field], f"spec.{field}")
    return causes


def _default_controller(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, replicas=1)
    template = spec.get("template")
    if not template:
        return
    default_template(template)
    found = (template.get("metadata") or {}).get("labels")
    if found:
        spec["selector"] = spec.get("selector") or dict(found)
        meta = struct(obj, "metadata")
        meta["labels"] = meta.get("labels") or dict(found)


def _validate_controller(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    selector, template = spec.get("selector") or {}, spec.get("template")
    causes = checks.not_negative(spec.get("replicas"), "spec.replicas")
    causes += checks.not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    if not selector:
        causes.append(required("spec.selector"))
    if not template:
        return [*causes, required("spec.template")]
    found = (template.get("metadata") or {}).get("labels") or {}
    if not checks.selects({"matchLabels": selector}, found):
        detail = "`selector` does not match template `labels`"
        causes.append(invalid_value("spec.template.metadata.labels", found, detail))
    causes += podspec.validate_template(template, "spec.template")
    policy = (template.get("spec") or {}).get("restartPolicy")
    return causes + checks.one_of(policy, "spec.template.spec.restartPolicy", ("Always",))


def _default_pod_template(obj: Object) -> None:
    default_template(struct(obj, "template"))


def _validate_pod_template(obj: Object) -> list[Cause]:
    return podspec.validate_template(obj.get("template") or {}, "template")


def _default_endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or []:
        for port in subset.get("ports") or []:
            port["protocol"] = port.get("protocol") or "TCP"


def _validate_endpoints(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    for index, subset in enumerate(obj.get("subsets") or []):
        field = f"subsets[{index}]"
        addresses = subset.get("addresses") or []
        if not addresses and not subset.get("notReadyAddresses"):
            detail = "must specify `addresses` or `notReadyAddresses`"
            causes.append(required(field, detail))
        for kind in ("addresses", "notReadyAddresses"):
            for at, address in enumerate(subset.get(kind) or []):
                causes += checks.address(address.get("ip") or "", f"{field}.{kind}[{at}].ip")
        causes += _endpoint_ports(subset.get("ports") or [], f"{field}.ports")
    return causes


def _endpoint_ports(ports: list[dict[str, Any]], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, port in enumerate(ports):
        if port.get("name") or len(ports) > 1:
            causes += checks.named(port.get("name"), f"{field}[{index}].name", names.label)
        causes += checks.port(port.get("port"), f"{field}[{index}].port")
    return causes


RULES = {
    "configmaps": configuration.CONFIG_MAPS,
    "endpoints": Rules(default=_default_endpoints, validate=_validate_endpoints, create_on_update=True),
    "events": events.CORE,
    "limitranges": quotas.LIMIT_RANGES,
    "namespaces": Rules(
        default=_default_namespace,
        create=_create_namespace,
        update=_update_namespace,
        name=names.label,
        fields={"status.phase": text("status", "phase")},
    ),
    "nodes": Rules(
        default=_default_node,
        validate=_validate_node,
        validate_update=_node_update,
        fields={"spec.unschedulable": truth("spec", "unschedulable")},
        status_on_create=True,
    ),
    "persistentvolumeclaims": claims.CLAIMS,
    "persistentvolumes": claims.VOLUMES,
    "pods": pods.RULES,
    "podtemplates": Rules(default=_default_pod_template, validate=_validate_pod_template, generation=True),
    "replicationcontrollers": Rules(
        default=_default_controller,
        validate=_validate_controller,
        fields={"status.replicas": number("status", "replicas")},
        generation=True,
        empty_status={"replicas": 0},
    ),
    "resourcequotas": quotas.RESOURCE_QUOTAS,
    "secrets": configuration.SECRETS,
    "services": services.RULES,
}
