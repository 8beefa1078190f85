"""The pods behind a Service: which they are, at which ports, and what of a pod matters to its Services. Pure.

Both `endpointslice` and the older `endpoints` are written from this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster import handover
from seatrial.kube.model import conditions, objects, selectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from seatrial.kube.control.controller import Controller, Key
    from seatrial.kube.control.informer import Informer
    from seatrial.kube.model.objects import Object

TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
HEADLESS = "service.kubernetes.io/headless"


def is_ours(service: Object) -> bool:
    """Without a selector somebody else writes the endpoints; an ExternalName has none."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def selected(service: Object, pods: Iterable[Object]) -> list[Object]:
    """The pods that have an address and are not finished, by name."""
    selector = selectors.from_map(service["spec"].get("selector"))
    found = (pod for pod in pods if address(pod) and not is_finished(pod) and selector.matches(objects.labels(pod)))
    return sorted(found, key=objects.name)


def services_of(pod: Object, services: Iterable[Object]) -> Iterator[Key]:
    labels = objects.labels(pod)
    for service in services:
        if is_ours(service) and selectors.from_map(service["spec"]["selector"]).matches(labels):
            yield objects.namespace(service), objects.name(service)


def follow(controller: Controller, services: Informer, pods: Informer) -> None:
    """Reconcile a Service when it changes, and when a pod behind it changes in a way that shows."""
    controller.watches(services)
    controller.watches(pods, lambda _pod: ())  # only to wait for it: most changes of a pod do not show

    def pod_changed(old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _shown(old) == _shown(new):
            return
        for pod in (old, new):
            if pod is not None:
                for key in services_of(pod, services.list(objects.namespace(pod))):
                    controller.enqueue(key)

    pods.on_change(pod_changed)


def _shown(pod: Object) -> object:
    spec = pod["spec"]
    names = spec.get("nodeName"), spec.get("hostname"), spec.get("subdomain")
    state = address(pod), is_finished(pod), is_ready(pod), objects.is_deleting(pod)
    return names, state, objects.labels(pod), objects.uid(pod)


def address(pod: Object) -> str:
    return (pod.get("status") or {}).get("podIP") or ""


def is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    return handover.may_serve(pod)


def target(pod: Object) -> dict[str, str]:
    return {
        "kind": "Pod",
        "namespace": objects.namespace(pod),
        "name": objects.name(pod),
        "uid": objects.uid(pod),
    }


def hostname(service: Object, pod: Object) -> str:
    """The name under the Service's own in DNS, if the pod asked for one."""
    spec = pod["spec"]
    return spec.get("hostname") or "" if spec.get("subdomain") == objects.name(service) else ""


def ports(service: Object, pod: Object) -> list[dict[str, Any]]:
    """The Service's ports as this pod serves them; a named port the pod does not have is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = port_number(port, pod)
        if number:
            shown = {"name": port.get("name") or "", "port": number, "protocol": port.get("protocol") or "TCP"}
            if port.get("appProtocol"):
                shown["appProtocol"] = port["appProtocol"]
            found.append(shown)
    return found


def port_number(port: dict[str, Any], pod: Object) -> int:
    """0 if `targetPort` is a name the pod does not have."""
    wanted = port.get("targetPort") or port["port"]
    if isinstance(wanted, int):
        return wanted
    for container in _serving_containers(pod["spec"]):
        for offered in container.get("ports") or ():
            protocols = offered.get("protocol") or "TCP", port.get("protocol") or "TCP"
            if offered.get("name") == wanted and protocols[0] == protocols[1]:
                return int(offered["containerPort"])
    return 0


def _serving_containers(spec: Object) -> Iterator[Object]:
    yield from spec.get("containers") or ()
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":  # a sidecar
            yield container


def is_headless(service: Object) -> bool:
    return service["spec"].get("clusterIP") in (None, "", "None")


def trigger_time(service: Object, pods: Iterable[Object]) -> str:
    """When what the endpoints show came about: the latest change of the Service or of a pod's readiness."""
    times = [service["metadata"].get("creationTimestamp")]
    times += [(conditions.get(pod, "Ready") or {}).get("lastTransitionTime") for pod in pods]
    return rfc3339(max((parse_time(time) for time in times if time), default=0.0))
