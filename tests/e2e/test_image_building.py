"""Images made by the real command line: buildah builds, Debian's registry keeps them, skopeo is the judge."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = ("docker-registry", "skopeo", "buildah")
BUSYBOX = Path("/bin/busybox")
PASSWORD = "correct horse"
USER, SUBORDINATE = 12345, 200_000
SECRET = "hush-hush"
BASE = 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS) or not BUSYBOX.exists() or os.geteuid() != 0,
    reason=f"needs root (a user is made of it), and {', '.join(TOOLS)} and busybox-static from the distribution",
)


@dataclass(frozen=True)
class Place:
    """A cache, a registry, and whoever types the commands."""

    directory: Path
    registry: str
    auth: Path
    prefix: tuple[str, ...] = ()
    more: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return self.directory / "cache"

    def run(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "SSL_CERT_FILE", "PIP_CERT")},
            "HOME": str(self.directory),
            "SEATRIAL_CACHE": str(self.cache),
            "SEATRIAL_DATA_DIR": str(self.directory / "none"),
            "SEATRIAL_REGISTRY": self.registry,
            "REGISTRY_AUTH_FILE": str(self.auth),
            **self.more,
        }
        command = [*self.prefix, sys.executable, "-m", "seatrial.cli.main", "image", *arguments]
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, env=environment, timeout=600
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def build(self, name: str, dockerfile: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.run("build", "-t", name, *arguments, self.context(dockerfile))

    def context(self, dockerfile: str) -> Path:
        directory = Path(tempfile.mkdtemp(dir=self.directory, prefix="context-"))
        directory.chmod(0o755)
        (directory / "Dockerfile").write_text(dockerfile)
        shutil.copy(BUSYBOX, directory / "busybox")
        return directory

    def inspect(self, repository: str, *options: str) -> dict[str, Any]:
        """What skopeo finds in the registry."""
        command = ["skopeo", "inspect", *options, "--tls-verify=false", f"--authfile={self.auth}"]
        told: dict[str, Any] = json.loads(subprocess.check_output([*command, f"docker://{self.registry}/{repository}"]))
        return told

    def config(self, repository: str) -> dict[str, Any]:
        return self.inspect(repository, "--config")

    def copy(self, repository: str, to: str) -> None:
        """By skopeo, out of the registry."""
        command = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"--src-authfile={self.auth}"]
        subprocess.run([*command, f"docker://{self.registry}/{repository}", to], check=True)


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    """Not pytest's own directory, which nobody but us may enter: a user has to."""
    directory = Path(tempfile.mkdtemp(prefix="seatrial-building-"))
    directory.chmod(0o755)
    yield directory
    left = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed([path for path in left if path.startswith(str(directory))]):
        subprocess.run(["umount", mount], check=True)
    shutil.rmtree(directory)


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[tuple[str, Path]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    directory.mkdir()
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (directory / "htpasswd").write_text(f"seatrial:{hashed}\n")
    packed = base64.b64encode(f"seatrial:{PASSWORD}".encode()).decode()
    (directory / "auth.json").write_text(json.dumps({"auths": {host: {"auth": packed}}}))
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
        "http": {"addr": host},
        "auth": {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}},
    }
    (directory / "config.yml").write_text(json.dumps(settings))
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", directory / "config.yml"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(host[10:])), timeout=1):
                break
            assert time.monotonic() < deadline, "the registry did not start"
            time.sleep(0.02)
        yield host, directory / "auth.json"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def place(work: Path) -> Iterator[Place]:
    """With `base:1` in the registry."""
    with serving(work / "registry") as (host, auth):
        (work / "root").mkdir()
        made = Place(work / "root", host, auth)
        made.build("base:1", BASE, "--push")
        yield made


def fresh(place: Place, name: str) -> Place:
    """The same registry, and nothing built before."""
    directory = place.directory.parent / name
    directory.mkdir()
    return replace(place, directory=directory)


def test_a_base_of_docker_io_comes_from_the_instances_registry(place: Place) -> None:
    other = fresh(place, "another-machine")
    done = other.build("team/app:1", "FROM base:1\nRUN echo hello > /greeting\nUSER 1000\n", "--push")
    assert f"pushed {place.registry}/team/app:1 sha256:" in done.stdout
    assert place.config("team/app:1")["config"]["User"] == "1000"


def test_what_steps_know_of_the_machine_is_not_in_the_image(place: Place) -> None:
    given = replace(place, more={"PIP_INDEX_URL": f"https://me:{SECRET}@index/", "http_proxy": f"http://{SECRET}@x"})
    step = (
        "RUN cat $PIP_CONFIG_FILE > /dev/null && (cat $PIP_CONFIG_FILE; env) | grep -c hush && head -n 1 $SSL_CERT_FILE"
    )
    done = given.build("team/quiet:1", f"FROM base:1\n{step}\n", "--push")
    assert "\n2\n-----BEGIN CERTIFICATE" in done.stdout
    config = place.config("team/quiet:1")
    assert SECRET not in json.dumps(config)
    assert [name.partition("=")[0] for name in config["config"]["Env"]] == ["PATH"]
    assert not list(Path("/dev/shm").glob(f"seatrial-{os.geteuid()}/*/*"))
    place.copy("team/quiet:1", f"dir:{place.directory}/quiet")
    layers = [path for path in (place.directory / "quiet").iterdir() if len(path.name) == 64]
    listed = "".join(subprocess.run(["tar", "-tzf", path], capture_output=True, text=True).stdout for path in layers)
    assert "bin/busybox" in listed and "shm" not in listed and "pip.conf" not in listed


