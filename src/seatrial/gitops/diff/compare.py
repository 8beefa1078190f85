"""The Comparer: would applying this manifest change that live object?

The server says, by a dry run of server-side apply: it alone knows its defaults and spellings. It is asked as seldom as
can be. A pair that was compared, or that an apply made, is remembered; a live object of which only fields changed that
are not ours is still what it was; and one whose fields of ours are the manifest's to the letter needs no question.

What was not answered is Unknown, with the cause, never Synced.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson

from seatrial.base.errors import Retryable
from seatrial.gitops.api import names
from seatrial.gitops.diff.leftover import leftovers, without_leftovers
from seatrial.gitops.diff.normalise import is_secret, normalise, normalise_pair, store_strings
from seatrial.gitops.diff.ownership import ABSENT, entries, overlaid, owns_exactly, union
from seatrial.gitops.diff.sandbox import SandboxFailed
from seatrial.gitops.diff.update import updated
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.gitops.diff.rules import ObjectRules, Rules
    from seatrial.gitops.diff.sandbox import Sandbox
    from seatrial.kube.client.client import Client
    from seatrial.kube.client.discovery import RESTMapper
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.patch.apply.fieldset import Node

State = Literal["Synced", "OutOfSync", "Unknown"]
SYNCED: State = "Synced"
OUT_OF_SYNC: State = "OutOfSync"
UNKNOWN: State = "Unknown"

_RETRY_AFTER = (0.2, 1.0)
"""Seconds before each further try of a dry run that got no answer."""
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_REMEMBERED = 200_000
_REPEATED = "duplicate entries for key"
_NOT_SENT = ("managedFields", "resourceVersion", "uid", "selfLink", "generation", "creationTimestamp")
"""Left in manifests by `kubectl get -o yaml`; an apply with them is refused."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`live` and `predicted` are normalised, and there only when they differ; a missing side is None."""

    state: State
    live: Object | None = None
    predicted: Object | None = None
    message: str = ""
    """Why it is Unknown."""
    retryable: bool = False
    """Unknown, and worth another try without anybody changing anything."""
    cached: bool = False
    """Nothing was asked of the server."""


_SAME = Difference(SYNCED, cached=True)


class _Known(NamedTuple):
    desired: Object
    digest: bytes
    version: str
    rules: ObjectRules | None
    """None: equal to the letter, whatever the rules."""
    difference: Difference
    fields: Node
    """The manifest's fields, where the pair is Synced and they are known."""
    seen: bytes
    """A digest of the live object as seen through them."""


