"""The certificate for hosts without one."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import yaml

from seatrial.base.clock import SystemClock
from seatrial.cluster.ingress import fallback

if TYPE_CHECKING:
    from pathlib import Path


def test_the_settings_name_a_certificate_and_its_key(tmp_path: Path) -> None:
    settings = yaml.safe_load(fallback.write(tmp_path, SystemClock()).read_text())
    used = settings["tls"]["stores"]["default"]["defaultCertificate"]
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(used["certFile"], used["keyFile"])


def test_only_we_may_read_the_key(tmp_path: Path) -> None:
    fallback.write(tmp_path, SystemClock())
    assert (tmp_path / "tls.key").stat().st_mode & 0o777 == 0o600
