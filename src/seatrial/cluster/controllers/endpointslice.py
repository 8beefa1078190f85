"""EndpointSlices: where the traffic of each Service with a selector may go.

`plan` is pure: from the Service, its endpoints and the slices there are, it says which to write, touching as few
as it can (every write goes to every proxy). Deleting the slices of a deleted Service is the garbage collector's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.controllers import backends
from seatrial.cluster.controllers.serviceaccount import is_too_late
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.control.expectations import Expectations
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
MOST_ENDPOINTS = 100
_RESERVED = (SERVICE_NAME, MANAGED_BY, backends.HEADLESS)
_ZONE = "topology.kubernetes.io/zone"

Endpoint = dict[str, Any]
Ports = list[dict[str, Any]]


@dataclass(slots=True)
class Plan:
    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


@dataclass(slots=True)
class _Draft:
    """A slice as it will be: of `slice`, or a new one."""

    ports: Ports
    endpoints: list[Endpoint]
    slice: Object | None = None

    @property
    def room(self) -> int:
        return MOST_ENDPOINTS - len(self.endpoints)

    @property
    def is_changed(self) -> bool:
        return self.slice is None or self.endpoints != (self.slice.get("endpoints") or [])


# deciding


def endpoint(service: Object, pod: Object, zone: str = "") -> Endpoint:
    serving, terminating = backends.is_ready(pod), objects.is_deleting(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    made: Endpoint = {
        "addresses": [backends.address(pod)],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": backends.target(pod),
    }
    extra = {"nodeName": pod["spec"].get("nodeName"), "zone": zone, "hostname": backends.hostname(service, pod)}
    return made | {key: value for key, value in extra.items() if value}


def plan(
    service: Object, pods: Sequence[Object], slices: Iterable[Object], zones: Mapping[str, str] | None = None
) -> Plan:
    """`pods`: those `backends.selected`; `slices`: the Service's own; `zones`: by node."""
    mine = sorted((item for item in slices if not objects.is_deleting(item)), key=objects.name)
    wanted = _by_ports(service, pods, zones or {})
    drafts: list[_Draft] = []
    spare = list(mine)
    for key, (ports, endpoints) in wanted.items():
        fitting = [item for item in mine if _port_key(item.get("ports") or []) == key]
        spare = [item for item in spare if item not in fitting]
        drafts += _distribute(ports, endpoints, fitting)
    emptied = [draft for draft in drafts if not draft.endpoints]
    drafts = [draft for draft in drafts if draft.endpoints] or [_Draft([], [])]
    spare += [draft.slice for draft in emptied if draft.slice is not None]
    return _writes(service, pods, drafts, spare)


def _by_ports(
    service: Object, pods: Iterable[Object], zones: Mapping[str, str]
) -> dict[bytes, tuple[Ports, list[Endpoint]]]:
    """One slice has one set of ports: pods whose named ports differ go to different ones."""
    found: dict[bytes, tuple[Ports, list[Endpoint]]] = {}
    for pod in pods:
        ports = backends.ports(service, pod)
        zone = zones.get(pod["spec"].get("nodeName") or "", "")
        found.setdefault(_port_key(ports), (ports, []))[1].append(endpoint(service, pod, zone))
    return found


def _port_key(ports: Ports) -> bytes:
    shown = (
        [port.get("name") or "", port.get("port"), port.get("protocol") or "TCP", port.get("appProtocol")]
        for port in ports
    )
    return orjson.dumps(sorted(shown, key=str))


def _distribute(ports: Ports, endpoints: list[Endpoint], slices: Iterable[Object]) -> list[_Draft]:
    """Endpoints stay in the slice they are in; new ones go where something changes anyway, or where there is room."""
    missing = {item["targetRef"]["uid"]: item for item in endpoints}
    drafts = []
    for existing in slices:
        uids = [(item.get("targetRef") or {}).get("uid") for item in existing.get("endpoints") or ()]
        kept = [missing.pop(uid) for uid in uids if uid in missing]
        drafts.append(_Draft(ports, kept[:MOST_ENDPOINTS], existing))
        missing.update((item["targetRef"]["uid"], item) for item in kept[MOST_ENDPOINTS:])
    rest = list(missing.values())
    for draft in sorted(drafts, key=lambda draft: (not draft.is_changed, draft.room)):
        if rest and draft.endpoints:
            taken = draft.room
            draft.endpoints += rest[:taken]
            rest = rest[taken:]
    drafts += [_Draft(ports, rest[n : n + MOST_ENDPOINTS]) for n in range(0, len(rest), MOST_ENDPOINTS)]
    return drafts


