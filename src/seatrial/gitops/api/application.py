"""An Application, read: a view over the object, with Argo CD's defaults. It never changes the object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from seatrial.gitops.api import duration, names
from seatrial.gitops.api.source import Source
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.kube.model.objects import Object


@dataclass(frozen=True, slots=True)
class Destination:
    server: str
    name: str
    namespace: str

    @property
    def is_in_cluster(self) -> bool:
        return self.server == names.IN_CLUSTER or (not self.server and self.name in ("", "in-cluster"))


@dataclass(frozen=True, slots=True)
class Automated:
    prune: bool
    self_heal: bool
    allow_empty: bool


@dataclass(frozen=True, slots=True)
class Retry:
    """Delay before try n (from 0): `seconds` times `factor` to the n, at most `longest`. A negative limit: for ever."""

    limit: int = 0
    seconds: float = 5.0
    factor: float = 2.0
    longest: float = 180.0
    refresh: bool = False

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Self:
        """A `retry` block. Raises ValueError (see `validate`)."""
        backoff = spec.get("backoff") or {}
        factor = backoff.get("factor")
        return cls(
            limit=int(spec.get("limit") or 0),
            seconds=duration.seconds(str(backoff.get("duration") or "5s")),
            factor=2.0 if factor is None else float(factor),
            longest=duration.seconds(str(backoff.get("maxDuration") or "3m")),
            refresh=bool(spec.get("refresh")),
        )


class Application:
    def __init__(self, obj: Object) -> None:
        self.object = obj
        self._spec: dict[str, Any] = obj.get("spec") or {}

    @property
    def name(self) -> str:
        return objects.name(self.object)

    @property
    def namespace(self) -> str:
        return objects.namespace(self.object)

    @property
    def project(self) -> str:
        return self._spec.get("project") or "default"

    @property
    def instance(self) -> str:
        """What tracking ids begin with: the name, with its namespace outside the control namespace."""
        if self.namespace in ("", names.CONTROL_NAMESPACE):
            return self.name
        return f"{self.namespace}_{self.name}"

    @property
    def sources(self) -> tuple[Source, ...]:
        """`sources`, else the one `source`."""
        many = self._spec.get("sources")
        if many:
            return tuple(Source.of(spec) for spec in many)
        one = self._spec.get("source")
        return (Source.of(one),) if one else ()

    @property
    def has_many_sources(self) -> bool:
        return bool(self._spec.get("sources"))

    @property
    def destination(self) -> Destination:
        found = self._spec.get("destination") or {}
        return Destination(found.get("server") or "", found.get("name") or "", found.get("namespace") or "")

    @property
    def automated(self) -> Automated | None:
        """None: nothing is synced unasked."""
        policy = (self._spec.get("syncPolicy") or {}).get("automated")
        if policy is None or policy.get("enabled") is False:
            return None
        return Automated(
            prune=bool(policy.get("prune")),
            self_heal=bool(policy.get("selfHeal")),
            allow_empty=bool(policy.get("allowEmpty")),
        )

    @property
    def sync_options(self) -> tuple[str, ...]:
        return tuple((self._spec.get("syncPolicy") or {}).get("syncOptions") or ())

    @property
    def managed_namespace_metadata(self) -> dict[str, Any] | None:
        return (self._spec.get("syncPolicy") or {}).get("managedNamespaceMetadata")

    @property
    def retry(self) -> dict[str, Any] | None:
        return (self._spec.get("syncPolicy") or {}).get("retry")

    @property
    def ignore_differences(self) -> list[dict[str, Any]]:
        return self._spec.get("ignoreDifferences") or []

    @property
    def history_limit(self) -> int:
        found = self._spec.get("revisionHistoryLimit")
        return 10 if found is None else int(found)

    @property
    def operation(self) -> dict[str, Any] | None:
        """What somebody asked for and nobody has begun or finished."""
        return self.object.get("operation")

    @property
    def status(self) -> dict[str, Any]:
        return self.object.get("status") or {}

    @property
    def refresh(self) -> str:
        """`normal`, `hard` or ""."""
        return objects.annotations(self.object).get(names.REFRESH) or ""
