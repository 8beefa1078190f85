"""Kubeconfig files in, a Connection out; and the kubeconfig Seatrial hands to its user.

Several files merge as kubectl merges them: the first to name a cluster, user, context or current-context wins.
Nothing here reads the environment: the command line passes what it found there.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from seatrial.base.errors import Terminal
from seatrial.base.files import write_atomic
from seatrial.kube.client.connection import Connection, ExecPlugin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_Entry = dict[str, Any]


class KubeconfigError(Terminal):
    reason = "InvalidKubeconfig"


def load(
    paths: str | Path | Sequence[str | Path],
    context: str = "",
    environment: Mapping[str, str] | None = None,
) -> Connection:
    """The connection of a context (default: the current one).

    `paths`: one file, a `KUBECONFIG` list or several files; those missing are skipped if one exists.
    `environment` is what an exec plugin starts with. Raises KubeconfigError.
    """
    merged = _merge([path for path in _paths(paths) if path.exists()], paths)
    wanted = context or merged["current-context"]
    if not wanted:
        _wrong("no current-context is set: set one with `kubectl config use-context`, or name a context")
    chosen = _named(merged, "contexts", "context", wanted)
    cluster = _named(merged, "clusters", "cluster", chosen.get("cluster") or "")
    user_name = chosen.get("user") or ""
    user = _named(merged, "users", "user", user_name) if user_name else {}
    return _connection(cluster, user, chosen.get("namespace") or "default", environment or {})


def in_cluster(host: str, port: str | int, folder: Path = SERVICE_ACCOUNT) -> Connection:
    """From inside a pod: `host` and `port` are KUBERNETES_SERVICE_HOST and _PORT. Raises KubeconfigError."""
    try:
        return Connection(
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            namespace=(folder / "namespace").read_text().strip(),
            ca=(folder / "ca.crt").read_text(),
            token_file=folder / "token",
        )
    except OSError as error:
        raise KubeconfigError(
            f"{error.filename}: {error.strerror}: a pod's service account is mounted there; "
            "outside a cluster use a kubeconfig"
        ) from error


def write(path: Path, connection: Connection, name: str = "seatrial") -> None:
    """A kubeconfig of its own for this connection, readable by its owner only. Raises OSError."""
    write_atomic(path, yaml.safe_dump(document(connection, name), sort_keys=False), mode=0o600)


def document(connection: Connection, name: str = "seatrial") -> dict[str, Any]:
    """The kubeconfig as data; certificates and keys are embedded."""
    cluster = {
        "server": connection.server,
        "certificate-authority-data": _encoded(connection.ca),
        "insecure-skip-tls-verify": connection.insecure,
        "tls-server-name": connection.tls_server_name,
        "proxy-url": connection.proxy,
    }
    user = {
        "client-certificate-data": _encoded(connection.certificate),
        "client-key-data": _encoded(connection.key),
        "token": connection.token,
        "tokenFile": str(connection.token_file) if connection.token_file else "",
    }
    context = {"cluster": name, "user": name, "namespace": connection.namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": _given(cluster)}],
        "users": [{"name": name, "user": _given(user)}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in fields.items() if value}


def _encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


# --- reading ---


def _paths(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    if isinstance(paths, Path):
        return [paths]
    if isinstance(paths, str):
        return [Path(part) for part in paths.split(os.pathsep) if part]
    return [Path(path) for path in paths]


def _merge(files: list[Path], asked: object) -> _Entry:
    if not files:
        _wrong(f"no kubeconfig at {asked}: name an existing file, or start a cluster first")
    merged: _Entry = {"current-context": "", "clusters": {}, "users": {}, "contexts": {}}
    for file in files:
        content = _read(file)
        merged["current-context"] = merged["current-context"] or content.get("current-context") or ""
        for section, singular in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            for item in content.get(section) or ():
                entry = {**(item.get(singular) or {}), "_folder": file.parent}
                merged[section].setdefault(item.get("name"), entry)
    return merged


def _read(file: Path) -> _Entry:
    try:
        content = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise KubeconfigError(f"{file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"{file} is not YAML: {error}") from error
    if not isinstance(content, dict | None):
        _wrong(f"{file} is not a kubeconfig: expected a mapping with clusters, users and contexts")
    return content or {}


def _named(merged: _Entry, section: str, singular: str, name: str) -> _Entry:
    found: _Entry | None = merged[section].get(name)
    if found is None:
        known = ", ".join(sorted(str(key) for key in merged[section])) or "none"
        _wrong(f'{singular} "{name}" is not in the kubeconfig (it has: {known})')
    return found


def _connection(cluster: _Entry, user: _Entry, namespace: str, environment: Mapping[str, str]) -> Connection:
    if not cluster.get("server"):
        _wrong("the cluster has no `server`: expected an address such as https://127.0.0.1:6443")
    if user.get("auth-provider"):
        _wrong("`auth-provider` users are no longer supported by Kubernetes clients: use `exec`")
    token_file = user.get("tokenFile")
    return Connection(
        server=cluster["server"].rstrip("/"),
        namespace=namespace,
        ca=_pem(cluster, "certificate-authority"),
        certificate=_pem(user, "client-certificate"),
        key=_pem(user, "client-key"),
        token=user.get("token") or "",
        token_file=Path(user["_folder"], token_file) if token_file else None,
        exec=_plugin(user, environment),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=cluster.get("tls-server-name") or "",
        proxy=cluster.get("proxy-url") or "",
    )


def _pem(entry: _Entry, field: str) -> str:
    """`<field>-data` wins over the file that `<field>` names."""
    data, file = entry.get(f"{field}-data"), entry.get(field)
    try:
        if data:
            return base64.b64decode(data, validate=True).decode()
        return Path(entry["_folder"], file).read_text() if file else ""
    except (binascii.Error, UnicodeDecodeError) as error:
        raise KubeconfigError(f"{field}-data is not base64 of PEM text: {error}") from error
    except OSError as error:
        raise KubeconfigError(f"{field}: {error.filename}: {error.strerror}") from error


def _plugin(user: _Entry, environment: Mapping[str, str]) -> ExecPlugin | None:
    plugin = user.get("exec")
    if not plugin:
        return None
    command: str = plugin.get("command") or ""
    if not command:
        _wrong("the user's exec plugin has no `command`")
    if os.sep in command:
        command = str(Path(user["_folder"], command))
    own = {item["name"]: item.get("value") or "" for item in plugin.get("env") or ()}
    return ExecPlugin(
        command,
        tuple(plugin.get("args") or ()),
        {**environment, **own},
        plugin.get("apiVersion") or "client.authentication.k8s.io/v1",
    )


def _wrong(message: str) -> NoReturn:
    raise KubeconfigError(message)