def _writes(service: Object, pods: Iterable[Object], drafts: Iterable[_Draft], spare: list[Object]) -> Plan:
    """A slice that is no longer needed is reused before a new one is made."""
    made = Plan()
    trigger = backends.trigger_time(service, pods)
    for draft in drafts:
        if draft.slice is None and spare:
            draft.slice = spare.pop(0)
        if draft.slice is None:
            made.create.append(_fresh(service, draft, trigger))
        elif _differs(service, draft, draft.slice):
            made.update.append(_changed(service, draft, draft.slice, trigger))
    made.delete = spare
    return made


def _labels(service: Object) -> dict[str, str]:
    own = {key: value for key, value in objects.labels(service).items() if key not in _RESERVED}
    headless = {backends.HEADLESS: ""} if backends.is_headless(service) else {}
    return {**own, **headless, SERVICE_NAME: objects.name(service), MANAGED_BY: CONTROLLER}


def _fresh(service: Object, draft: _Draft, trigger: str) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{objects.name(service)}-",
            "namespace": objects.namespace(service),
            "labels": _labels(service),
            "annotations": {backends.TRIGGER_TIME: trigger},
            "ownerReferences": [objects.controller_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": draft.endpoints,
        "ports": draft.ports,
    }


def _differs(service: Object, draft: _Draft, existing: Object) -> bool:
    owner = objects.controller_of(existing) or {}
    return (
        draft.is_changed
        or _port_key(draft.ports) != _port_key(existing.get("ports") or [])
        or objects.labels(existing) != _labels(service)
        or owner.get("uid") != objects.uid(service)
    )


def _changed(service: Object, draft: _Draft, existing: Object, trigger: str) -> Object:
    changed = objects.clone(existing)
    metadata = changed["metadata"]
    metadata["labels"] = _labels(service)
    metadata["annotations"] = {**objects.annotations(changed), backends.TRIGGER_TIME: trigger}
    metadata["ownerReferences"] = [objects.controller_reference(service)]
    return {**changed, "endpoints": draft.endpoints, "ports": draft.ports}


# doing


def build(context: ControlContext) -> Controller:
    return _EndpointSlices(context).controller


class _EndpointSlices:
    def __init__(self, context: ControlContext) -> None:
        self._client = context.client
        self._resource = resources.for_plural("endpointslices", "discovery.k8s.io")
        self._services = context.informers.get(resources.for_plural("services"))
        self._pods = context.informers.get(resources.for_plural("pods"))
        self._nodes = context.informers.get(resources.for_plural("nodes"))
        self._slices = context.informers.get(self._resource)
        self._slices.add_index("service", lambda item: ["/".join(key) for key in _service_keys(item)])
        self._expectations = Expectations(context.clock)
        self._slices.on_change(self._slice_changed)
        self.controller = Controller("endpointslice", self._reconcile, clock=context.clock)
        backends.follow(self.controller, self._services, self._pods)
        self.controller.watches(self._slices, _service_keys)
        self.controller.watches(self._nodes, lambda _node: ())

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None and new is not None:
            for key in _service_keys(new):
                self._expectations.observed_creation(key)

    async def _reconcile(self, key: Key) -> Outcome:
        service = self._services.get(*key)
        if service is None:
            self._expectations.forget(key)
            return DONE
        if objects.is_deleting(service) or not backends.is_ours(service) or not self._expectations.satisfied(key):
            return DONE
        pods = backends.selected(service, self._pods.list(key[0]))
        made = plan(service, pods, self._slices.by_index("service", "/".join(key)), self._zones())
        try:
            await self._write(key, made)
        except StatusError as error:
            if not is_too_late(error):
                raise
        return DONE

    async def _write(self, key: Key, made: Plan) -> None:
        for item in made.create:
            await self._create(key, item)
        for item in made.update:
            await self._client.update(self._resource, item)
        for item in made.delete:
            await self._client.delete(
                self._resource, objects.name(item), objects.namespace(item), uid=objects.uid(item)
            )

    def _zones(self) -> dict[str, str]:
        return {objects.name(node): objects.labels(node).get(_ZONE, "") for node in self._nodes.list()}

    async def _create(self, key: Key, item: Object) -> None:
        self._expectations.expect(key, creations=1)
        try:
            await self._client.create(self._resource, item)
        except BaseException:
            self._expectations.observed_creation(key)
            raise


def _service_keys(item: Object) -> Iterator[Key]:
    labels = objects.labels(item)
    if labels.get(MANAGED_BY) == CONTROLLER and labels.get(SERVICE_NAME):
        yield objects.namespace(item), labels[SERVICE_NAME]
