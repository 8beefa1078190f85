"""A Connection: where an API server is and how to prove who we are. Made by `kubeconfig.py`, used by `http.py`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A command that prints an ExecCredential (client.authentication.k8s.io)."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """All of it: what the caller passed to `kubeconfig.load` plus the plugin's own."""
    api_version: str = "client.authentication.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Connection:
    """Certificates and keys are PEM text; an empty `ca` trusts the system's authorities."""

    server: str
    namespace: str = "default"
    ca: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    exec: ExecPlugin | None = None
    insecure: bool = False
    """Do not check the server's certificate."""
    tls_server_name: str = ""
    proxy: str = ""

    def ssl_context(self) -> ssl.SSLContext:
        """Raises ssl.SSLError if a certificate or key is not valid PEM."""
        context = ssl.create_default_context(cadata=self.ca or None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            _load_certificate(context, self.certificate, self.key)
        return context


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """OpenSSL takes a certificate chain from files only: give it some, for its owner alone and only now."""
    with TemporaryDirectory(prefix="seatrial-") as folder:
        certificate_file, key_file = Path(folder, "tls.crt"), Path(folder, "tls.key")
        certificate_file.write_text(certificate)
        key_file.touch(mode=0o600)
        key_file.write_text(key)
        context.load_cert_chain(certificate_file, key_file)
