"""What a pod asks a node for: CPU in milli-units, memory and other resources in units, host ports.

The rule (Kubernetes, "Init containers: resource sharing", and KEP-753 for sidecars): the larger of the sum of the
containers with the sidecars, and of each init container with the sidecars started before it; plus the overhead.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from seatrial.kube.model import quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.kube.model.objects import Object

PORTS = tuple[str, str, int]
"""Host IP, protocol, port."""


def requests(pod: Object) -> Counter[str]:
    spec = pod["spec"]
    total: Counter[str] = Counter()
    for container in spec.get("containers") or []:
        total.update(_of(container))
    sidecars: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for container in spec.get("initContainers") or []:
        wanted = _of(container)
        if container.get("restartPolicy") == "Always":
            sidecars.update(wanted)
            peak |= sidecars
        else:
            peak |= sidecars + wanted
    total.update(sidecars)
    total |= peak
    total.update(amounts(spec.get("overhead")))
    return total


def _of(container: Object) -> Counter[str]:
    return amounts((container.get("resources") or {}).get("requests"))


def amounts(resources: Mapping[str, Any] | None) -> Counter[str]:
    """Quantities as whole numbers: `cpu` in milli-units, everything else rounded up to units."""
    found: Counter[str] = Counter()
    for name, text in (resources or {}).items():
        found[name] = quantity.milli(text) if name == "cpu" else quantity.value(text)
    return found


def host_ports(pod: Object) -> set[PORTS]:
    return {
        (port.get("hostIP") or "0.0.0.0", port.get("protocol", "TCP"), port["hostPort"])
        for container in pod["spec"].get("containers") or []
        for port in container.get("ports") or []
        if port.get("hostPort")
    }


def ports_clash(wanted: set[PORTS], taken: set[PORTS]) -> bool:
    """The same protocol and port clash unless both name different addresses."""
    return any(
        protocol == other_protocol and port == other_port and (host == other or "0.0.0.0" in (host, other))
        for host, protocol, port in wanted
        for other, other_protocol, other_port in taken
    )
