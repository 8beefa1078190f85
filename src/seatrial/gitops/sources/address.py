"""Where a repository is: a URL taken apart, checked, and without what it may hold of credentials."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from seatrial.gitops.api import repositoryurl
from seatrial.gitops.sources.files import SourceRefused

_SCP = re.compile(r"(?:(?P<user>[^/@:\s]+)@)?(?P<host>[^/:@\s]+):(?P<path>[^\s].*)")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ssh": 22}
_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Address:
    scheme: str
    """http, https, ssh or file."""
    user: str
    """Of SSH; part of the address there, and no secret."""
    host: str
    port: int | None
    path: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    """Of an HTTP URL that has them inside. They are never written again."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Raises SourceRefused, also for every transport but these four."""
        text = url.strip()
        if not text or len(text) > _LONGEST or not text.isprintable():
            raise _refused(url, "it is empty, too long or not printable")
        if text.startswith("/"):
            return cls("file", "", "", None, text)
        if "://" not in text:
            return cls._of_scp(text)
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise _refused(url, "it is malformed") from None
        return cls._of_url(parts, port, url)

    @classmethod
    def _of_scp(cls, text: str) -> Self:
        """`git@example.com:acme/shop.git`."""
        match = _SCP.fullmatch(text)
        if match is None or match["path"].startswith(":") or not _HOST.fullmatch(match["host"]):
            raise _refused(text, "it names no transport")
        user = match["user"] or ""
        if user.startswith("-"):
            raise _refused(text, "its user begins with a dash")
        return cls("ssh", user, match["host"].lower(), None, _slashed(match["path"]))

    @classmethod
    def _of_url(cls, parts: SplitResult, port: int | None, url: str) -> Self:
        scheme = {"git+ssh": "ssh", "ssh+git": "ssh"}.get(parts.scheme, parts.scheme)
        if scheme == "file":
            if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
                raise _refused(url, "a file URL has no host and an absolute path")
            return cls("file", "", "", None, unquote(parts.path))
        if scheme not in _DEFAULT_PORTS:
            raise _refused(url, f"there is no transport {parts.scheme!r}")
        host = parts.netloc.rpartition("@")[2]
        host = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
        if not _HOST.fullmatch(host):
            raise _refused(url, "its host is malformed")
        user, secret = unquote(parts.username or ""), unquote(parts.password or "")
        if user.startswith("-"):
            raise _refused(url, "its user begins with a dash")
        port = None if port == _DEFAULT_PORTS[scheme] else port
        path = _slashed(parts.path + (f"?{parts.query}" if parts.query else ""))
        if scheme == "ssh":
            return cls(scheme, user, host.lower(), port, path)
        return cls(scheme, "", host.lower(), port, path, username=user, password=secret)

    @property
    def origin(self) -> str:
        """`https://git.example.com:8443`."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")

    @property
    def url(self) -> str:
        """To go to, and to show."""
        if self.scheme == "file":
            return f"file://{self.path}"
        return self.origin.replace("://", f"://{self.user}@", 1) + self.path if self.user else self.origin + self.path

    @property
    def key(self) -> str:
        """Equal for spellings of one repository."""
        path = self.path.rstrip("/")
        return self.url.removesuffix(self.path) + (path if self.scheme == "file" else path.removesuffix(".git"))

    @property
    def digest(self) -> str:
        """The key as the name of a directory."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:32]


def _slashed(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _refused(url: str, why: str) -> SourceRefused:
    return SourceRefused(
        f"repository URL {repositoryurl.shown(url)[:200]!r}: {why}; expected https://, http://, ssh://, "
        "user@host:path, file:// or an absolute path"
    )