class Comparer:
    """For one cluster. Objects handed in are shared and stay as they are; the manifests have their tracking id."""

    def __init__(
        self, client: Client, mapper: RESTMapper, clock: Clock, sandbox: Sandbox | None = None, *,
        parallel: int = 20, presumes: bool = False,
    ) -> None:  # fmt: skip
        """Without `sandbox` jq rules ignore nothing. `parallel`: dry runs at a time.

        `presumes`: what is plainly different is not asked about; then `predicted` has just that difference.
        """
        self._presumes = presumes
        self._client = client
        self._mapper = mapper
        self._clock = clock
        self._sandbox = sandbox
        self._slots = asyncio.Semaphore(parallel)
        self._known: dict[str, _Known] = {}

    async def compare(self, desired: Object | None, live: Object | None, rules: Rules) -> Difference:
        """Never raises for what the server says."""
        try:
            if desired is None or live is None:
                return self._one_sided(desired, live, rules)
            chosen = rules.of_object(desired)
            known = self._lookup(desired, live, chosen)
            if known is not None:
                return known
            if self._presumes and (other := plainly_different(desired, live, chosen)) is not None:
                return Difference(OUT_OF_SYNC, *normalise_pair(live, other, chosen, self._sandbox), cached=True)
            return await self._ask(desired, live, chosen)
        except SandboxFailed as error:
            return Difference(
                UNKNOWN, message=f"a jq path expression could not be run: {error.message}", retryable=True
            )

    def remember(self, desired: Object, live: Object) -> None:
        """`live` is what the server made of applying `desired` just now: they are equal."""
        self._keep(desired, live, None, _SAME, union(_applied(live)))

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._known.pop(uid, None)

    def _one_sided(self, desired: Object | None, live: Object | None, rules: Rules) -> Difference:
        sides = [
            None if obj is None else normalise(obj, rules.of_object(obj), self._sandbox) for obj in (live, desired)
        ]
        return Difference(OUT_OF_SYNC, sides[0], sides[1], cached=True)

    # memory

    def _lookup(self, desired: Object, live: Object, rules: ObjectRules) -> Difference | None:
        known = self._known.get(objects.uid(live))
        if known is not None and (known.rules is None or known.rules == rules) and self._is_of(known, desired, live):
            version = live["metadata"].get("resourceVersion")
            if known.version == version:
                return known.difference
            if known.fields and not rules.includes_webhooks and known.seen == _seen(live, known.fields):
                return self._put(live, known._replace(desired=desired, version=version)).difference
        return None if rules.includes_webhooks else self._recognised(desired, live)

    def _is_of(self, known: _Known, desired: Object, live: Object) -> bool:
        """The same manifest, maybe rendered anew."""
        if known.desired is desired:
            return True
        if known.digest != _digest(desired):
            return False
        self._put(live, known._replace(desired=desired))
        return True

    def _recognised(self, desired: Object, live: Object) -> Difference | None:
        """Applied by this engine before, maybe before a restart, and as it was then."""
        if not is_applied(desired, live):
            return None
        self._keep(desired, live, None, _SAME, union(_applied(live)))
        return _SAME

    def _keep(
        self, desired: Object, live: Object, rules: ObjectRules | None, difference: Difference, fields: Node
    ) -> None:
        known = _Known(
            desired, _digest(desired), objects.metadata(live).get("resourceVersion") or "", rules,
            replace(difference, cached=True), fields, _seen(live, fields) if fields else b"",
        )  # fmt: skip
        self._put(live, known)

    def _put(self, live: Object, known: _Known) -> _Known:
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[objects.uid(live)] = known
        return known

    # the question

    async def _ask(self, desired: Object, live: Object, rules: ObjectRules) -> Difference:
        try:
            answer = await self._dry_run(desired, live)
        except (Retryable, StatusError, TimeoutError) as error:
            return Difference(UNKNOWN, message=_why(error, desired), retryable=_is_passing(error))
        if objects.uid(answer) != objects.uid(live):
            return Difference(UNKNOWN, message="the object was replaced while it was compared", retryable=True)
        predicted = answer if rules.includes_webhooks else predict(desired, live, answer)
        shown = normalise_pair(live, predicted, rules, self._sandbox)
        difference = Difference(SYNCED) if _equal(*shown) else Difference(OUT_OF_SYNC, *shown)
        ours = _applied(answer) if difference.state == SYNCED else []
        self._keep(desired, live, rules, difference, union([*ours, *_applied(live)]) if ours else {})
        return difference

    async def _dry_run(self, desired: Object, live: Object) -> Object:
        """Tried again when no answer came. Raises StatusError, Retryable, TimeoutError."""
        for delay in (*_RETRY_AFTER, None):
            try:
                async with self._slots:
                    return await self._once(desired, live)
            except (Retryable, StatusError, TimeoutError) as error:
                if delay is None or not _is_passing(error) or getattr(error, "reason", "") == "NoMatch":
                    raise
            await self._clock.sleep(delay)
        raise AssertionError("the last try returns or raises")

    async def _once(self, desired: Object, live: Object) -> Object:
        resource = await self._mapper.for_kind(desired["apiVersion"], desired["kind"])
        sent = _sendable(desired)
        try:
            return await self._client.apply(resource, sent, force=True, dry_run=True, field_manager=names.FIELD_MANAGER)
        except StatusError as error:
            if _REPEATED not in error.message:
                raise
        return await self._client.update(resource, updated(live, sent), dry_run=True)


