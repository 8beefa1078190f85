"""What the kubelet asks of the network of the pods; `cluster.network` answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


class PodNetwork(Protocol):
    async def attach(self, uid: str, namespace: str) -> str:
        """Give a pod's network namespace (a path for setns) an interface; returns the pod's address. Idempotent."""

    async def detach(self, uid: str) -> None:
        """Take the interface away and free the address. Idempotent."""


class Routes(Protocol):
    """Whether new connections can reach a pod: what makes a hand-over without a failed request possible."""

    def selects(self, pod: Object) -> bool:
        """Whether any Service selects this pod."""

    async def include(self, uid: str) -> None:
        """Return once every Service that selects this pod sends it new connections, if it is to have any."""

    async def exclude(self, uid: str) -> None:
        """Return once no Service and no ingress proxy sends this pod new connections. Established ones live on."""
