"""`seatrial up | status | down | env`: one instance, named by its data directory."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import orjson

from seatrial.base.errors import Terminal
from seatrial.supervisor.instance import Instance

UNHEALTHY, NOT_RUNNING = 20, 1
_COMING_UP_SECONDS, _PAUSE = 30.0, 0.05
_RUNTIMES = {"oci": "oci (real containers)", "simulated": "simulated (pods run no processes)"}


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
@click.option(
    "--runtime",
    type=click.Choice(["auto", "oci", "simulated"]),
    default="auto",
    show_default=True,
    envvar="SEATRIAL_RUNTIME",
    help="What runs the pods' containers; auto: real ones where the machine allows it (also SEATRIAL_RUNTIME).",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the API listens on.")
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    help="Port of the API; 0 picks a free one (default: the last one used, else 6443 or a free one).",
)
@click.option(
    "--http-port",
    type=click.IntRange(0, 65535),
    help="Port of the ingress proxy; 0 picks a free one (default: the last one used, else 8080 or a free one).",
)
@click.option("--https-port", type=click.IntRange(0, 65535), help="The same for TLS (else 8443 or a free one).")
@click.option(
    "--git-port",
    type=click.IntRange(0, 65535),
    help="Port of the git server; 0 picks a free one (default: the last one used, else 3000 or a free one).",
)
@click.option("--registry-port", type=click.IntRange(0, 65535), help="The same for the OCI registry (else 5000).")
@click.option(
    "--pod-start",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a simulated pod takes to become ready.",
)
def up(
    instance: Instance,
    detach: bool,
    runtime: str,
    host: str,
    api_port: int | None,
    http_port: int | None,
    https_port: int | None,
    git_port: int | None,
    registry_port: int | None,
    pod_start: float,
) -> None:
    """Start an instance: a Kubernetes API with controllers, a scheduler and a node."""
    from seatrial.supervisor import background
    from seatrial.supervisor.supervisor import Settings

    instance.check_free()
    instance.prepare()
    settings = Settings(
        host=host,
        port=api_port,
        runtime=_runtime(runtime),
        http_port=http_port,
        https_port=https_port,
        git_port=git_port,
        registry_port=registry_port,
        cache=os.environ.get("SEATRIAL_CACHE", ""),
        pod_start_seconds=pod_start,
    )
    if detach:
        _say_up(background.start(instance, settings))
    else:
        background.supervise(instance, settings, _say_up)


def _runtime(wanted: str) -> str:
    """`auto` decided. Raises Terminal where real containers are asked for and cannot run."""
    if wanted == "simulated":
        return wanted
    from seatrial.cluster.nodeprocess.forbidden import can_run

    reason = can_run(os.environ.get("PATH", ""))
    if reason is None:
        return "oci"
    if wanted == "oci":
        raise Terminal(f"real containers cannot run here: {reason}. Or use --runtime simulated")
    click.echo(f"Pods are simulated: {reason}", err=True)
    return "simulated"


def _say_up(state: dict[str, Any]) -> None:
    click.echo(f"Kubernetes API: {state['urls']['api']}")
    click.echo(f"Kubeconfig:     {state['kubeconfig']}")
    click.echo(f"Runtime:        {_RUNTIMES[state['runtime']]}")
    directory = state["dataDirectory"]
    click.echo(f'Next:           eval "$(seatrial env --data-dir {shlex.quote(directory)})" && kubectl get all -A')


@click.command()
@data_dir
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def status(instance: Instance, output: str) -> int:
    """Show an instance's addresses and the state of its parts.

    Exit code 0: it runs and all is well; 20: it runs and something is wrong; 1: it does not run.
    """
    state = _state(instance)
    if output == "json":
        click.echo(orjson.dumps(state, option=orjson.OPT_INDENT_2))
    elif state["running"]:
        _show(state)
    else:
        raise Terminal(f"no instance is running in {instance.directory}: start one with `seatrial up`")
    if not state["running"]:
        return NOT_RUNNING
    return 0 if state["healthy"] else UNHEALTHY


def _state(instance: Instance) -> dict[str, Any]:
    """What the supervisor wrote down, judged from outside."""
    from seatrial.supervisor import health

    holder = instance.holder()
    state: dict[str, Any] = {
        "running": holder is not None,
        "healthy": False,
        "pid": holder,
        "dataDirectory": str(instance.directory),
        "runtime": "",
        "kubeconfig": str(instance.kubeconfig),
        "adminTokenFile": str(instance.admin_token),
        "urls": {},
        "git": {},
        "registry": {},
        "components": {},
    }
    written = instance.read_state()
    if holder is None or (holder and written.get("pid") != holder):
        return state  # not running, or only just starting: what is written is of an earlier run
    state.update(written, pid=holder)
    cluster = state["components"].get("cluster", {})
    if cluster.get("state") == "running" and (why := health.trouble(state["urls"]["api"], instance.ca)):
        cluster |= {"state": "unhealthy", "reason": why}
    state["healthy"] = all(_is_well(name, part) for name, part in state["components"].items())
    return state


def _is_well(name: str, part: dict[str, Any]) -> bool:
    """What works through the API comes up after it: nothing is wrong with that, the first time."""
    return part["state"] == "running" or (name != "cluster" and _is_coming_up(part))


def _is_coming_up(part: dict[str, Any]) -> bool:
    return part["state"] in ("stopped", "starting") and not part["restarts"]


def _show(state: dict[str, Any]) -> None:
    rows = [
        ("Data directory", state["dataDirectory"]),
        ("Started", state.get("started", "")),
        ("Runtime", state["runtime"]),
        ("Kubeconfig", state["kubeconfig"]),
        ("Admin token", state["adminTokenFile"]),
        ("Log", state.get("log", "")),
        *((f"URL {name}", url) for name, url in state["urls"].items()),
        *((f"Component {name}", _described(part)) for name, part in state["components"].items()),
        ("Healthy", "yes" if state["healthy"] else "no"),
    ]
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        if value:
            click.echo(f"{name + ':':<{width}}{value}")


def _described(part: dict[str, Any]) -> str:
    process = f"pid {part['pid']}" if part["pid"] else "no process"
    shown = f"{part['state']} ({process}, restarts {part['restarts']})"
    return f"{shown}: {part['reason']}" if part["reason"] else shown


@click.command()
@data_dir
@click.option("--delete", "deleted", is_flag=True, help="Delete its data directory too.")
def down(instance: Instance, deleted: bool) -> None:
    """Stop an instance and wait until all of it has ended. Its data stays, unless --delete is given."""
    if instance.stop():
        click.echo(f"stopped the instance in {instance.directory}")
    else:
        click.echo(f"no instance is running in {instance.directory}")
    if deleted and instance.delete():
        click.echo(f"deleted {instance.directory}")


@click.command()
@data_dir
def env(instance: Instance) -> None:
    """Print what makes plain kubectl, git and skopeo use the instance: eval "$(seatrial env)".

    Where parts of it are still coming up, it waits for them, so that what it prints can be used.
    """
    if not instance.kubeconfig.is_file():
        raise Terminal(f"{instance.directory} has no kubeconfig: start the instance with `seatrial up`")
    _await_parts(instance)
    click.echo(f"export KUBECONFIG={shlex.quote(str(instance.kubeconfig))}")
    click.echo(f"export SEATRIAL_DATA_DIR={shlex.quote(str(instance.directory))}")
    state = instance.read_state()
    if git := state.get("git"):
        # git asks the helper when it needs a password: the token is in no variable, command line or URL.
        helper = f"!f() {{ echo username={git['user']}; echo password=$(cat {shlex.quote(git['tokenFile'])}); }}; f"
        click.echo("export GIT_CONFIG_COUNT=1")
        click.echo(f"export GIT_CONFIG_KEY_0=credential.{_origin(git['url'])}.helper")
        click.echo(f"export GIT_CONFIG_VALUE_0={shlex.quote(helper)}")
    if registry := state.get("registry"):
        click.echo(f"export SEATRIAL_REGISTRY={shlex.quote(registry['url'].partition('://')[2])}")
        click.echo(f"export REGISTRY_AUTH_FILE={shlex.quote(registry['authFile'])}")


def _await_parts(instance: Instance) -> None:
    """Until each has come up or failed for the first time; `up` returns as soon as the API answers."""
    deadline = time.monotonic() + _COMING_UP_SECONDS
    while (state := _state(instance))["running"] and any(_is_coming_up(part) for part in state["components"].values()):
        if time.monotonic() > deadline:
            names = ", ".join(name for name, part in state["components"].items() if _is_coming_up(part))
            click.echo(f"warning: not up after {_COMING_UP_SECONDS:.0f} s: {names}. See `seatrial status`", err=True)
            return
        time.sleep(_PAUSE)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