def test_build_arguments_labels_target_and_id_file(place: Place) -> None:
    text = (
        "ARG TAG=none\nFROM base:${TAG} AS first\nARG WORD\nRUN echo $WORD > /word\n"
        "FROM first AS wanted\nRUN test $(cat /word) = said\nFROM first\nRUN false\n"
    )
    told, pushed = place.directory / "id", place.directory / "digest"
    arguments = ["--build-arg", "TAG=1", "--build-arg", "WORD=said", "--target", "wanted", "--label", "a=b c"]
    done = place.build("team/full:1", text, *arguments, "--iidfile", told, "--digestfile", pushed, "--push")
    assert pushed.read_text() == place.inspect("team/full:1")["Digest"]
    refused = place.run("build", "--digestfile", pushed, place.context(text), code=2)
    assert "--digestfile needs --push" in refused.stderr
    assert told.read_text() == done.stdout.splitlines()[-1]
    assert place.config("team/full:1")["config"]["Labels"]["a"] == "b c"


def test_an_unchanged_context_is_built_without_network_in_a_moment(place: Place) -> None:
    context = place.context("FROM base:1\nRUN sleep 2\nCOPY busybox /copy\n")
    first = place.run("build", "-t", "team/same:1", context)
    offline = replace(place, prefix=("unshare", "--net"))
    began = time.monotonic()
    again = offline.run("build", "-t", "team/same:1", context)
    assert time.monotonic() - began < 3
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]


def test_a_changed_file_is_built_anew(place: Place) -> None:
    context = place.context("FROM base:1\nCOPY file /file\n")
    ids = set()
    for content in ("a", "b"):
        (context / "file").write_text(content)
        ids.add(place.run("build", "-t", "team/changed:1", context).stdout.splitlines()[-1])
    assert len(ids) == 2


def test_a_newer_base_in_the_registry_is_used(place: Place) -> None:
    text = "FROM moving:1\nRUN cat /which\n"
    here, elsewhere = fresh(place, "here"), fresh(place, "elsewhere")
    for word in ("old", "new"):
        elsewhere.build("moving:1", f"FROM base:1\nRUN echo {word}-base > /which\n", "--push")
        assert f"{word}-base" in here.build("team/on-top:1", text).stdout


def test_a_step_that_fails_is_an_error_with_its_output(place: Place) -> None:
    context = place.context("FROM base:1\nRUN echo the reason; exit 3\n")
    done = place.run("build", context, code=1)
    assert "the reason" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: the build of ")


def test_a_missing_dockerfile_is_named(place: Place) -> None:
    done = place.run("build", "-f", "/nowhere/Dockerfile", place.directory, code=1)
    assert done.stderr == "error: there is no /nowhere/Dockerfile: name the Dockerfile with -f\n"


def test_every_tag_is_pushed(place: Place) -> None:
    for tag in ("1", "2"):
        place.build(f"team/tags:{tag}", f"FROM base:1\nLABEL tag={tag}\n")
    done = place.run("push", "--all-tags", "team/tags")
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        f"{place.registry}/team/tags:{tag}" for tag in ("1", "2")
    ]


def test_a_push_without_credentials_says_how_to_log_in(place: Place) -> None:
    empty = place.directory / "empty.json"
    empty.write_text('{"auths": {}}')
    done = replace(place, auth=empty).run("push", "base:1", code=1)
    assert f"log in with `skopeo login {place.registry}`" in done.stderr and done.stderr.count("\n") == 1


