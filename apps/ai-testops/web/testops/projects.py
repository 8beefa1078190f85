"""What holds for a project however it is changed, by the API or on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from groundwork.credentials import UnreadableCredentials
from testops.errors import Refusal

if TYPE_CHECKING:
    from testops.models import Project

MOST_CREDENTIALS = 20
LONGEST_NAME = 100
LONGEST_SECRET = 4096


def credential_names(project: Project) -> list[str] | None:
    """Of which security schemes the project has a credential; None when they can no longer be read."""
    try:
        return sorted(project.credentials)
    except UnreadableCredentials:
        return None


def check_credentials(credentials: dict[str, str]) -> None:
    if len(credentials) > MOST_CREDENTIALS:
        raise Refusal("credentials", f"{len(credentials)} were given, at most {MOST_CREDENTIALS} are kept")
    for name, secret in credentials.items():
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise Refusal("credentials", f"the name of a security scheme has 1 to {LONGEST_NAME} printable characters")
        if not 0 < len(secret) <= LONGEST_SECRET or not secret.isascii() or not secret.isprintable():
            raise Refusal(
                "credentials", f"{name}: a secret has 1 to {LONGEST_SECRET} printable ASCII characters, as headers have"
            )


def check_move(project: Project, base_url: str, credentials: dict[str, str] | None) -> None:
    """Who may change the address must not get the credentials sent there by it: they were given for the old one."""
    if credentials is None and project.sealed_credentials and _server(base_url) != _server(project.base_url):
        raise Refusal(
            "base_url",
            "another server: give the credentials again, or none, since the stored ones were for the old one",
        )


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()
