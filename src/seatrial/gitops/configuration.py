"""What the control namespace says now, by watch: settings, credentials, clusters, projects, keys."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import TYPE_CHECKING, Protocol

from seatrial.gitops.api import names
from seatrial.gitops.api.clusters import Clusters
from seatrial.gitops.api.project import Project
from seatrial.gitops.api.repositories import Repositories
from seatrial.gitops.api.resources import PROJECTS
from seatrial.gitops.api.settings import Settings, WebhookSecrets
from seatrial.gitops.sources.trust import Trust
from seatrial.kube.model import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

    Items = list[Object]

log = logging.getLogger(__name__)

AGE_KEYS = "seatrial.dev/age-keys"
"""Label of Secrets whose entries `*.agekey` hold age identities for SOPS files."""
_CONFIG_MAPS, _SECRETS = resources.for_plural("configmaps"), resources.for_plural("secrets")
_SETTINGS, _KNOWN_HOSTS, _AUTHORITIES = "argocd-cm", "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm"


class View(Protocol):
    """An Informer, or what was there at one moment (`glance`)."""

    def get(self, namespace: str, name: str) -> Object | None: ...

    def list(self) -> Items: ...

    def on_change(self, handler: Callable[[Object | None, Object | None], None]) -> None: ...

    async def wait_synced(self) -> None: ...


class Views(Protocol):
    def get(
        self, resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> View: ...


class Configuration:
    def __init__(
        self,
        informers: Views,
        namespace: str,
        on_change: Callable[[], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is what exec plug-ins of cluster credentials start with."""
        self._namespace = namespace
        self._environment = environment
        self._on_change = on_change
        self._maps = informers.get(_CONFIG_MAPS, namespace)
        self._marked = informers.get(_SECRETS, namespace, label_selector=names.SECRET_TYPE)
        self._webhook = informers.get(_SECRETS, namespace, field_selector="metadata.name=argocd-secret")
        self._age = informers.get(_SECRETS, namespace, label_selector=AGE_KEYS)
        self._projects = informers.get(PROJECTS, namespace)
        self._read()
        for informer in (self._maps, self._marked, self._webhook, self._age, self._projects):
            informer.on_change(self._changed)

    async def wait_synced(self) -> None:
        for informer in (self._maps, self._marked, self._webhook, self._age, self._projects):
            await informer.wait_synced()

    def project(self, name: str) -> Project | None:
        found = self._projects.get(self._namespace, name)
        return Project(found) if found is not None else None

    def _changed(self, old: Object | None, new: Object | None) -> None:
        self._read()
        self._on_change()

    def _read(self) -> None:
        secrets = self._marked.list()
        before = getattr(self, "settings", Settings())
        self.settings = Settings.of(self._maps.get(self._namespace, _SETTINGS))
        self.repositories = Repositories.of(secrets)
        self.clusters = Clusters.of(secrets, self._environment)
        self.webhook_secrets = WebhookSecrets.of(self._webhook.get(self._namespace, "argocd-secret"))
        self.age_identities = tuple(_identities(self._age.list()))
        self.trust = self._trust()
        for problem in set(self.settings.problems) - set(before.problems):
            log.warning("setting ignored", extra={"why": problem})

    def _trust(self) -> Trust:
        def data(name: str) -> dict[str, str]:
            return (self._maps.get(self._namespace, name) or {}).get("data") or {}

        return Trust(data(_KNOWN_HOSTS).get("ssh_known_hosts", ""), data(_AUTHORITIES))


def _identities(secrets: list[Object]) -> list[str]:
    """Every line of every entry that is an identity; comments and the rest are passed over."""
    found = []
    for secret in secrets:
        for entry, value in sorted((secret.get("data") or {}).items()):
            if not entry.endswith(".agekey"):
                continue
            try:
                lines = base64.b64decode(value or "").decode().splitlines()
            except (binascii.Error, UnicodeDecodeError, ValueError):
                continue
            found += [line.strip() for line in lines if line.strip().startswith("AGE-SECRET-KEY-1")]
    return found