def test_a_push_to_a_registry_that_is_down_says_so(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = f"127.0.0.1:{probe.getsockname()[1]}"
    done = replace(place, registry=free).run("push", "base:1", code=1)
    assert f"the registry {free} does not answer" in done.stderr and done.stderr.count("\n") == 1


def test_what_was_not_built_cannot_be_pushed(place: Place) -> None:
    done = place.run("push", "never/built:1", code=1)
    assert "docker.io/never/built:1 was not built here" in done.stderr


def test_nothing_to_compare_with_is_no_clean_scan(place: Place) -> None:
    done = place.run("scan", "base:1", "--format", "json", code=2)
    assert "nothing to compare with" in done.stderr
    assert json.loads(done.stdout)["Metadata"]["Unchecked"]
    place.run("scan", "base:1", "--allow-unchecked")


def test_an_archive_is_scanned_like_an_image(place: Place) -> None:
    archive = place.directory / "base.tar"
    place.copy("library/base:1", f"docker-archive:{archive}")
    assert "nothing to compare with" in place.run("scan", "--archive", archive, code=2).stderr


@pytest.fixture(scope="module")
def user(place: Place) -> Place:
    """A normal user with subordinate ids, in a mount namespace of its own where it exists."""
    if not shutil.which("newuidmap") or not shutil.which("setpriv"):
        pytest.skip("needs uidmap and setpriv")
    made = fresh(place, "user")
    files = made.directory / "etc"
    files.mkdir()
    (files / "passwd").write_text(
        f"{Path('/etc/passwd').read_text()}seatest:x:{USER}:{USER}::{made.directory}:/bin/sh\n"
    )
    for name in ("subuid", "subgid"):
        (files / name).write_text(f"seatest:{SUBORDINATE}:65536\n")
    python, hidden = Path(sys.base_prefix), Path("/root")
    steps = ["set -e", *(f"mount --bind {files}/{name} /etc/{name}" for name in ("passwd", "subuid", "subgid"))]
    if python.is_relative_to(hidden):
        aside = made.directory / "python"
        aside.mkdir()
        steps += [
            f"mount --bind {python} {aside}",
            f"mount -t tmpfs -o mode=755 none {hidden} && mkdir -p {python}",
            f"mount --move {aside} {python}",
        ]
    steps.append(f'exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@"')
    os.chown(made.directory, USER, USER)
    prefix = ("unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(steps), "sh")
    return replace(made, prefix=prefix, more={"PYTHONDONTWRITEBYTECODE": "1"})


def test_a_normal_user_builds_and_pushes(user: Place) -> None:
    user.build("user/app:1", "FROM base:1\nRUN touch /a && chown 7:8 /a\n", "--push")
    assert user.config("user/app:1")["rootfs"]["diff_ids"]


# Out of the Debian archive

_TRY_POSTGRES = """FROM seatrial/postgres:15
RUN set -e; export POSTGRES_PASSWORD="it's" POSTGRES_USER=tester POSTGRES_DB='a"b'; \\
    docker-entrypoint.sh -p 5498 & server=$!; \\
    for i in $(seq 100); do pg_isready -q -h 127.0.0.1 -p 5498 && break; sleep 0.1; done; \\
    PGPASSWORD="it's" psql -h 127.0.0.1 -p 5498 -U tester 'a"b' -Atc "select 'as ' || current_user"; \\
    ! PGPASSWORD=wrong psql -h 127.0.0.1 -p 5498 -U tester 'a"b' -c 'select 1'; \\
    kill -INT $server; wait $server; echo ended with $?; stat -c 'owner %u' $PGDATA/PG_VERSION
"""
_TRY_PYTHON = """FROM python:3.11-slim-bookworm
RUN pip --version && python -m venv /venv && /venv/bin/python -c 'import sys, ssl; print("in", sys.prefix)'
RUN pip install --no-index --quiet /usr/share/python-wheels/setuptools-*.whl --target /x && ls /usr/local/bin/python
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap")
def test_base_images_out_of_the_debian_archive(place: Place, user: Place) -> None:
    maker = fresh(place, "bootstrap")
    began = time.monotonic()
    maker.run("bootstrap")
    print(f"\nbootstrap: {time.monotonic() - began:.1f} s the first time")
    began = time.monotonic()
    again = maker.run("bootstrap").stdout.splitlines()
    assert time.monotonic() - began < 2 and all(line.endswith(f"is in {place.registry}") for line in again)
    offline = replace(maker, prefix=("unshare", "--net"), more={"SEATRIAL_REGISTRY": ""})
    assert len(offline.run("bootstrap").stdout.splitlines()) == 3

    assert "in /venv" in maker.build("try/python:1", _TRY_PYTHON).stdout
    tried = maker.build("try/postgres:1", _TRY_POSTGRES).stdout
    assert "as tester" in tried and "ended with 0" in tried and "owner 999" in tried
    assert "tansu" in maker.build("try/broker:1", "FROM seatrial/broker:1\nRUN tansu --help\n").stdout
    labels = place.config("library/python:3.11-slim-bookworm")["config"]["Labels"]
    assert "Debian archive" in labels["org.opencontainers.image.vendor"]
    assert "bookworm-security of 20" in labels["dev.seatrial.built-from"]

    scanned = json.loads(maker.run("scan", "seatrial/postgres:15", "--format", "json").stdout)
    assert scanned["Metadata"]["DataSources"][0]["Name"] == "Debian bookworm-security"

    # The same bytes, whoever makes them and carries them to a registry.
    with serving(place.directory.parent / "another-registry") as (registry, auth):
        done = replace(user, registry=registry, auth=auth).run("bootstrap", "python:3.11-slim-bookworm")
        assert f"pushed to {registry}" in done.stdout
    made = [next((one.cache / "images" / "bootstrap").glob("python-*.tar")).read_bytes() for one in (maker, user)]
    assert made[0] == made[1]
