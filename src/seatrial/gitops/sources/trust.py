"""Trust: whom to believe when they say who they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Trust:
    known_hosts: str = ""
    """As OpenSSH's known_hosts (Argo CD: ConfigMap `argocd-ssh-known-hosts-cm`, key `ssh_known_hosts`)."""
    authorities: Mapping[str, str] = field(default_factory=dict)
    """PEM certificates by server name (Argo CD: ConfigMap `argocd-tls-certs-cm`). Without one, the system's."""
