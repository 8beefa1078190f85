"""Repositories and their credentials, from Secrets in Argo CD's form.

A Secret of type `repository` is for one URL; one of type `repo-creds` for every URL that begins with its own. No value
of a Credential shows in its repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from seatrial.gitops.api import names, repositoryurl, secretdata
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object

REPOSITORY, TEMPLATE = "repository", "repo-creds"
_UNSUPPORTED = {
    "githubAppID": "GitHub Apps",
    "githubAppPrivateKey": "GitHub Apps",
    "gcpServiceAccountKey": "Google service accounts",
    "useAzureWorkloadIdentity": "Azure identities",
    "azureServicePrincipalClientSecret": "Azure identities",
    "enableOCI": "OCI registries",
    "insecureOCIForceHttp": "OCI registries",
}


@dataclass(frozen=True, slots=True)
class Credential:
    url: str
    type: str = "git"
    """`git`, `helm` or `oci` (refused: see `problem`)."""
    name: str = ""
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    bearer_token: str = field(default="", repr=False)
    ssh_private_key: str = field(default="", repr=False)
    tls_client_cert: str = field(default="", repr=False)
    tls_client_key: str = field(default="", repr=False)
    insecure: bool = False
    """Neither server certificates nor SSH host keys are checked."""
    pass_credentials: bool = False
    proxy: str = field(default="", repr=False)
    no_proxy: str = ""
    project: str = ""
    secret: str = ""
    """The name of the Secret."""
    problem: str = ""
    """Why this cannot be used, if so."""

    @property
    def proves_something(self) -> bool:
        """Whether there is anything to authenticate with."""
        return bool(self.username or self.password or self.bearer_token or self.ssh_private_key or self.tls_client_cert)

    @classmethod
    def of(cls, secret: Object) -> Self:
        data = secretdata.decoded(secret)
        kind = (data.get("type") or "git").lower()
        return cls(
            url=data.get("url", "").strip(),
            type=kind,
            name=data.get("name", ""),
            username=data.get("username", ""),
            password=data.get("password", ""),
            bearer_token=data.get("bearerToken", ""),
            ssh_private_key=data.get("sshPrivateKey", ""),
            tls_client_cert=data.get("tlsClientCertData", ""),
            tls_client_key=data.get("tlsClientCertKey", ""),
            insecure=any(secretdata.is_true(data.get(key, "")) for key in ("insecure", "insecureIgnoreHostKey")),
            proxy=data.get("proxy", ""),
            no_proxy=data.get("noProxy", ""),
            project=data.get("project", ""),
            secret=objects.name(secret),
            problem=_problem(objects.name(secret), kind, data),
        )


class Repositories:
    def __init__(self, repositories: Iterable[Credential] = (), templates: Iterable[Credential] = ()) -> None:
        self.repositories = tuple(repositories)
        self.templates = tuple(templates)

    @classmethod
    def of(cls, secrets: Iterable[Object]) -> Self:
        """Of Secrets of any kind; those that are neither repositories nor templates are passed over."""
        repositories: list[Credential] = []
        templates: list[Credential] = []
        for secret in secrets:
            kind = objects.labels(secret).get(names.SECRET_TYPE)
            if kind in (REPOSITORY, TEMPLATE):
                (repositories if kind == REPOSITORY else templates).append(Credential.of(secret))
        return cls(repositories, templates)

    def find(self, url: str, project: str = "") -> Credential | None:
        """What to use for `url`: its own entry (the project's before anybody's), else the longest template.

        An entry that proves nothing takes what its template proves, as in Argo CD.
        """
        own = self.entry(url, project)
        if own is not None and own.proves_something:
            return own
        template = self._template(url)
        if template is None:
            return own
        if own is None:
            return replace(template, url=url)
        return replace(
            template, url=own.url, type=own.type, name=own.name, project=own.project, secret=own.secret,
            insecure=own.insecure or template.insecure, problem=own.problem or template.problem,
            proxy=own.proxy or template.proxy, no_proxy=own.no_proxy or template.no_proxy,
        )  # fmt: skip

    def entry(self, url: str, project: str = "") -> Credential | None:
        """The `repository` entry alone. Another project's entry is nobody else's."""
        found = [entry for entry in self.repositories if repositoryurl.same(entry.url, url)]
        for wanted in dict.fromkeys((project, "")):
            for entry in found:
                if entry.project == wanted:
                    return entry
        return None

    def _template(self, url: str) -> Credential | None:
        fitting = [entry for entry in self.templates if entry.url and repositoryurl.is_within(url, entry.url)]
        return max(fitting, key=lambda entry: len(repositoryurl.normalized(entry.url)), default=None)


def _problem(name: str, kind: str, data: dict[str, str]) -> str:
    if not data.get("url"):
        return f"Secret {name}: `url` is missing"
    if kind not in ("git", "helm"):
        return f"Secret {name}: type {kind!r} is not supported: expected git or helm"
    for key, what in _UNSUPPORTED.items():
        if data.get(key) and data[key] not in ("false", "0"):
            return f"Secret {name}: `{key}`: {what} are not supported; use username and password, or an SSH key"
    return ""
