"""Service account tokens for projected volumes: bound to their pod, and renewed before they expire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import parse_time
from seatrial.base.errors import Retryable
from seatrial.cluster.node.volumes.errors import VolumeNotReady
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

DEFAULT_SECONDS = 3600
_SHARE_OF_LIFE = 0.8
_LONGEST_USE = 24 * 3600.0
_ACCOUNTS = resources.for_plural("serviceaccounts")


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    renewed_at: float
    """By the clock: from then on another one is due."""


async def request(client: Client, clock: Clock, pod: Object, source: Mapping[str, Any]) -> Token:
    """A new token for the pod's service account. Raises VolumeNotReady."""
    account, namespace = pod["spec"].get("serviceAccountName") or "default", objects.namespace(pod)
    bound = {"apiVersion": "v1", "kind": "Pod", "name": objects.name(pod), "uid": objects.uid(pod)}
    asked: dict[str, Any] = {
        "expirationSeconds": int(source.get("expirationSeconds") or DEFAULT_SECONDS),
        "boundObjectRef": bound,
    }
    if source.get("audience"):
        asked["audiences"] = [source["audience"]]
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": asked}
    now = clock.time()
    try:
        answer = await client.create(_ACCOUNTS, body, namespace, subresource="token", name=account)
    except (StatusError, Retryable) as error:
        raise VolumeNotReady(f"failed to fetch token: {error.message}") from error
    given = answer["status"]
    life = parse_time(given["expirationTimestamp"]) - now
    return Token(given["token"], now + min(_SHARE_OF_LIFE * life, _LONGEST_USE))
