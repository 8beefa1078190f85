"""What a sync is asked to do: the operation's fields and the sync options, of the application and of one resource.

A sync option is written `Name=value`; on a resource it stands in an annotation and beats the application's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from seatrial.gitops.api import names
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seatrial.kube.model.objects import Object, Ref

FOREGROUND, BACKGROUND, ORPHAN = "Foreground", "Background", "Orphan"
_PROPAGATION = {"foreground": FOREGROUND, "background": BACKGROUND, "orphan": ORPHAN}


class Selector(NamedTuple):
    """One entry of a selective sync's `resources`; an empty namespace is any."""

    group: str
    kind: str
    namespace: str
    name: str
    exclude: bool = False

    def matches(self, ref: Ref) -> bool:
        same = (self.group, self.kind, self.name) == (ref.group, ref.kind, ref.name)
        return same and self.namespace in ("", ref.namespace)


@dataclass(frozen=True, slots=True)
class Options:
    prune: bool = False
    dry_run: bool = False
    apply_only: bool = False
    """Strategy `apply`: hooks are left out."""
    force: bool = False
    resources: tuple[Selector, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """The application's sync options by name."""

    @classmethod
    def of(cls, operation: Mapping[str, Any], app_options: Iterable[str] = ()) -> Self:
        """`operation`: an Application's `operation`. Its own sync options, if any, stand for the application's."""
        sync = operation.get("sync") or {}
        strategy = sync.get("syncStrategy") or {}
        chosen = strategy.get("apply") if strategy.get("apply") is not None else strategy.get("hook")
        written = sync.get("syncOptions")
        return cls(
            prune=bool(sync.get("prune")),
            dry_run=bool(sync.get("dryRun")),
            apply_only=strategy.get("apply") is not None,
            force=bool((chosen or {}).get("force")),
            resources=tuple(_selector(item) for item in sync.get("resources") or ()),
            settings=parse(app_options if written is None else written),
        )

    @property
    def is_selective(self) -> bool:
        return bool(self.resources)

    @property
    def skips_hooks(self) -> bool:
        return self.apply_only or self.is_selective

    def selects(self, ref: Ref) -> bool:
        if any(item.exclude and item.matches(ref) for item in self.resources):
            return False
        wanted = [item for item in self.resources if not item.exclude]
        return not wanted or any(item.matches(ref) for item in wanted)

    def is_on(self, name: str) -> bool:
        """An option that only the application has."""
        return self.settings.get(name) == "true"

    def setting(self, name: str, *objs: Object | None) -> str:
        """The value on the first object that has the option, else the application's, else ""."""
        for obj in objs:
            if obj is not None:
                found = parse(annotation_list(obj, names.SYNC_OPTIONS)).get(name)
                if found is not None:
                    return found
        return self.settings.get(name, "")

    def is_set(self, name: str, *objs: Object | None) -> bool:
        return self.setting(name, *objs) == "true"

    def is_server_side(self, *objs: Object | None) -> bool:
        """Unlike Argo CD's, the default: no annotation with a copy of the manifest, and conflicts are visible."""
        return self.setting("ServerSideApply", *objs) != "false"

    @property
    def propagation(self) -> str:
        return _PROPAGATION.get(self.settings.get("PrunePropagationPolicy", "").lower(), FOREGROUND)


def parse(written: Iterable[str]) -> dict[str, str]:
    """`["Prune=false", ...]` by name; a bare name says `true`. The last of two wins."""
    found: dict[str, str] = {}
    for item in written:
        name, equals, value = item.strip().partition("=")
        if name:
            found[name] = value if equals else "true"
    return found


def annotation_list(obj: Object, annotation: str) -> list[str]:
    """The comma-separated items of an annotation."""
    text = objects.annotations(obj).get(annotation) or ""
    return [item.strip() for item in text.split(",") if item.strip()]


def _selector(item: Mapping[str, Any]) -> Selector:
    return Selector(
        item.get("group") or "",
        item.get("kind") or "",
        item.get("namespace") or "",
        item.get("name") or "",
        bool(item.get("exclude")),
    )
