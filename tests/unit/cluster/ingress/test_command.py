"""How the proxy is started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from seatrial.cluster.ingress.command import Advertised, command


def test_the_shell_becomes_the_program_and_tells_it_of_its_sockets(tmp_path: Path) -> None:
    program = tmp_path / "a program"
    program.write_text('#!/bin/sh\necho "$LISTEN_FDS $LISTEN_FDNAMES $KUBECONFIG $(($LISTEN_PID == $$)) $#"\n')
    program.chmod(0o755)
    arguments = command(str(program), tmp_path / "kube config", tmp_path, Advertised())
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    expected = len(arguments) - arguments.index(str(program)) - 1
    assert done.stdout == f"3 web:websecure:traefik {tmp_path}/kube config 1 {expected}\n"


def test_an_ingress_shows_what_the_machine_is_reached_by() -> None:
    options = command("/traefik", Path("/k"), Path("/s"), Advertised(ip="192.0.2.1"))
    assert "--providers.kubernetesingress.ingressendpoint.ip=192.0.2.1" in options
    options = command("/traefik", Path("/k"), Path("/s"), Advertised(hostname="localhost"))
    assert "--providers.kubernetesingress.ingressendpoint.hostname=localhost" in options
    assert not any("ingressendpoint" in option for option in command("/traefik", Path("/k"), Path("/s"), Advertised()))


def test_no_argument_holds_a_credential() -> None:
    assert not any("token" in option for option in command("/traefik", Path("/k"), Path("/s"), Advertised()))
