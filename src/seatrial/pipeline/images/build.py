"""`image build`: an image from a Dockerfile, by buildah, or by docker or podman where those are what is here.

Bases of docker.io come from the instance's registry where it has them (`answering.py`); what the steps may know of the
machine is in `surroundings.py`. Unchanged steps are taken from the layers of earlier builds. Next: `push.py`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.errors import Terminal
from seatrial.base.files import write_atomic
from seatrial.pipeline.images import answering, dockerfile, names, surroundings, tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.pipeline.images.buildah import Buildah
    from seatrial.pipeline.images.names import Registry

_FILES = ("Dockerfile", "Containerfile")
_LONGEST_FILE = 1024 * 1024
_OUR_OWN = ("PATH", "HOME", "XDG_RUNTIME_DIR", "TMPDIR", "LD_PRELOAD", "LD_LIBRARY_PATH")
"""What decides how the program that builds works itself."""
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")


class BuildFailed(Terminal):
    reason = "BuildFailed"


class NoDockerfile(Terminal):
    reason = "NoDockerfile"


@dataclass(frozen=True, slots=True)
class Order:
    """What to build; `tags` are complete names."""

    context: Path
    tags: tuple[str, ...] = ()
    file: Path | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    target: str = ""
    fresh: bool = False
    """Every step anew."""


class Builder:
    def __init__(self, buildah: Buildah, cache: Path, registry: Registry | None) -> None:
        self._buildah = buildah
        self._cache = cache
        self._registry = registry

    def build(self, order: Order) -> str:
        """The id of the image. Raises BuildFailed, NoDockerfile."""
        path, text = read(order)
        environment = given(order, self._buildah.environment)
        with (
            tempfile.TemporaryDirectory(prefix="seatrial-build-") as scratch,
            surroundings.shared(self._cache, self._buildah.environment) as variables,
        ):
            directory = Path(scratch)
            changed = directory / "Dockerfile"
            changed.write_text(dockerfile.with_arguments(text, list(variables)))
            told = directory / "id"
            command: list[str | Path] = [
                *("bud", "--layers", "--isolation", "chroot", "--iidfile", told, "--file", changed),
                *("--no-cache",) * order.fresh,
                f"--pull={'true' if self._serves_bases(text, order) else 'false'}",
                *_ignored(path),
                *arguments(order, variables),
            ]
            if self._registry is not None:
                environment = {**environment, "CONTAINERS_REGISTRIES_CONF": str(_remap(directory, self._registry))}
                if self._registry.auth_file is not None:
                    command += ["--authfile", self._registry.auth_file]
            try:
                tool.show(self._buildah.command(*command, order.context), environment)
            except tool.ToolFailed as error:
                raise BuildFailed(f"the build of {path} failed: what the last step says above is why") from error
            return told.read_text().strip()

    def _serves_bases(self, text: str, order: Order) -> bool:
        """Then asking for newer ones costs no network; else what was fetched once is used."""
        registry = self._registry
        if registry is None:
            return False
        try:
            parsed = [names.parse(base) for base in dockerfile.bases(text, order.arguments)]
        except names.InvalidName:
            return False
        return all(name.registry == names.DOCKER and answering.has(registry, name) for name in parsed)


class OtherBuilder:
    """docker or podman, as they are set up; `surroundings` stay unknown to it, but for proxies."""

    def __init__(self, program: str, environment: Mapping[str, str], registry: Registry | None) -> None:
        self._program = program
        self._environment = dict(environment)
        self._registry = registry

    def build(self, order: Order) -> str:
        """Raises BuildFailed, NoDockerfile."""
        path, _text = read(order)
        proxies = [name for name in self._environment if name.lower() in _PROXIES]
        with tempfile.TemporaryDirectory(prefix="seatrial-build-") as scratch:
            told = Path(scratch) / "id"
            command: list[str | Path] = [self._program, "build", "--iidfile", told, "--file", path]
            command += ["--network", "host", *("--no-cache",) * order.fresh]
            command += [part for name in proxies for part in ("--build-arg", name)]
            try:
                tool.show([*command, *arguments(order, {}), order.context], given(order, self._environment))
            except tool.ToolFailed as error:
                raise BuildFailed(f"the build of {path} failed: what the last step says above is why") from error
            return told.read_text().strip()

    def push(self, name: names.Name) -> str:
        """Where it went. Raises ToolFailed."""
        to = names.place(name, self._registry).reference
        if to != str(name):
            tool.output([self._program, "tag", str(name), to], self._environment)
        tool.show([self._program, "push", to], self._environment)
        return to


def read(order: Order) -> tuple[Path, str]:
    """The Dockerfile. Raises NoDockerfile."""
    if not order.context.is_dir():
        raise NoDockerfile(f"{order.context} is no directory: expected the files that the build may use")
    candidates = [order.file] if order.file else [order.context / name for name in _FILES]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise NoDockerfile(f"there is no {candidates[0]}: name the Dockerfile with -f")
    if path.stat().st_size > _LONGEST_FILE:
        raise NoDockerfile(f"{path} is larger than {_LONGEST_FILE} bytes: that is no Dockerfile")
    try:
        return path, path.read_text()
    except UnicodeDecodeError as error:
        raise NoDockerfile(f"{path} is not UTF-8 text") from error


def arguments(order: Order, variables: Mapping[str, str]) -> list[str]:
    told = [f"--tag={tag}" for tag in order.tags]
    told += [f"--build-arg={name}={value}" for name, value in variables.items()]
    told += [f"--build-arg={name}" for name in order.arguments]  # the values, by `given`: a command line is public
    told += [f"--label={label}" for label in order.labels]
    return told + ([f"--target={order.target}"] if order.target else [])


def given(order: Order, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the program that builds. Raises BuildFailed."""
    if clash := next((name for name in order.arguments if name in _OUR_OWN), ""):
        raise BuildFailed(f"--build-arg {clash}: no build argument can have this name; rename the ARG")
    return {**environment, **order.arguments}


def _ignored(path: Path) -> list[str]:
    """`Dockerfile.dockerignore` beside its Dockerfile wins over the context's."""
    own = path.with_name(f"{path.name}.dockerignore")
    return [f"--ignorefile={own}"] if own.is_file() else []


def _remap(directory: Path, registry: Registry) -> Path:
    """docker.io's names from the instance's registry; what it lacks, from docker.io."""
    path = directory / "registries.conf"
    write_atomic(
        path,
        'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "permissive"\n'
        '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n'
        f'[[registry.mirror]]\nlocation = "{registry.address}"\ninsecure = true\n'
        f'[[registry]]\nlocation = "{registry.address}"\ninsecure = true\n',
    )
    return path
