"""Pods: defaults that only a Pod gets, quality of service, what an update may change, how deletion waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, podspec, quantities
from seatrial.cluster.apiserver.kinds.podspec.defaults import all_containers, default_spec
from seatrial.cluster.apiserver.kinds.rules import Rules, setdefaults, struct, text, truth
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_FINISHED = ("Succeeded", "Failed")
_COMPUTE = ("cpu", "memory")
_UPDATABLE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)
_KEPT_STATUS = ("qosClass", "observedGeneration")


def default(obj: Object) -> None:
    spec = struct(obj, "spec")
    default_spec(spec)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    setdefaults(spec, enableServiceLinks=True)
    for container in all_containers(spec):
        _default_requests(container)
    if spec.get("hostNetwork"):
        _default_host_ports(spec)
    if obj.get("status"):
        _default_addresses(obj["status"])


def _default_requests(container: dict[str, Any]) -> None:
    """A limit without a request asks for all of it."""
    resources = container.get("resources") or {}
    limits = resources.get("limits")
    if limits:
        resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _default_host_ports(spec: dict[str, Any]) -> None:
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or []:
            for port in container.get("ports") or []:
                port["hostPort"] = port.get("hostPort") or port.get("containerPort")


def _default_addresses(status: dict[str, Any]) -> None:
    """`podIP` and the first of `podIPs` say the same; the single one wins."""
    address, addresses = status.get("podIP"), status.get("podIPs") or []
    if address and (not addresses or addresses[0].get("ip") != address):
        status["podIPs"] = [{"ip": address}]
    elif addresses and not address:
        status["podIP"] = addresses[0].get("ip")


def create(obj: Object) -> None:
    status: dict[str, Any] = {"phase": "Pending", "qosClass": qos_class(obj["spec"])}
    if obj["spec"].get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]
    obj["status"] = status


def qos_class(spec: dict[str, Any]) -> str:
    """Guaranteed: every container limits cpu and memory to what it requests. BestEffort: none asks for either."""
    asked = False
    guaranteed = True
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or []:
            limits, requests = _compute(container, "limits"), _compute(container, "requests")
            asked = asked or bool(limits or requests)
            guaranteed = guaranteed and len(limits) == len(_COMPUTE) and requests == limits
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _compute(container: dict[str, Any], kind: str) -> dict[str, Any]:
    found = (container.get("resources") or {}).get(kind) or {}
    numbers = {name: quantities.amount(found[name]) for name in _COMPUTE if name in found}
    return {name: number for name, number in numbers.items() if number}


def update_status(obj: Object, old: Object) -> None:
    """Owners cannot be set by a status write, and a client that knows less cannot erase what it does not know."""
    meta, owners = obj["metadata"], objects.owner_references(old)
    meta.pop("ownerReferences", None)
    if owners:
        meta["ownerReferences"] = owners
    status, old_status = struct(obj, "status"), old.get("status") or {}
    setdefaults(status, **{key: old_status[key] for key in _KEPT_STATUS if key in old_status})


def validate(obj: Object) -> list[Cause]:
    return podspec.validate_spec(obj["spec"], "spec")


def validate_update(obj: Object, old: Object) -> list[Cause]:
    spec, old_spec = obj["spec"], old["spec"]
    causes: list[Cause] = []
    for group in ("containers", "initContainers"):
        if len(spec.get(group) or []) != len(old_spec.get(group) or []):
            detail = "pod updates may not add or remove containers"
            return [forbidden_value(f"spec.{group}", detail)]
        causes += _images(spec.get(group) or [], f"spec.{group}")
    causes += _deadline(spec.get("activeDeadlineSeconds"), old_spec.get("activeDeadlineSeconds"))
    causes += _tolerations(spec.get("tolerations") or [], old_spec.get("tolerations") or [])
    causes += _gates(spec.get("schedulingGates") or [], old_spec.get("schedulingGates") or [])
    if not causes and not checks.same(_fixed(spec, old_spec), _fixed(old_spec, old_spec)):
        listed = ",".join(_UPDATABLE)
        detail = f"pod updates may not change fields other than {listed}"
        causes.append(forbidden_value("spec", detail))
    return causes


def _images(containers: list[dict[str, Any]], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, container in enumerate(containers):
        image = container.get("image") or ""
        if not image:
            causes.append(required(f"{field}[{index}].image"))
        elif image != image.strip():
            detail = "must not have leading or trailing whitespace"
            causes.append(invalid_value(f"{field}[{index}].image", image, detail))
    return causes


def _deadline(seconds: int | None, old: int | None) -> list[Cause]:
    field = "spec.activeDeadlineSeconds"
    if seconds is None:
        detail = "must not update from a positive integer to nil value"
        return [] if old is None else [invalid_value(field, seconds, detail)]
    if old is not None and seconds > old:
        return [invalid_value(field, seconds, "must be less than or equal to previous value")]
    return []


def _tolerations(found: list[dict[str, Any]], old: list[dict[str, Any]]) -> list[Cause]:
    kept = {_without_seconds(toleration) for toleration in found}
    if all(_without_seconds(toleration) in kept for toleration in old):
        return []
    detail = "existing toleration can not be modified except its tolerationSeconds"
    return [forbidden_value("spec.tolerations", detail)]


def _without_seconds(toleration: dict[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset((key, value) for key, value in toleration.items() if value and key != "tolerationSeconds")


def _gates(found: list[dict[str, Any]], old: list[dict[str, Any]]) -> list[Cause]:
    known = {gate.get("name") for gate in old}
    return [
        forbidden_value(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'",
        )
        for index, gate in enumerate(found)
        if gate.get("name") not in known
    ]


def _fixed(spec: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """The part of the specification that an update must leave as it was."""
    left_out = {"activeDeadlineSeconds", "tolerations", "schedulingGates"}
    if old.get("schedulingGates"):
        left_out |= {"nodeSelector", "affinity"}
    found = {key: value for key, value in spec.items() if key not in left_out}
    for group in ("containers", "initContainers"):
        found[group] = [
            {key: value for key, value in container.items() if key != "image"} for container in spec.get(group) or []
        ]
    if (old.get("terminationGracePeriodSeconds") or 0) < 0:
        found.pop("terminationGracePeriodSeconds", None)
    return found


def grace(obj: Object, asked: int | None) -> int:
    """Seconds a pod gets to end: none if nothing of it can be running."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in _FINISHED:
        return 0
    seconds = asked if asked is not None else spec.get("terminationGracePeriodSeconds") or 0
    return 1 if seconds < 0 else seconds


def _address(obj: Object) -> str:
    status = obj.get("status") or {}
    addresses = status.get("podIPs") or []
    return (addresses[0].get("ip") if addresses else status.get("podIP")) or ""


RULES = Rules(
    default=default,
    create=create,
    update_status=update_status,
    validate=validate,
    validate_update=validate_update,
    generation=True,
    fields={
        "spec.nodeName": text("spec", "nodeName"),
        "spec.host": text("spec", "nodeName"),
        "spec.restartPolicy": text("spec", "restartPolicy"),
        "spec.schedulerName": text("spec", "schedulerName"),
        "spec.serviceAccountName": text("spec", "serviceAccountName"),
        "spec.hostNetwork": truth("spec", "hostNetwork"),
        "status.phase": text("status", "phase"),
        "status.podIP": _address,
        "status.podIPs": _address,
        "status.nominatedNodeName": text("status", "nominatedNodeName"),
    },
)
