"""What the engine is told by the ConfigMap `argocd-cm` and the Secret `argocd-secret`, under Argo CD's keys.

Reading never fails: what cannot be read keeps its default, and `problems` says so, for the log and for events.
Webhook secrets are read apart (`WebhookSecrets`), so that Settings may be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import yaml

from seatrial.base import yamldepth
from seatrial.gitops.api import duration, glob, secretdata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.kube.model.objects import Object

_CUSTOMIZATION = "resource.customizations"
_IGNORED_TYPES = ("actions", "ignoreResourceUpdates")
"""Customizations of things this engine does not have or does not need."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class HealthScript:
    source: str
    open_libraries: bool = False


@dataclass(frozen=True, slots=True)
class KindFilter:
    """One entry of resource.exclusions or resource.inclusions."""

    groups: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()

    def matches(self, group: str, kind: str, server: str) -> bool:
        return (
            (not self.groups or any(glob.matches(pattern, group) for pattern in self.groups))
            and (not self.kinds or any(pattern in ("*", kind) for pattern in self.kinds))
            and (not self.clusters or any(glob.matches(pattern, server) for pattern in self.clusters))
        )


@dataclass(frozen=True, slots=True)
class Settings:
    reconciliation_seconds: float = 180.0
    """How often a source is asked for news without a webhook (Argo CD: 120 s and up to 60 s of jitter)."""
    jitter_seconds: float = 0.0
    health: Mapping[str, HealthScript] = field(default_factory=dict)
    """By `group/Kind`, or `Kind` in the core group; either part may hold `*`."""
    ignore_differences: tuple[dict[str, Any], ...] = ()
    """As `spec.ignoreDifferences`: group and kind are globs (`*` and `*` of `all`)."""
    known_type_fields: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """(field, type) by `group/Kind`."""
    exclusions: tuple[KindFilter, ...] = ()
    inclusions: tuple[KindFilter, ...] = ()
    ignore_status_of: str = "all"
    """`resource.compareoptions` ignoreResourceStatusField: all, crd or none."""
    ignore_aggregated_roles: bool = False
    instance_label: str = "app.kubernetes.io/instance"
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, config_map: Object | None) -> Self:
        reader = _Reader((config_map or {}).get("data") or {})
        return cls(**reader.read())

    def is_excluded(self, group: str, kind: str, server: str) -> bool:
        """Exclusions win over inclusions; with inclusions, only those."""
        if any(entry.matches(group, kind, server) for entry in self.exclusions):
            return True
        return bool(self.inclusions) and not any(entry.matches(group, kind, server) for entry in self.inclusions)

    def health_script(self, group: str, kind: str) -> HealthScript | None:
        """The exact kind's before one by a glob."""
        exact = self.health.get(_key(group, kind))
        if exact is not None:
            return exact
        for key, script in sorted(self.health.items()):
            pattern_group, _, pattern_kind = key.rpartition("/")
            if "*" in key and glob.matches(pattern_group, group) and glob.matches(pattern_kind, kind):
                return script
        return None


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """Of `argocd-secret`; "" is not set."""

    github: str = field(default="", repr=False)
    gitlab: str = field(default="", repr=False)
    gitea: str = field(default="", repr=False)
    """Of Gitea, Forgejo and Gogs (`webhook.gitea.secret`, else `webhook.gogs.secret`)."""
    bitbucket_uuid: str = field(default="", repr=False)
    bitbucket_server: str = field(default="", repr=False)

    @classmethod
    def of(cls, secret: Object | None) -> Self:
        data = secretdata.decoded(secret or {})
        return cls(
            github=data.get("webhook.github.secret", ""),
            gitlab=data.get("webhook.gitlab.secret", ""),
            gitea=data.get("webhook.gitea.secret", "") or data.get("webhook.gogs.secret", ""),
            bitbucket_uuid=data.get("webhook.bitbucket.uuid", ""),
            bitbucket_server=data.get("webhook.bitbucketserver.secret", ""),
        )


