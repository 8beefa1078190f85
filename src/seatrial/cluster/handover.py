"""The hand-over of connections to a new pod, as the node and the endpoint controllers agree on it.

A pod whose containers are ready is not Ready at once. Its condition says AwaitingRoutes first: the controllers list it
then, the rules and the ingress proxy take it in, and only after that is it Ready, so that whoever counts it as
available can take an older one away. Upstream promises no order here, and so loses requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model import conditions

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

AWAITING_ROUTES = "AwaitingRoutes"
"""The reason of a condition Ready=False: all is well but new connections do not reach the pod yet."""


def may_serve(pod: Object) -> bool:
    """Whether connections may be sent to the pod: it is Ready, or waits for nothing else."""
    ready = conditions.get(pod, "Ready") or {}
    return ready.get("status") == "True" or ready.get("reason") == AWAITING_ROUTES
