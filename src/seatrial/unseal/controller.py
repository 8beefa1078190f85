"""The controller of SealedSecrets: each one's Secret is there and is what was sealed.

It watches SealedSecrets, their Secrets and its own keys. A Secret somebody changed or deleted is made right again; one
that is not ours is left alone unless its annotations hand it over. Reports by the condition `Synced`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339
from seatrial.base.errors import Retryable, SeatrialError
from seatrial.kube.control.backoff import Backoff
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome, owner_keys
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError
from seatrial.unseal import keys as sealing_keys
from seatrial.unseal import sealedsecret, sealing
from seatrial.unseal.sealing import CannotUnseal

if TYPE_CHECKING:
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.model.objects import Object
    from seatrial.unseal.keys import SealingKey

log = logging.getLogger(__name__)

_SECRETS = resources.for_plural("secrets")


class SealedSecretController:
    """A part to run: `name`, `run()`."""

    name = "sealed secrets"

    def __init__(self, context: ControlContext, namespace: str) -> None:
        """`namespace`: where the keys are."""
        self._context = context
        self._namespace = namespace
        self._keys: list[SealingKey] = []
        self._sealed = context.informers.get(sealedsecret.RESOURCE)
        self._secrets = context.informers.get(_SECRETS)
        self._stored_keys = context.informers.get(_SECRETS, namespace, label_selector=sealing_keys.LABEL)
        self._stored_keys.on_change(self._keys_changed)
        self._controller = Controller(self.name, self._reconcile, clock=context.clock)
        self._controller.watches(self._sealed)
        self._controller.watches(self._secrets, owner_keys(sealedsecret.KIND, sealedsecret.GROUP))

    async def run(self) -> None:
        await self._stored_keys.wait_synced()
        await self._have_a_key()
        await self._controller.run()

    async def _have_a_key(self) -> None:
        """However often that has to be tried: a busy server is no reason to end."""
        backoff = Backoff("sealing key")
        while not any(key.seals for key in self._keys):
            try:
                await self.rotate()
                return
            except (Retryable, StatusError) as error:
                log.warning("no sealing key could be stored yet", extra={"why": error.message})
                await self._context.clock.sleep(backoff.next())

    async def rotate(self) -> Object:
        """A new key to seal with. What the older ones sealed can still be unsealed."""
        made = await asyncio.to_thread(sealing_keys.generate, self._namespace, self._context.clock.time())
        stored = await self._context.client.create(_SECRETS, made)
        log.info("new sealing key", extra={"secret_name": objects.name(stored)})
        return stored

    def encrypt(self, value: bytes, label: bytes) -> bytes | None:
        """With the newest key; None while there is none yet."""
        key = next((found for found in self._keys if found.seals), None)
        return sealing.encrypt(key.private.public_key(), value, label) if key is not None else None

    def decrypt(self, data: bytes, label: bytes) -> bytes:
        """Raises CannotUnseal."""
        return sealing.decrypt([found.private for found in self._keys], data, label)

    def _keys_changed(self, _old: Object | None, _new: Object | None) -> None:
        """A new key may open what none could."""
        found = []
        for secret in self._stored_keys.list():
            try:
                found.append(sealing_keys.parse(secret))
            except sealing_keys.InvalidKey as error:
                log.warning("sealing key is not usable", extra={"why": error.message})
        self._keys = sealing_keys.newest_first(found)
        for sealed in self._sealed.list():
            self._controller.enqueue((objects.namespace(sealed), objects.name(sealed)))

    async def _reconcile(self, key: Key) -> Outcome:
        sealed = self._sealed.get(*key)
        if sealed is None or objects.is_deleting(sealed):
            return DONE  # its Secret is garbage now
        if not self._keys:
            return DONE  # the first key brings another pass
        try:
            wanted = sealedsecret.unseal(sealed, [found.private for found in self._keys])
            await self._ensure(sealed, wanted)
        except CannotUnseal as error:
            self._event(sealed, "ErrUnsealFailed", f"Failed to unseal: {error.message}")
            await self._report(sealed, error.message)
            return DONE
        except _NotOurs as error:
            self._event(sealed, "ErrUpdateFailed", error.message)
            await self._report(sealed, error.message)
            return DONE
        except StatusError as error:
            if error.code == 409:
                raise
            await self._report(sealed, error.message)
            raise
        await self._report(sealed, "")
        return DONE

    async def _ensure(self, sealed: Object, wanted: Object) -> None:
        live = self._secrets.get(objects.namespace(wanted), objects.name(wanted))
        if live is None:
            await self._context.client.create(_SECRETS, wanted)
            self._context.recorder.event(sealed, "Normal", "Unsealed", "SealedSecret unsealed successfully")
            return
        merged = _merged(sealed, live, wanted)
        if merged == live:
            return
        if live.get("immutable") or live.get("type") != merged["type"]:
            # Neither can be changed in place.
            await self._context.client.delete(
                _SECRETS, objects.name(live), objects.namespace(live), uid=objects.uid(live)
            )
            await self._context.client.create(_SECRETS, wanted)
        else:
            await self._context.client.update(_SECRETS, merged)
        self._context.recorder.event(sealed, "Normal", "Unsealed", "SealedSecret unsealed successfully")

    def _event(self, sealed: Object, reason: str, message: str) -> None:
        self._context.recorder.event(sealed, "Warning", reason, message)

    async def _report(self, sealed: Object, problem: str) -> None:
        """The condition `Synced`; written only when it says something new."""
        status = sealed.get("status") or {}
        generation = sealed["metadata"].get("generation")
        truth = "False" if problem else "True"
        old: dict[str, Any] = next((c for c in status.get("conditions") or () if c.get("type") == "Synced"), {})
        same = (old.get("status"), old.get("message") or "") == (truth, problem)
        if same and status.get("observedGeneration") == generation:
            return
        now = rfc3339(self._context.clock.time())
        since = old.get("lastTransitionTime") if old.get("status") == truth else None
        condition: dict[str, Any] = {
            "type": "Synced",
            "status": truth,
            "lastUpdateTime": now,
            "lastTransitionTime": since or now,
        }
        if problem:
            condition["message"] = problem
        others = [c for c in status.get("conditions") or () if c.get("type") != "Synced"]
        new = {**sealed, "status": {"observedGeneration": generation, "conditions": [condition, *others]}}
        try:
            await self._context.client.update(sealedsecret.RESOURCE, new, subresource="status")
        except StatusError as error:
            if error.code != 404:
                raise


class _NotOurs(SeatrialError):
    pass


def _merged(sealed: Object, live: Object, wanted: Object) -> Object:
    """The live Secret as it should be. Raises _NotOurs for one that nobody gave us."""
    annotations = objects.annotations(live)
    ours = (objects.controller_of(live) or {}).get("uid") == objects.uid(sealed)
    managed, patched = annotations.get(sealedsecret.MANAGED) == "true", annotations.get(sealedsecret.PATCH) == "true"
    if not (ours or managed or patched):
        raise _NotOurs(f'Resource "{objects.name(live)}" already exists and is not managed by SealedSecret')
    metadata = dict(live["metadata"])
    if patched:
        data = {**(live.get("data") or {}), **wanted["data"]}
        for field in ("labels", "annotations"):
            if both := {**(metadata.get(field) or {}), **(wanted["metadata"].get(field) or {})}:
                metadata[field] = both
    else:
        data = wanted["data"]
        for field in ("labels", "annotations"):
            metadata.pop(field, None)
            if found := wanted["metadata"].get(field):
                metadata[field] = found
    if not patched or managed:
        metadata.pop("ownerReferences", None)
        if owners := wanted["metadata"].get("ownerReferences"):
            metadata["ownerReferences"] = owners
    merged = {**live, "metadata": metadata, "data": data, "type": wanted["type"]}
    if "immutable" in wanted:
        merged["immutable"] = wanted["immutable"]
    if not data and "data" not in live:
        del merged["data"]
    return merged