def plainly_different(desired: Object, live: Object, rules: ObjectRules) -> Object | None:
    """`live` with the texts of a ConfigMap as wanted, if one is another; None: that has to be asked.

    These texts have no defaults and no second spelling, unlike nearly everything else.
    """
    if desired.get("apiVersion") != "v1" or desired.get("kind") != "ConfigMap":
        return None
    if rules.ignores_anything or rules.includes_webhooks or live.get("immutable"):
        return None
    wanted, there = desired.get("data") or {}, live.get("data") or {}
    if not isinstance(wanted, dict) or not all(isinstance(text, str) for text in wanted.values()):
        return None
    is_other = any(there.get(key) != text for key, text in wanted.items())
    return {**live, "data": {**there, **wanted}} if is_other else None


def predict(desired: Object, live: Object, answer: Object) -> Object:
    """`live` with what the manifest says and drops: the dry run's answer without what webhooks and defaults added."""
    ours = entries(answer, (names.FIELD_MANAGER,), "Apply")
    if not ours:  # a server that tracks no fields
        return answer
    before = [entry for entry in _applied(live) if entry.get("apiVersion") == desired["apiVersion"]]
    made: Object = overlaid(live, answer, union([*ours, *before]))
    return without_leftovers(made, live, desired)


def is_applied(desired: Object, live: Object) -> bool:
    """Whether applying `desired` again is known to change nothing, without asking.

    True only if our fields in `live` are the very fields of `desired` with the very same values. Applying then keeps
    values and owners as they are; what is not ours an apply does not touch.
    """
    ours = _applied(live)
    if len(ours) != 1 or not ours[0].get("apiVersion") == desired.get("apiVersion") == live.get("apiVersion"):
        return False
    sent = _sendable(desired)
    fields = {key: value for key, value in sent.items() if key not in ("apiVersion", "kind")}
    metadata = {key: value for key, value in objects.metadata(sent).items() if key not in ("name", "namespace")}
    if metadata:
        fields["metadata"] = metadata
    else:
        fields.pop("metadata", None)
    return owns_exactly(fields, live, ours[0].get("fieldsV1") or {}) and not leftovers(live, desired)


def _applied(live: Object) -> list[Object]:
    return entries(live, (names.FIELD_MANAGER,), "Apply")


def _seen(live: Object, fields: Node) -> bytes:
    """A digest of those fields, of who of us owns what, and so of whether there is something to take over."""
    ours = entries(live, (names.FIELD_MANAGER, "kubectl-client-side-apply"))
    tries = [(entry.get("operation"), entry.get("apiVersion"), entry.get("fieldsV1")) for entry in ours]
    part = overlaid(ABSENT, live, fields)
    return _digest([tries, None if part is ABSENT else part])


def _digest(value: object) -> bytes:
    return hashlib.blake2b(orjson.dumps(value), digest_size=16).digest()


def _equal(one: Object, other: Object) -> bool:
    """As JSON: to Python True is 1."""
    return one == other and orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        other, option=orjson.OPT_SORT_KEYS
    )


def _sendable(desired: Object) -> Object:
    metadata = objects.metadata(desired)
    made = desired
    if any(name in metadata for name in _NOT_SENT):
        made = {**made, "metadata": {key: value for key, value in metadata.items() if key not in _NOT_SENT}}
    if is_secret(desired) and "stringData" in desired:
        made = dict(made)
        store_strings(made)
    return made


def _is_passing(error: Exception) -> bool:
    """Whether the same question may get an answer later."""
    if isinstance(error, StatusError):
        return error.code in _PASSING
    return isinstance(error, Retryable | TimeoutError)


def _why(error: Exception, desired: Object) -> str:
    """What the server said; of Secrets only which fields it is about, since it may quote their values."""
    what = f"comparing {objects.ref(desired)} failed"
    if isinstance(error, TimeoutError):
        return f"{what}: the server did not answer in time"
    if not isinstance(error, StatusError):
        return f"{what}: {error}"
    if not is_secret(desired):
        return f"{what}: {error.reason}: {error.message}"
    fields = sorted({cause["field"] for cause in error.details.get("causes") or () if cause.get("field")})
    return f"{what}: {error.reason}" + (f" ({', '.join(fields)})" if fields else "")
