"""What the RUN steps of a build find of the machine they run on, without a trace of it in the image.

Proxies are handed on by buildah itself. For the rest -- the package index that pip is to ask, the certificates that
this machine trusts -- the steps get variables (ARG, which no image keeps) that name files in /dev/shm, which a build
shares with the machine. The image's history has these paths, always the same ones, so that a build finds its cached
layers again; what the files say is gone with the build.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHARED = Path("/dev/shm")
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
_NAMED_BY = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")
_PIP = ("INDEX_URL", "EXTRA_INDEX_URL", "TRUSTED_HOST", "FIND_LINKS", "DEFAULT_TIMEOUT", "RETRIES", "NO_INDEX")


@contextlib.contextmanager
def shared(cache: Path, environment: Mapping[str, str], root: Path = SHARED) -> Iterator[dict[str, str]]:
    """Variables for the steps and the files they name, while the block runs."""
    bundle = _bundle(environment)
    settings = _pip_settings(environment)
    if not root.is_dir() or (bundle is None and not settings):
        yield {}
        return
    with _held(cache / "images" / "surroundings.lock") as lock:
        directory = _directory(cache, root)
        try:
            yield _write(directory, bundle, settings)
        finally:
            if _is_last(lock):
                shutil.rmtree(directory, ignore_errors=True)


def _write(directory: Path, bundle: Path | None, settings: dict[str, str]) -> dict[str, str]:
    variables = {}
    if bundle is not None:
        certificates = directory / "ca.crt"
        write_atomic(certificates, bundle.read_bytes())
        variables = dict.fromkeys(_CERTIFICATES, str(certificates))
        settings = {"cert": str(certificates), **settings}
    lines = [f"{key} = {value}" for key, value in settings.items()]
    write_atomic(directory / "pip.conf", "\n".join(["[global]", *lines, ""]))
    return {"PIP_CONFIG_FILE": str(directory / "pip.conf"), **variables}


def _bundle(environment: Mapping[str, str]) -> Path | None:
    named = [environment[name] for name in _NAMED_BY if environment.get(name)]
    return next((Path(path) for path in (*named, *_BUNDLES) if Path(path).is_file()), None)


def _pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """As pip.conf has them: one line each, so a value with a line break cannot add a setting."""
    found = {}
    for name in _PIP:
        words = environment.get(f"PIP_{name}", "").split()
        if name == "FIND_LINKS":
            words = [word for word in words if "://" in word]  # a directory of this machine is not there in a step
        if value := " ".join(words):
            found[name.lower().replace("_", "-").replace("default-timeout", "timeout")] = value
    return found


def _directory(cache: Path, root: Path) -> Path:
    """Steps run as users of their own and must read it; nobody else can know its name: the parent lists nothing."""
    token = cache / "images" / "surroundings"
    if not token.exists():
        write_atomic(token, secrets.token_hex(16), mode=0o600)
    parent = root / f"seatrial-{os.geteuid()}"
    parent.mkdir(mode=0o711, exist_ok=True)
    if parent.is_symlink() or parent.stat().st_uid != os.geteuid():
        raise PermissionError(f"{parent} belongs to somebody else: remove it")
    directory = parent / token.read_text().strip()
    directory.mkdir(mode=0o755, exist_ok=True)
    return directory


@contextlib.contextmanager
def _held(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_last(lock: int) -> bool:
    """Builds run side by side: the last one clears up."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