class _Reader:
    def __init__(self, data: Mapping[str, str]) -> None:
        self._data = data
        self._problems: list[str] = []
        self._scripts: dict[str, str] = {}
        self._open: set[str] = set()
        self._ignored: dict[str, dict[str, Any]] = {}
        self._types: dict[str, tuple[tuple[str, str], ...]] = {}

    def read(self) -> dict[str, Any]:
        for key in sorted(self._data):
            if key == _CUSTOMIZATION:
                self._read_together(key)
            elif key.startswith(f"{_CUSTOMIZATION}."):
                self._read_customization(key)
        self._check_tracking()
        compare = self._mapping("resource.compareoptions")
        found = {
            "reconciliation_seconds": self._seconds("timeout.reconciliation"),
            "jitter_seconds": self._seconds("timeout.reconciliation.jitter"),
            "health": {key: HealthScript(text, key in self._open) for key, text in self._scripts.items()},
            "ignore_differences": tuple(self._ignored.values()),
            "known_type_fields": self._types,
            "exclusions": self._filters("resource.exclusions"),
            "inclusions": self._filters("resource.inclusions"),
            "ignore_status_of": self._status_rule(compare),
            "ignore_aggregated_roles": compare.get("ignoreAggregatedRoles") is True or None,
            "instance_label": self._data.get("application.instanceLabelKey") or None,
        }
        known = {entry.name for entry in fields(Settings)}
        kept = {key: value for key, value in found.items() if value is not None and key in known}
        return {**kept, "problems": tuple(self._problems)}

    # customizations

    def _read_customization(self, key: str) -> None:
        """`resource.customizations.<type>.<group>_<kind>`."""
        parts = key.split(".", 3)
        if len(parts) < 4:
            self._wrong(key, "expected resource.customizations.<type>.<group>_<kind>")
            return
        kind = self._kind(key, parts[3])
        if kind is not None:
            self._customize(key, parts[2], kind, self._data[key])

    def _read_together(self, key: str) -> None:
        """The older form: one mapping from `group/Kind` to its customizations."""
        for kind, entry in self._mapping(key).items():
            if not isinstance(entry, dict):
                self._wrong(key, f"{kind}: expected a mapping")
                continue
            for suffix, type_ in (("health.lua", "health"), ("health.lua.useOpenLibs", "useOpenLibs")):
                if suffix in entry:
                    self._customize(key, type_, kind, str(entry[suffix]))
            for type_ in ("ignoreDifferences", "knownTypeFields"):
                if type_ in entry:
                    self._customize(key, type_, kind, entry[type_])

    def _customize(self, key: str, type_: str, kind: str, value: Any) -> None:
        if type_ == "health":
            self._scripts[kind] = value
        elif type_ == "useOpenLibs":
            if secretdata.is_true(str(value)) or str(value) == "True":
                self._open.add(kind)
        elif type_ == "ignoreDifferences":
            self._ignore(key, kind, self._parsed(key, value) if isinstance(value, str) else value)
        elif type_ == "knownTypeFields":
            self._know(key, kind, self._parsed(key, value) if isinstance(value, str) else value)
        elif type_ not in _IGNORED_TYPES:
            self._wrong(key, f"there is no customization {type_!r}")

    def _ignore(self, key: str, kind: str, rule: Any) -> None:
        if not isinstance(rule, dict):
            self._wrong(key, "expected jsonPointers, jqPathExpressions or managedFieldsManagers")
            return
        group, _, name = kind.rpartition("/")
        kept = {"group": group, "kind": name}
        for name in ("jsonPointers", "jqPathExpressions", "managedFieldsManagers"):
            if rule.get(name):
                kept[name] = rule[name]
        self._ignored[kind] = kept

    def _know(self, key: str, kind: str, entries: Any) -> None:
        try:
            self._types[kind] = tuple((str(entry["field"]), str(entry["type"])) for entry in entries or ())
        except (TypeError, KeyError):
            self._wrong(key, "expected a list of {field, type}")

    def _kind(self, key: str, text: str) -> str | None:
        if text == "all":
            return "*/*"
        parts = text.split("_")
        if len(parts) > 2 or not parts[-1]:
            self._wrong(key, "expected <group>_<kind>, or <kind> in the core group")
            return None
        return "/".join(parts)

    # the rest

    def _filters(self, key: str) -> tuple[KindFilter, ...] | None:
        if key not in self._data:
            return None
        entries = self._parsed(key, self._data[key])
        if not isinstance(entries, list | None) or not all(isinstance(entry, dict) for entry in entries or ()):
            self._wrong(key, "expected a list of {apiGroups, kinds, clusters}")
            return None
        if any(entry.get("selector") for entry in entries or ()):
            self._wrong(key, "`selector` is not supported: such an entry is left out")
        return tuple(
            KindFilter(*(tuple(entry.get(part) or ()) for part in ("apiGroups", "kinds", "clusters")))
            for entry in entries or ()
            if not entry.get("selector")
        )

    def _status_rule(self, compare: dict[str, Any]) -> str | None:
        rule = compare.get("ignoreResourceStatusField")
        if rule is None:
            return None
        rule = {True: "all", False: "none", "off": "none", "": "none"}.get(rule, rule)
        if rule not in ("all", "crd", "none"):
            self._wrong("resource.compareoptions", "ignoreResourceStatusField: expected all, crd or none")
            return None
        return str(rule)

    def _check_tracking(self) -> None:
        method = self._data.get("application.resourceTrackingMethod") or "annotation"
        if method != "annotation":
            self._wrong("application.resourceTrackingMethod", f"{method!r} is not supported: objects are tracked by "
                        "annotation, and labels are not written")  # fmt: skip

    def _seconds(self, key: str) -> float | None:
        text = self._data.get(key)
        if not text:
            return None
        try:
            return max(0.0, duration.seconds(text))
        except ValueError as error:
            self._wrong(key, str(error))
            return None

    def _mapping(self, key: str) -> dict[str, Any]:
        found = self._parsed(key, self._data.get(key, ""))
        if not isinstance(found, dict | None):
            self._wrong(key, "expected a mapping")
            return {}
        return found or {}

    def _parsed(self, key: str, text: str) -> Any:
        try:
            yamldepth.check(text)
            return yaml.load(text, Loader=_LOADER)
        except (yaml.YAMLError, RecursionError, ValueError):
            self._wrong(key, "it is not YAML")
            return None

    def _wrong(self, key: str, what: str) -> None:
        self._problems.append(f"argocd-cm: {key}: {what}")


def _key(group: str, kind: str) -> str:
    return f"{group}/{kind}" if group else kind
