"""Ways in: the administrator's token in `admin-token` and certificate in `kubeconfig`; the node's `node.kubeconfig`."""

from __future__ import annotations

import os
import secrets
import ssl
from typing import TYPE_CHECKING

from seatrial.base.errors import SeatrialError
from seatrial.base.files import write_atomic
from seatrial.cluster.node.simulated import NODE
from seatrial.cluster.server import ADMIN, ADMIN_GROUP
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.connection import Connection

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.cluster.pki import Authority
    from seatrial.supervisor.instance import Instance

_CERTIFICATE_DAYS = 365
_RENEW_SECONDS = 300 * 86400.0


def admin_token(instance: Instance) -> str:
    """The token of the first start, or a new one if there is none or it is unusable. Raises OSError."""
    try:
        token = instance.admin_token.read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        token = ""
    if not token or not token.isascii() or not token.isprintable():
        token = secrets.token_urlsafe(32)
        write_atomic(instance.admin_token, token + "\n", mode=0o600)
    return token


def write_kubeconfig(instance: Instance, url: str, authority: Authority, clock: Clock) -> None:
    """Write the administrator's kubeconfig, unless the present one works: users may have added to it. Raises OSError.

    One that does not work is kept as `kubeconfig.old`.
    """
    path = instance.kubeconfig
    if _works(path, url, authority, clock):
        return
    if path.is_file():
        os.replace(path, path.with_name(path.name + ".old"))
    _write(path, url, authority, ADMIN, [ADMIN_GROUP])


def write_node_kubeconfig(instance: Instance, url: str, authority: Authority, clock: Clock) -> None:
    """What the node's own process reaches the API with. Raises OSError."""
    if not _works(instance.node_kubeconfig, url, authority, clock):
        _write(instance.node_kubeconfig, url, authority, f"system:node:{NODE}", ["system:nodes"])


def _write(path: Path, url: str, authority: Authority, user: str, groups: list[str]) -> None:
    certificate, key = authority.client_certificate(user, groups, _CERTIFICATE_DAYS)
    connection = Connection(
        server=url, ca=authority.ca_pem.decode(), certificate=certificate.decode(), key=key.decode()
    )
    kubeconfig.write(path, connection)


def _works(path: Path, url: str, authority: Authority, clock: Clock) -> bool:
    try:
        age = clock.time() - path.stat().st_mtime
        found = kubeconfig.load(path, "seatrial")
        found.ssl_context()
    except (OSError, ValueError, TypeError, AttributeError, SeatrialError, ssl.SSLError):
        return False
    return (
        age < _RENEW_SECONDS
        and found.server == url
        and found.ca == authority.ca_pem.decode()
        and bool(found.certificate)
        and not path.stat().st_mode & 0o077
    )
