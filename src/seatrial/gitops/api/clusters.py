"""Destination clusters, from Secrets in Argo CD's form; and which one an Application's destination means."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import orjson

from seatrial.base.errors import Terminal
from seatrial.gitops.api import names, secretdata
from seatrial.kube.client.connection import Connection, ExecPlugin
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seatrial.gitops.api.application import Destination
    from seatrial.kube.model.objects import Object

CLUSTER = "cluster"
IN_CLUSTER_NAME = "in-cluster"


class UnknownDestination(Terminal):
    reason = "InvalidSpecError"


@dataclass(frozen=True, slots=True)
class Cluster:
    server: str
    name: str
    connection: Connection | None = field(default=None, repr=False)
    """None: the cluster the controller itself works for, or one that cannot be used (`problem`)."""
    namespaces: tuple[str, ...] = ()
    """The only ones to work in; () is all of them."""
    cluster_resources: bool = False
    """With `namespaces`: cluster-scoped objects are managed nevertheless."""
    project: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    secret: str = ""
    problem: str = ""

    @property
    def is_own(self) -> bool:
        return self.server == names.IN_CLUSTER

    @classmethod
    def of(cls, secret: Object, environment: Mapping[str, str] | None = None) -> Self:
        """`environment` is what an exec plug-in starts with."""
        data, name = secretdata.decoded(secret), objects.name(secret)
        server = data.get("server", "").strip().rstrip("/")
        problem, connection = "", None
        try:
            if not server:
                raise ValueError("`server` is missing")
            if server != names.IN_CLUSTER or data.get("config"):
                connection = _connection(server, data.get("config", ""), environment or {})
        except ValueError as error:
            problem = f"Secret {name}: {error}"
        return cls(
            server=server,
            name=data.get("name") or server,
            connection=None if server == names.IN_CLUSTER else connection,
            namespaces=tuple(part.strip() for part in data.get("namespaces", "").split(",") if part.strip()),
            cluster_resources=secretdata.is_true(data.get("clusterResources", "")),
            project=data.get("project", ""),
            labels=dict(objects.labels(secret)),
            secret=name,
            problem=problem,
        )


OWN = Cluster(names.IN_CLUSTER, IN_CLUSTER_NAME)


class Clusters:
    def __init__(self, known: Iterable[Cluster] = ()) -> None:
        """The controller's own cluster is always known."""
        found = tuple(known)
        self.all = found if any(cluster.is_own for cluster in found) else (OWN, *found)

    @classmethod
    def of(cls, secrets: Iterable[Object], environment: Mapping[str, str] | None = None) -> Self:
        return cls(
            Cluster.of(secret, environment)
            for secret in secrets
            if objects.labels(secret).get(names.SECRET_TYPE) == CLUSTER
        )

    def resolve(self, destination: Destination) -> Cluster:
        """Raises UnknownDestination."""
        if destination.server and destination.name:
            raise UnknownDestination(
                f"spec.destination: both server {destination.server!r} and name {destination.name!r} are given: "
                "leave one of them out"
            )
        if not destination.server and not destination.name:
            raise UnknownDestination("spec.destination: neither server nor name is given: expected one of them")
        found = self._found(destination)
        if found.problem:
            raise UnknownDestination(f"spec.destination: {found.problem}")
        return found

    def _found(self, destination: Destination) -> Cluster:
        if destination.server:
            wanted = destination.server.rstrip("/")
            for cluster in self.all:
                if cluster.server == wanted:
                    return cluster
            raise _unknown("server", destination.server)
        named = [cluster for cluster in self.all if cluster.name == destination.name]
        if destination.name == IN_CLUSTER_NAME and not named:
            named = [cluster for cluster in self.all if cluster.is_own]
        if len(named) > 1:
            servers = ", ".join(sorted(cluster.server for cluster in named))
            raise UnknownDestination(
                f"spec.destination.name: {len(named)} clusters are called {destination.name!r} ({servers}): "
                "use spec.destination.server"
            )
        if not named:
            raise _unknown("name", destination.name)
        return named[0]


def _unknown(field: str, value: str) -> UnknownDestination:
    return UnknownDestination(
        f"spec.destination.{field}: no cluster {value!r} is known: `seatrial cluster list` shows them, "
        "`seatrial cluster add` adds one"
    )


def _connection(server: str, text: str, environment: Mapping[str, str]) -> Connection:
    """Raises ValueError without repeating any of the text: it holds secrets."""
    try:
        config: Any = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        raise ValueError("`config` is not JSON") from None
    if not isinstance(config, dict):
        raise ValueError("`config` is not a JSON object")
    if config.get("awsAuthConfig"):
        raise ValueError("`config.awsAuthConfig` is not supported: use execProviderConfig with `aws eks get-token`")
    if config.get("username") or config.get("password"):
        raise ValueError("`config.username`: Kubernetes has no basic authentication: use bearerToken or certificates")
    tls = config.get("tlsClientConfig") or {}
    if not isinstance(tls, dict):
        raise ValueError("`config.tlsClientConfig` is not an object")
    insecure, ca = bool(tls.get("insecure")), _pem(tls, "caData")
    if insecure and ca:
        raise ValueError("`config.tlsClientConfig` has both insecure and caData: leave one of them out")
    return Connection(
        server=server,
        ca=ca,
        certificate=_pem(tls, "certData"),
        key=_pem(tls, "keyData"),
        token=str(config.get("bearerToken") or ""),
        exec=_plugin(config.get("execProviderConfig"), environment),
        insecure=insecure,
        tls_server_name=str(tls.get("serverName") or ""),
        proxy=str(config.get("proxyUrl") or ""),
    )


def _pem(tls: dict[str, Any], key: str) -> str:
    try:
        return base64.b64decode(tls.get(key) or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
        raise ValueError(f"`config.tlsClientConfig.{key}` is not base64 of PEM text") from None


def _plugin(given: Any, environment: Mapping[str, str]) -> ExecPlugin | None:
    if not given:
        return None
    if not isinstance(given, dict) or not given.get("command"):
        raise ValueError("`config.execProviderConfig` has no command")
    return ExecPlugin(
        str(given["command"]),
        tuple(str(argument) for argument in given.get("args") or ()),
        {**environment, **{str(key): str(value) for key, value in (given.get("env") or {}).items()}},
        given.get("apiVersion") or "client.authentication.k8s.io/v1",
    )
