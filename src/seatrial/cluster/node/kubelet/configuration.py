"""A container as the runtime is to make it, from its specification and its image (pure)."""

from __future__ import annotations

import secrets
import signal
from typing import TYPE_CHECKING

from seatrial.cluster.node.kubelet.environment import expand
from seatrial.cluster.node.kubelet.security import ConfigError
from seatrial.cluster.node.runtime.types import ContainerConfig, Mount

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seatrial.cluster.node.images.manifest import ImageConfig
    from seatrial.cluster.node.runtime.types import Limits, Security
    from seatrial.kube.model.objects import Object

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MESSAGE_PATH = "/dev/termination-log"


def new_id() -> str:
    return secrets.token_hex(32)


def arguments(container: Object, image: ImageConfig, names: Mapping[str, str]) -> tuple[str, ...]:
    """`command` replaces the image's entrypoint and its command; `args` the command. Raises ConfigError."""
    command, given = container.get("command") or [], container.get("args") or []
    if command:
        return tuple(expand(word, names) for word in (*command, *given))
    rest = [expand(word, names) for word in given] if given else image.command
    words = (*image.entrypoint, *rest)
    if not words:
        raise ConfigError(f"container {container['name']}: neither it nor its image names a command")
    return words


def variables(image: ImageConfig, made: Mapping[str, str], home: str, host: str) -> tuple[str, ...]:
    """The image's, then ours; PATH, HOME and HOSTNAME as a runtime adds them."""
    merged = {name: value for name, _, value in (entry.partition("=") for entry in (_PATH, *image.environment))}
    merged = {"HOSTNAME": host, "HOME": home, **merged, **made}
    return tuple(f"{name}={value}" for name, value in merged.items())


def stop_signal(container: Object, image: ImageConfig) -> int:
    """KEP-4960: `lifecycle.stopSignal` goes before the image's STOPSIGNAL."""
    name = (container.get("lifecycle") or {}).get("stopSignal") or image.stop_signal or "SIGTERM"
    if str(name).isdecimal():
        return int(name)
    name = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    try:
        return int(_NUMBERED[name]) if name in _NUMBERED else int(signal.Signals[name])
    except KeyError:
        return int(signal.SIGTERM)


_NUMBERED = {f"SIGRTMIN+{n}": signal.SIGRTMIN + n for n in range(1, 16)} | {
    f"SIGRTMAX-{n}": signal.SIGRTMAX - n for n in range(1, 15)
}


def configuration(
    container: Object,
    image: ImageConfig,
    *,
    id: str,
    uid: str,
    layers: tuple[Path, ...],
    layer_directory: Path,
    made: Mapping[str, str],
    home: str,
    host: str,
    mounts: tuple[Mount, ...],
    message_file: Path,
    security: Security,
    limits: Limits,
    log_path: Path,
) -> ContainerConfig:
    """`made`: what `environment` says; `message_file`: where the termination message goes. Raises ConfigError."""
    target = container.get("terminationMessagePath") or MESSAGE_PATH
    return ContainerConfig(
        id=id,
        sandbox=uid,
        name=container["name"],
        layers=layers,
        layer_directory=layer_directory,
        arguments=arguments(container, image, made),
        environment=variables(image, made, home, host),
        directory=container.get("workingDir") or image.working_directory or "/",
        mounts=(*mounts, Mount(str(message_file), target)),
        security=security,
        limits=limits,
        tty=bool(container.get("tty")),
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        stop_signal=stop_signal(container, image),
        log_path=log_path,
    )
