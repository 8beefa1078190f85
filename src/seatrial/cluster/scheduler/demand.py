"""What a pod asks a node for: CPU in milli-units, memory and other resources in units, host ports.

The rule (Kubernetes, "Init containers: resource sharing", and KEP-753 for sidecars): the larger of the sum of the
containers with the sidecars, and of each init container with the sidecars started before it. What the pod asks for
as a whole (KEP-2837) takes the place of that sum; the overhead comes on top.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from seatrial.kube.model import quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seatrial.kube.model.objects import Object

PORTS = tuple[str, str, int]
"""Host IP, protocol, port."""
_ANY_ADDRESS = "0.0.0.0"


def requests(pod: Object) -> Counter[str]:
    spec = pod["spec"]
    total = _of_containers(spec)
    whole = amounts((spec.get("resources") or {}).get("requests"))
    total.update({name: amount - total[name] for name, amount in whole.items() if _is_shared(name)})
    total.update(amounts(spec.get("overhead")))
    return total


def _of_containers(spec: Mapping[str, Any]) -> Counter[str]:
    total: Counter[str] = Counter()
    for container in spec.get("containers") or []:
        total.update(_of(container))
    sidecars: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for container in spec.get("initContainers") or []:
        wanted = _of(container)
        if _is_sidecar(container):
            sidecars.update(wanted)
            peak |= sidecars
        else:
            peak |= sidecars + wanted
    total.update(sidecars)
    total |= peak
    return total


def _of(container: Object) -> Counter[str]:
    return amounts((container.get("resources") or {}).get("requests"))


def _is_sidecar(container: Object) -> bool:
    return container.get("restartPolicy") == "Always"


def _is_shared(resource: str) -> bool:
    """Resources that a pod may ask for as a whole."""
    return resource in ("cpu", "memory") or resource.startswith("hugepages-")


def amounts(resources: Mapping[str, Any] | None) -> Counter[str]:
    """Quantities as whole numbers: `cpu` in milli-units, everything else rounded up to units."""
    found: Counter[str] = Counter()
    for name, text in (resources or {}).items():
        found[name] = quantity.milli(text) if name == "cpu" else quantity.value(text)
    return found


def host_ports(pod: Object) -> set[PORTS]:
    return {
        (port.get("hostIP") or _ANY_ADDRESS, port.get("protocol") or "TCP", port["hostPort"])
        for container in _lasting(pod["spec"])
        for port in container.get("ports") or []
        if port.get("hostPort")
    }


def _lasting(spec: Mapping[str, Any]) -> Iterator[Object]:
    """The containers that run as long as the pod does."""
    yield from spec.get("containers") or []
    yield from (container for container in spec.get("initContainers") or [] if _is_sidecar(container))


def ports_clash(wanted: set[PORTS], taken: set[PORTS]) -> bool:
    """The same protocol and port clash unless both name different addresses."""
    return any(
        protocol == other_protocol and port == other_port and (host == other or _ANY_ADDRESS in (host, other))
        for host, protocol, port in wanted
        for other, other_protocol, other_port in taken
    )
