"""Access: what one run of `git` is given to reach one address, and nothing else on the machine.

Secrets are files in memory (memfd) that the children inherit or open through `/proc`; they are never an argument, a
variable, part of a URL, or on any disk, and they are gone with the process.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seatrial.gitops.sources.files import SourceRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seatrial.gitops.api.repositories import Credential
    from seatrial.gitops.sources.address import Address
    from seatrial.gitops.sources.trust import Trust

_SETTINGS = (
    ("core", "hooksPath", "/dev/null"),
    ("core", "fsmonitor", "false"),
    ("http", "followRedirects", "initial"),
    ("http", "lowSpeedLimit", "1000"),
    ("http", "lowSpeedTime", "30"),
    ("fetch", "recurseSubmodules", "false"),
    ("fetch", "writeCommitGraph", "false"),
    ("transfer", "unpackLimit", "1"),  # packs only: a torn loose object makes libgit2 spin for ever
    ("submodule", "recurse", "false"),
    ("gc", "auto", "0"),
    ("gc", "cruftPacks", "true"),
    ("maintenance", "auto", "false"),
    ("protocol", "version", "2"),
)
"""All of git's configuration that is not the mirror's own: the system's and the user's are not read."""


@dataclass
class Access:
    environment: dict[str, str]
    descriptors: list[int] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list, repr=False)
    """To be struck from whatever `git` says."""

    def struck(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


@contextmanager
def opened(
    address: Address, credential: Credential | None, trust: Trust, base: Mapping[str, str], ssh: str = "ssh"
) -> Iterator[Access]:
    """`base` is PATH and what else every run gets. Raises SourceRefused."""
    if credential is not None and credential.problem:
        raise SourceRefused(f"repository {address.url}: {credential.problem}")
    making = _Making(address, credential, trust, ssh)
    try:
        yield making.access(base)
    finally:
        making.close()


class _Making:
    def __init__(self, address: Address, credential: Credential | None, trust: Trust, ssh: str) -> None:
        self._address = address
        self._credential = credential
        self._trust = trust
        self._ssh = ssh
        self._settings = list(_SETTINGS)
        self._environment: dict[str, str] = {}
        self._descriptors: list[int] = []
        self._secrets: list[str] = []

    def access(self, base: Mapping[str, str]) -> Access:
        scheme = self._address.scheme
        self._environment |= {
            "LC_ALL": "C.UTF-8",
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "SSH_ASKPASS": "/bin/false",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_ALLOW_PROTOCOL": scheme,
            "GIT_NO_REPLACE_OBJECTS": "1",
        }
        if scheme in ("http", "https"):
            self._give_http()
        elif scheme == "ssh":
            self._give_ssh()
        self._environment["GIT_CONFIG_GLOBAL"] = self._inherited("".join(map(_setting, self._settings)))
        return Access({**base, **self._environment}, self._descriptors, self._secrets)

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    # HTTP

    def _give_http(self) -> None:
        self._give_login()
        authority = self._trust.authorities.get(self._address.host)
        if authority:
            self._settings.append(("http", "sslCAInfo", self._inherited(authority)))
        found = self._credential
        if found is None:
            return
        if found.insecure:
            self._settings.append(("http", "sslVerify", "false"))
        if found.tls_client_cert:
            self._settings.append(("http", "sslCert", self._inherited(found.tls_client_cert)))
            self._settings.append(("http", "sslKey", self._inherited(found.tls_client_key)))
            self._secrets.append(found.tls_client_key)
        if found.proxy:
            self._settings.append(("http", "proxy", found.proxy))
            self._environment["no_proxy"] = found.no_proxy
            self._secrets.append(found.proxy)

    def _give_login(self) -> None:
        """Bound to this server: a redirect elsewhere gets nothing."""
        found = self._credential
        if found is not None and found.bearer_token:
            self._keep(found.bearer_token)
            header = f"Authorization: Bearer {found.bearer_token}"
            self._settings.append((f'http "{self._address.origin}/"', "extraHeader", header))
            return
        username, password = self._address.username, self._address.password
        if found is not None and (found.username or found.password):
            username, password = found.username, found.password
        if not (username or password):
            return
        for value in (username, password):
            if "\n" in value or "\0" in value:
                raise SourceRefused(f"repository {self._address.url}: username or password contains a line break")
        self._keep(password)
        # A password without a name is a token: any name does.
        path = self._inherited(f"username={username or 'git'}\npassword={password}\n")
        self._settings.append((f'credential "{self._address.origin}"', "helper", f"!cat {path}; :"))

    # SSH

    def _give_ssh(self) -> None:
        found, options = self._credential, ["BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15"]
        options += ["UpdateHostKeys=no", "ForwardAgent=no", "ClearAllForwardings=yes", "GlobalKnownHostsFile=/dev/null"]
        if found is not None and found.insecure:
            options += ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
        else:
            options += ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={self._opened(self._trust.known_hosts)}"]
        if found is not None and found.ssh_private_key:
            key = found.ssh_private_key.replace("\r\n", "\n").rstrip("\n") + "\n"
            options += [f"IdentityFile={self._opened(key)}", "IdentitiesOnly=yes", "IdentityAgent=none"]
            self._secrets.append(found.ssh_private_key)
        self._environment["GIT_SSH_COMMAND"] = " ".join([self._ssh, "-F", "none", *(f"-o {one}" for one in options)])
        self._environment["GIT_SSH_VARIANT"] = "ssh"

    def _keep(self, secret: str) -> None:
        if len(secret) > 3:
            self._secrets.append(secret)

    # files in memory

    def _inherited(self, content: str) -> str:
        """For git and what it starts: they keep the descriptor."""
        return f"/proc/self/fd/{self._memory(content)}"

    def _opened(self, content: str) -> str:
        """For ssh, which closes every descriptor it did not open: it opens ours."""
        return f"/proc/{os.getpid()}/fd/{self._memory(content)}"

    def _memory(self, content: str) -> int:
        self._descriptors.append(_memory(content))
        return self._descriptors[-1]


def _setting(setting: tuple[str, str, str]) -> str:
    section, key, value = setting
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'[{section}]\n\t{key} = "{quoted}"\n'


@contextmanager
def in_memory(content: str) -> Iterator[str]:
    """The path of a file that is on no disk, for a library that reads only files."""
    descriptor = _memory(content)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _memory(content: str) -> int:
    descriptor = os.memfd_create("access", os.MFD_CLOEXEC)
    os.fchmod(descriptor, 0o600)
    os.pwrite(descriptor, content.encode(), 0)
    return descriptor
