"""Volumes whose files come from the API: configMap, secret, downwardAPI, projected. What they hold now, and until when.

Several sources may name one path: the last one counts.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Retryable
from seatrial.cluster.node.volumes import atomic, ownership, payload, tokens
from seatrial.cluster.node.volumes.errors import VolumeNotReady
from seatrial.cluster.node.volumes.payload import DEFAULT_MODE, File, Payload
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.cluster.node.volumes.facts import PodFacts
    from seatrial.cluster.node.volumes.tokens import Token
    from seatrial.kube.client.client import Client
    from seatrial.kube.control.informer import InformerFactory
    from seatrial.kube.model.objects import Object

KINDS = ("configMap", "secret", "downwardAPI", "projected")
IN_MEMORY = frozenset({"secret", "downwardAPI", "projected"})
"""Secrets and tokens never lie on a disk."""
PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets"}
_TOKEN_MODE = 0o600


@dataclass(slots=True, eq=False)
class Projection:
    """A volume of a pod that is kept current."""

    pod: Object
    """As it is now."""
    facts: PodFacts
    spec: Mapping[str, Any]
    directory: Path
    tokens: dict[int, Token] = field(default_factory=dict)
    """By the place of their source in the list."""
    retry_at: float = math.inf
    """Set after a write that failed."""
    problem: str = ""
    """Why the last one did."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One write at a time."""

    @property
    def uid(self) -> str:
        return objects.uid(self.pod)

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def due(self) -> float:
        """When it must be written again though nothing has changed, by the clock."""
        if self.retry_at < math.inf:
            return self.retry_at
        return min((token.renewed_at for token in self.tokens.values()), default=math.inf)


class Projector:
    def __init__(
        self, client: Client, informers: InformerFactory, clock: Clock, allocatable: Mapping[str, str]
    ) -> None:
        self._client = client
        self._clock = clock
        self._allocatable = allocatable
        self.informers = {kind: informers.get(resources.for_plural(plural)) for kind, plural in PLURALS.items()}

    async def write(self, projection: Projection) -> None:
        """Bring the directory up to date. Raises VolumeNotReady."""
        files = await self._files(projection, projection.pod, projection.facts)
        group = ownership.group_of(projection.pod)

        def own(directory: Path) -> None:
            if group is not None:
                ownership.give(directory, group, read_only=True)

        try:
            atomic.write(projection.directory, files, self._clock.time(), own)
        except OSError as error:
            raise VolumeNotReady(f"cannot write {error.filename or projection.directory}: {error.strerror}") from error

    async def _files(self, projection: Projection, pod: Object, facts: PodFacts) -> Payload:
        spec = projection.spec
        found = await self._objects(spec, objects.namespace(pod))

        def lookup(kind: str, name: str) -> Object | None:
            return found[kind, name]

        projected = spec.get("projected")
        if projected is None:
            kind = next(kind for kind in KINDS if spec.get(kind) is not None)
            return self._part(kind, spec[kind], pod, facts, lookup, _mode(spec[kind]))
        made: Payload = {}
        for index, source in enumerate(projected.get("sources") or []):
            for kind, part in source.items():
                if kind == "serviceAccountToken":
                    made |= await self._token(projection, index, part, pod, _mode(projected))
                elif part is not None:
                    made |= self._part(kind, part, pod, facts, lookup, _mode(projected))
        return made

    def _part(
        self,
        kind: str,
        source: Mapping[str, Any],
        pod: Object,
        facts: PodFacts,
        lookup: payload.Lookup,
        mode: int,
    ) -> Payload:
        match kind:
            case "configMap":
                return payload.config_map(source, lookup, mode)
            case "secret":
                return payload.secret(source, lookup, mode)
            case "downwardAPI":
                return payload.downward(source, pod, facts, self._allocatable, mode)
        known = "configMap, secret, downwardAPI, serviceAccountToken"
        raise VolumeNotReady(f"projected source {kind}: this node does not know it: use one of {known}")

    async def _token(
        self, projection: Projection, index: int, source: Mapping[str, Any], pod: Object, mode: int
    ) -> Payload:
        token = projection.tokens.get(index)
        if token is None or token.renewed_at <= self._clock.time():
            token = await tokens.request(self._client, self._clock, pod, source)
            projection.tokens[index] = token
        user = ownership.user_of(pod)
        if user is not None or ownership.group_of(pod) is not None:
            mode = _TOKEN_MODE
        path = payload.checked_path(source["path"])
        return {path: File(token.text.encode(), mode, user)}

    async def _objects(self, spec: Mapping[str, Any], namespace: str) -> dict[tuple[str, str], Object | None]:
        return {
            (kind, name): await self._object(kind, namespace, name)
            for kind, name in dict.fromkeys(payload.sources(spec))
        }

    async def _object(self, kind: str, namespace: str, name: str) -> Object | None:
        """As the watch has it; what it does not have is asked for, as it may be on its way."""
        found = self.informers[kind].get(namespace, name)
        if found is not None:
            return found
        try:
            return await self._client.get(resources.for_plural(PLURALS[kind]), name, namespace)
        except StatusError as error:
            if error.code == 404:
                return None
            raise VolumeNotReady(f'{kind.lower()} "{name}": {error.message}') from error
        except Retryable as error:
            raise VolumeNotReady(f'{kind.lower()} "{name}": {error.message}') from error


def _mode(source: Mapping[str, Any]) -> int:
    mode = source.get("defaultMode")
    return DEFAULT_MODE if mode is None else int(mode)
