"""Leader election by a Lease: of several replicas one works, and another takes over when it stops renewing.

The rules are client-go's: a candidate judges the lease's age by its own clock, from when it last saw the lease change,
so clocks need not agree; a leader that cannot renew for `RENEW_SECONDS` stops its work before the lease runs out.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339_micro
from seatrial.base.errors import Retryable
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

LEASE_SECONDS = 15
RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0
_LEASES = resources.for_plural("leases", "coordination.k8s.io")


class LeadershipLost(Retryable):
    """The lease could not be renewed, or somebody else holds it: what ran under it has been stopped."""

    reason = "LeadershipLost"


class LeaderElector:
    def __init__(self, client: Client, clock: Clock, *, namespace: str, name: str, identity: str) -> None:
        """`identity` must be unique among the candidates."""
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seen: Object | None = None
        self._seen_at = 0.0

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait until the lease is ours, then run `work` for as long as it stays so.

        Returns when `work` does, the lease given back. Raises LeadershipLost, and what `work` raises.
        """
        await self._acquire()
        log.info("leading", extra={"lease": self._name, "identity": self._identity})
        working, renewing = asyncio.ensure_future(work()), asyncio.create_task(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                renewing.result()
        finally:
            renewing.cancel()
            working.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
            if not renewing.done() or renewing.cancelled():
                await self._release()
        working.result()

    async def _acquire(self) -> None:
        while not await self._try():
            await self._clock.sleep(RETRY_SECONDS)

    async def _renew(self) -> None:
        renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(RETRY_SECONDS)
            if await self._try():
                renewed = self._clock.monotonic()
            elif self._held_by() not in ("", self._identity):
                raise LeadershipLost(f"the lease {self._namespace}/{self._name} went to {self._held_by()}")
            elif self._clock.monotonic() - renewed > RENEW_SECONDS:
                raise LeadershipLost(
                    f"the lease {self._namespace}/{self._name} could not be renewed for {RENEW_SECONDS:.0f} s"
                )

    async def _try(self) -> bool:
        """Take or renew the lease, if it may be had; False if not, or not now."""
        try:
            return await self._take()
        except StatusError as error:
            if error.code not in (404, 409, 429, 500, 503, 504):
                raise
        except Retryable as error:
            log.warning("cannot reach the lease", extra={"lease": self._name, "error": error})
        return False

    async def _take(self) -> bool:
        live = await self._live()
        if live is None:
            self._note(await self._client.create(_LEASES, self._lease(None)))
            return True
        self._note(live)
        if self._held_by() not in ("", self._identity) and not self._has_expired(live):
            return False
        self._note(await self._client.update(_LEASES, self._lease(live)))
        return True

    async def _live(self) -> Object | None:
        try:
            return await self._client.get(_LEASES, self._name, self._namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    def _note(self, lease: Object) -> None:
        if self._seen is None or _version(self._seen) != _version(lease):
            self._seen, self._seen_at = lease, self._clock.monotonic()

    def _held_by(self) -> str:
        return ((self._seen or {}).get("spec") or {}).get("holderIdentity") or ""

    def _has_expired(self, lease: Object) -> bool:
        seconds = (lease.get("spec") or {}).get("leaseDurationSeconds") or LEASE_SECONDS
        return self._clock.monotonic() - self._seen_at > seconds

    def _lease(self, live: Object | None) -> Object:
        """As we want it: ours from now on. A change of hands is counted."""
        now = rfc3339_micro(self._clock.time())
        old: dict[str, Any] = (live or {}).get("spec") or {}
        changes_hands = old.get("holderIdentity") != self._identity
        transitions = old.get("leaseTransitions") or 0
        spec = {
            **old,
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now if changes_hands else old.get("acquireTime") or now,
            "renewTime": now,
            "leaseTransitions": transitions + 1 if live is not None and changes_hands else transitions,
        }
        metadata = objects.metadata(live) if live else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _release(self) -> None:
        """So that the next one need not wait for the lease to run out."""
        if self._seen is None or self._held_by() != self._identity:
            return
        spec = {**self._seen["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._client.update(_LEASES, {**self._seen, "spec": spec})
        except (StatusError, Retryable) as error:
            log.info("the lease was not given back", extra={"lease": self._name, "error": error})


def _version(obj: Object) -> str:
    version: str = objects.metadata(obj).get("resourceVersion") or ""
    return version
