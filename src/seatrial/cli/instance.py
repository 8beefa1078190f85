"""`seatrial up | status | down | env`: one instance, named by its data directory."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from seatrial.base import log
from seatrial.base.errors import Terminal
from seatrial.supervisor.instance import Instance
from seatrial.supervisor.supervisor import Settings, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

UNHEALTHY = 20
_DOWN_SECONDS = 20.0
_NOT_BUILT = "the oci runtime (real containers) is not in this version yet: use --runtime simulated"


def _instance(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Instance:
    return Instance(Path(value or "~/.local/share/seatrial").expanduser().absolute())


data_dir = click.option(
    "--data-dir",
    "instance",
    envvar="SEATRIAL_DATA_DIR",
    metavar="DIR",
    callback=_instance,
    help="The instance's directory (default ~/.local/share/seatrial; also SEATRIAL_DATA_DIR).",
)


@click.command()
@data_dir
@click.option("--detach", is_flag=True, help="Return when the cluster is ready; it goes on in the background.")
@click.option("--runtime", type=click.Choice(["auto", "oci", "simulated"]), default="auto", show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the API listens on.")
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    help="Port of the API; 0 picks a free one (default: the last one used, else 6443 or a free one).",
)
@click.option(
    "--pod-start",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="How long a simulated pod takes to become ready.",
)
@click.option("--ready-fd", type=int, hidden=True, help="Where the background process reports to its starter.")
def up(
    instance: Instance,
    detach: bool,
    runtime: str,
    host: str,
    api_port: int | None,
    pod_start: float,
    ready_fd: int | None,
) -> None:
    """Start an instance: a Kubernetes API with controllers, a scheduler and a node."""
    if runtime == "oci":
        raise Terminal(_NOT_BUILT)
    instance.prepare()
    settings = Settings(host=host, port=api_port, runtime="simulated", pod_start_seconds=pod_start)
    if detach:
        _detach(instance, runtime)
        return
    descriptor = instance.acquire()
    try:
        log.configure(settings.log_level)
        report = _reporter(ready_fd) if ready_fd is not None else _say_up
        try:
            asyncio.run(Supervisor(instance, settings).run(report))
        except Terminal as error:
            if ready_fd is None:
                raise
            _write(ready_fd, {"error": error.message})
            sys.exit(1)
    finally:
        os.close(descriptor)


def _detach(instance: Instance, runtime: str) -> None:
    """Start the same command in a session of its own and wait for its report."""
    os.close(instance.acquire())
    read_end, write_end = os.pipe()
    arguments = [argument for argument in sys.argv[1:] if argument != "--detach"]
    with instance.log.open("ab") as output:
        subprocess.Popen(
            [sys.executable, "-m", "seatrial.cli.main", *arguments, "--ready-fd", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[write_end],
            start_new_session=True,
        )
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        line = pipe.readline()
    answer: dict[str, Any] = orjson.loads(line) if line else {}
    if "error" in answer or not answer:
        raise Terminal(answer.get("error") or f"the instance ended while starting: see {instance.log}")
    _say_up(answer)
    if runtime == "auto":
        click.echo("Runtime: simulated (pods run no processes in this version).", err=True)


def _reporter(descriptor: int) -> Callable[[dict[str, Any]], None]:
    return lambda state: _write(descriptor, state)


def _write(descriptor: int, answer: dict[str, Any]) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(orjson.dumps(answer) + b"\n")


def _say_up(state: dict[str, Any]) -> None:
    click.echo(f"Kubernetes API: {state['urls']['api']}")
    click.echo(f"Kubeconfig:     {state['kubeconfig']}")
    directory = state["dataDirectory"]
    click.echo(f'Next:           eval "$(seatrial env --data-dir {shlex.quote(directory)})" && kubectl get all -A')


@click.command()
@data_dir
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(instance: Instance, output: str) -> int:
    """Show an instance's addresses and the state of its parts (exit code 20 if one is not running)."""
    holder = instance.holder()
    state = instance.read_state() if holder else {}
    if not state:
        if output == "json":
            stopped = {"running": False, "dataDirectory": str(instance.directory)}
            click.echo(orjson.dumps(stopped, option=orjson.OPT_INDENT_2))
            return 1
        raise Terminal(f"no instance is running in {instance.directory}: start one with `seatrial up`")
    healthy = all(part["state"] == "running" for part in state["components"].values())
    if output == "json":
        click.echo(orjson.dumps({"running": True, "healthy": healthy, **state}, option=orjson.OPT_INDENT_2))
    else:
        _show(state)
    return 0 if healthy else UNHEALTHY


def _show(state: dict[str, Any]) -> None:
    rows = [
        ("Data directory", state["dataDirectory"]),
        ("Started", state["started"]),
        ("Runtime", state["runtime"]),
        ("Kubeconfig", state["kubeconfig"]),
        ("Admin token", state["adminTokenFile"]),
        ("Log", state["log"]),
        *((f"URL {name}", url) for name, url in state["urls"].items()),
        *((f"Component {name}", _described(part)) for name, part in state["components"].items()),
    ]
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        click.echo(f"{name + ':':<{width}}{value}")


def _described(part: dict[str, Any]) -> str:
    shown = f"{part['state']} (pid {part['pid']}, restarts {part['restarts']})"
    return f"{shown}: {part['reason']}" if part["reason"] else shown


@click.command()
@data_dir
def down(instance: Instance) -> None:
    """Stop an instance. Its data stays."""
    holder = instance.holder()
    if holder is None:
        click.echo(f"no instance is running in {instance.directory}")
        return
    os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_SECONDS
    while instance.holder() == holder:
        if time.monotonic() > deadline:
            raise Terminal(
                f"the instance (pid {holder}) did not stop within {_DOWN_SECONDS:.0f} s: see {instance.log}"
            )
        time.sleep(0.02)
    click.echo(f"stopped the instance in {instance.directory}")


@click.command()
@data_dir
def env(instance: Instance) -> None:
    """Print what makes plain kubectl use the instance: eval "$(seatrial env)"."""
    if not instance.kubeconfig.exists():
        raise Terminal(f"{instance.directory} has no kubeconfig: start the instance with `seatrial up`")
    click.echo(f"export KUBECONFIG={shlex.quote(str(instance.kubeconfig))}")
    click.echo(f"export SEATRIAL_DATA_DIR={shlex.quote(str(instance.directory))}")
