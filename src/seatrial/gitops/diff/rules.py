"""Rules: what is not compared. From `spec.ignoreDifferences`, from the settings, and from autoscalers at work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from seatrial.gitops.api import glob
from seatrial.gitops.api.settings import Settings
from seatrial.kube.model import objects
from seatrial.kube.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seatrial.kube.model.objects import Object

ROLLOUT_FIELDS = {"argoproj.io/Rollout": (("spec.template.spec", "core/v1/PodSpec"),)}
"""Custom fields of built-in types that are known without being told."""


class IgnoreRule(NamedTuple):
    """Group and kind are globs, name and namespace exact; "" is any."""

    group: str
    kind: str
    namespace: str
    name: str
    pointers: tuple[str, ...]
    jq: tuple[str, ...]
    managers: tuple[str, ...]

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Self:
        return cls(
            group=spec.get("group") or "",
            kind=spec.get("kind") or "",
            namespace=spec.get("namespace") or "",
            name=spec.get("name") or "",
            pointers=tuple(spec.get("jsonPointers") or ()),
            jq=tuple(spec.get("jqPathExpressions") or ()),
            managers=tuple(spec.get("managedFieldsManagers") or ()),
        )

    def matches(self, ref: Ref) -> bool:
        return (
            self.name in ("", ref.name)
            and self.namespace in ("", ref.namespace)
            and glob.matches(self.group, ref.group)
            and glob.matches(self.kind, ref.kind)
        )


class ObjectRules(NamedTuple):
    """Of one object; equal ones lead to equal comparisons."""

    pointers: tuple[str, ...] = ()
    jq: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    """Custom fields of built-in types: (path with dots, type)."""
    keeps_status: bool = False
    ignores_aggregated: bool = False
    ignores_replicas: bool = False
    """An autoscaler sets them."""
    includes_webhooks: bool = False
    """What admission changes counts as a difference (compare option IncludeMutationWebhook)."""

    @property
    def ignores_anything(self) -> bool:
        return bool(self.pointers or self.jq or self.managers or self.ignores_replicas)


NOTHING = ObjectRules()


@dataclass(frozen=True)
class Rules:
    """For every object of one Application; made anew when the spec, the settings or the autoscalers change."""

    ignores: tuple[IgnoreRule, ...] = ()
    known_types: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    ignore_status_of: str = "all"
    ignores_aggregated: bool = False
    scaled: frozenset[Ref] = frozenset()
    includes_webhooks: bool = False
    _found: dict[Ref, ObjectRules] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        ignore_differences: Iterable[Mapping[str, Any]] = (),
        settings: Settings | None = None,
        scaled: frozenset[Ref] = frozenset(),
        compare_options: Iterable[str] = (),
    ) -> Self:
        """Rules of the settings come before the Application's own. `compare_options`: of the Application."""
        settings = settings or Settings()
        written = [*settings.ignore_differences, *ignore_differences]
        return cls(
            ignores=tuple(map(IgnoreRule.of, written)),
            known_types={**ROLLOUT_FIELDS, **settings.known_type_fields},
            ignore_status_of=settings.ignore_status_of,
            ignores_aggregated=settings.ignore_aggregated_roles,
            scaled=scaled,
            includes_webhooks="IncludeMutationWebhook=true" in compare_options,
        )

    def of_object(self, obj: Object) -> ObjectRules:
        ref = objects.ref(obj)
        found = self._found.get(ref)
        if found is None:
            found = self._found[ref] = self._for(ref)
        return found

    def _for(self, ref: Ref) -> ObjectRules:
        matching = [rule for rule in self.ignores if rule.matches(ref)]
        kind = f"{ref.group}/{ref.kind}" if ref.group else ref.kind
        return ObjectRules(
            pointers=_joined([rule.pointers for rule in matching]),
            jq=_joined([rule.jq for rule in matching]),
            managers=_joined([rule.managers for rule in matching]),
            fields=tuple(self.known_types.get(kind, ())),
            keeps_status=self._keeps_status(ref),
            ignores_aggregated=self.ignores_aggregated,
            ignores_replicas=ref in self.scaled,
            includes_webhooks=self.includes_webhooks,
        )

    def _keeps_status(self, ref: Ref) -> bool:
        if self.ignore_status_of == "crd":
            return (ref.group, ref.kind) != ("apiextensions.k8s.io", "CustomResourceDefinition")
        return self.ignore_status_of == "none"


def _joined(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for part in parts for item in part))


def scaled_by(autoscalers: Iterable[Object]) -> frozenset[Ref]:
    """What these live HorizontalPodAutoscalers scale: the replicas of these are nobody's business but theirs."""
    return frozenset(_target(autoscaler) for autoscaler in autoscalers if not objects.is_deleting(autoscaler))


def _target(autoscaler: Object) -> Ref:
    found = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
    group, _ = objects.split_api_version(found.get("apiVersion") or "")
    return Ref(group, found.get("kind") or "", objects.namespace(autoscaler), found.get("name") or "")
