"""docker/login-action and docker/setup-buildx-action: who we are to a registry, and that there is nothing to set up."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from seatrial.base.files import write_atomic
from seatrial.pipeline.actions.step import StepFailed

if TYPE_CHECKING:
    from typing import Any

    from seatrial.pipeline.actions.step import Step

_HUB = ("", "docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/")


def login_main(step: Step) -> None:
    registry = step.text("registry").removeprefix("https://").removeprefix("http://").rstrip("/")
    if registry in _HUB and step.environment.get("SEATRIAL_REGISTRY"):
        step.notice("docker.io is this instance's registry: nothing is asked of Docker Hub, and no password is checked")
        return
    user, password = step.needed("username"), step.needed("password")
    if ":" in user:
        raise StepFailed("input `username`: expected a name without a colon")
    place = Path(step.variable("HOME")) / ".docker" / "config.json"
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = {"auths": {**_auths(step.environment.get("REGISTRY_AUTH_FILE")), **_auths(str(place))}}
    known["auths"][registry or "docker.io"] = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
    write_atomic(place, orjson.dumps(known), mode=0o600)
    step.export("REGISTRY_AUTH_FILE", str(place))
    step.save("registry", registry or "docker.io")
    step.say(f"logged in to {registry or 'docker.io'} as {user}, for the steps of this job")


def login_post(step: Step) -> None:
    place = Path(os.path.expanduser(step.environment.get("HOME", "/nonexistent"))) / ".docker" / "config.json"
    if (registry := step.state("registry")) and place.is_file():
        known = {"auths": _auths(str(place))}
        known["auths"].pop(registry, None)
        write_atomic(place, orjson.dumps(known), mode=0o600)


def _auths(name: str | None) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(Path(name or "/nonexistent").read_bytes()).get("auths", {})
    except (OSError, ValueError):
        return {}
    return found


def setup_buildx_main(step: Step) -> None:
    step.output("name", "seatrial")
    step.output("driver", "buildah")
    step.output("platforms", "linux/amd64" if os.uname().machine == "x86_64" else "linux/arm64")
    step.say("images are built by buildah: there is no builder to set up")
