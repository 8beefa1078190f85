"""How the ingress proxy is started: its program and arguments. Pure, but for the look at what is installed.

The sockets it serves come by the protocol of socket activation: open descriptors from 3 on, and variables that name
them, one of which is the process's own id. So a shell sets them and becomes the program.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from seatrial.cluster.ingress.manifests import NAME

WEB, TLS, OWN = ENTRANCES = ("web", "websecure", "traefik")
"""By the order of their descriptors: plain requests, TLS, and questions of ours about itself."""
_SHELL = "/bin/sh"
_BECOME = (
    'KUBECONFIG="$1"; LISTEN_PID=$$; LISTEN_FDS="$2"; LISTEN_FDNAMES="$3"; shift 3; '
    'export KUBECONFIG LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; exec "$@"'
)


class Advertised(NamedTuple):
    """What an Ingress's status says: an address or a name of the machine."""

    ip: str = ""
    hostname: str = ""


def find(path: str) -> str | None:
    """The program: installed beside Python, or on the search path."""
    beside = Path(sys.executable).with_name("traefik")
    return str(beside) if beside.exists() else shutil.which("traefik", path=path)


def command(program: str, kubeconfig: Path, settings: Path, advertised: Advertised) -> list[str]:
    """A shell that becomes the proxy."""
    names = ":".join(ENTRANCES)
    return [
        _SHELL,
        "-c",
        _BECOME,
        "sh",
        str(kubeconfig),
        str(len(ENTRANCES)),
        names,
        program,
        *_options(settings, advertised),
    ]


def _options(settings: Path, advertised: Advertised) -> list[str]:
    provider = "--providers.kubernetesingress"
    options = [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
        "--log.format=json",
        *(f"--entrypoints.{name}.address=127.0.0.1:{number + 1}" for number, name in enumerate(ENTRANCES)),
        f"--entrypoints.{TLS}.http.tls=true",
        "--api=true",
        "--api.insecure=true",
        "--api.dashboard=false",
        "--ping=true",
        # A pod waits until a change has arrived here: gathering changes for longer costs every pod that time.
        "--providers.providersthrottleduration=20ms",
        "--serverstransport.forwardingtimeouts.dialtimeout=5s",
        f"--providers.file.filename={settings}",
        "--providers.file.watch=false",
        f"{provider}=true",
        f"{provider}.ingressclass={NAME}",
        f"{provider}.allowemptyservices=true",  # no pods: 503, as opposed to 404 for no such route
    ]
    if advertised.ip:
        options.append(f"{provider}.ingressendpoint.ip={advertised.ip}")
    if advertised.hostname:
        options.append(f"{provider}.ingressendpoint.hostname={advertised.hostname}")
    return options
