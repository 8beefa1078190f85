"""Images against other people's tools: Debian's registry serves, skopeo and buildah push, buildah and the kernel judge.

An image is built by buildah (whiteouts, opaque directories and hard links as it writes them), and one by hand (as only
a specification would); both are pulled through the command line, and the tree that an overlay mount of our layers
shows must equal the one that buildah mounts.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = ("docker-registry", "skopeo", "buildah")
BUSYBOX = Path("/bin/busybox")
USER, PASSWORD = "deployer", "correct horse"
SHIFT = 100_000

pytestmark = [
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in TOOLS) or not BUSYBOX.exists(),
        reason=f"needs {', '.join(TOOLS)} and busybox-static from the distribution",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="overlay mounts and buildah's mounts need root"),
]


@dataclass(frozen=True)
class Registry:
    host: str
    directory: Path


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    """Not pytest's own directory, which nobody but us may enter: a user namespace has to."""
    directory = Path(tempfile.mkdtemp(prefix="seatrial-images-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def registry(work: Path) -> Iterator[Registry]:
    with serving(work / "registry") as running:
        yield running


@contextlib.contextmanager
def serving(directory: Path, auth: str = "") -> Iterator[Registry]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    directory.mkdir()
    config = directory / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{auth}"
    )
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        wait_for(port)
        yield Registry(f"127.0.0.1:{port}", directory)
    finally:
        server.terminate()
        server.wait(10)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline, "the registry did not start"
        time.sleep(0.02)


# Other people's tools


class Buildah:
    def __init__(self, directory: Path) -> None:
        self._options = [f"--root={directory}/root", f"--runroot={directory}/run", "--storage-driver=overlay"]

    def __call__(self, verb: str, *arguments: str | Path) -> str:
        return run("buildah", *self._options, verb, *arguments)

    @contextlib.contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        container = self("from", "--pull-never", image)
        try:
            yield Path(self("mount", container))
        finally:
            self("umount", container)
            self("rm", container)


@pytest.fixture(scope="module")
def buildah(work: Path) -> Iterator[Buildah]:
    tool = Buildah(work / "buildah")
    yield tool
    tool("rm", "--all")
    tool("rmi", "--all", "--force")
    for mount in Path("/proc/self/mounts").read_text().splitlines():
        if str(work) in mount.split()[1]:
            subprocess.run(["umount", mount.split()[1]], check=False)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def seatrial(data: Path, *arguments: str | Path, fails: bool = False) -> str:
    command = [sys.executable, "-m", "seatrial.cli.main", "image", arguments[0], "--data-dir", data, *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode != 0) == fails, f"{arguments}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + (done.stderr if fails else "")


@pytest.fixture(scope="module")
def built(registry: Registry, buildah: Buildah) -> str:
    """Three layers by buildah: a base, deletions and replacements in it, additions in described directories."""
    container = buildah("from", "scratch")
    tree = Path(buildah("mount", container))
    for directory in ("bin", "etc/keep", "etc/emptied", "etc/replaced", "var/deep/er", "tmp"):
        (tree / directory).mkdir(parents=True)
    (tree / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, tree / "bin/busybox")
    (tree / "bin/busybox").chmod(0o4755)
    for applet in ("sh", "cat", "ls"):
        (tree / "bin" / applet).symlink_to("busybox")
    os.link(tree / "bin/busybox", tree / "bin/linked")
    for name in ("etc/keep/a", "etc/emptied/b", "etc/replaced/c", "etc/gone", "var/deep/er/d"):
        (tree / name).write_text(name)
    os.chown(tree / "etc/keep/a", 1000, 1001)
    os.setxattr(tree / "etc/keep/a", "user.note", b"kept")
    os.mkfifo(tree / "var/pipe")
    buildah("umount", container)
    buildah("commit", "-q", container, "base")
    buildah("rm", container)

    container = buildah("from", "--pull-never", "base")
    tree = Path(buildah("mount", container))
    (tree / "etc/gone").unlink()
    shutil.rmtree(tree / "etc/emptied")
    shutil.rmtree(tree / "etc/replaced")
    (tree / "etc/replaced").mkdir()
    (tree / "etc/replaced/new").write_text("new")
    (tree / "etc/emptied").write_text("a file now")
    (tree / "var/deep/er/d").write_text("changed")
    buildah("umount", container)
    buildah("config", "--cmd", "/bin/sh", "--env", "A=b", "--user", "1000", container)
    buildah("commit", "-q", container, "built")
    buildah("rm", container)
    name = f"{registry.host}/team/built:1"
    buildah("push", "-q", "--tls-verify=false", "built", f"docker://{name}")
    return name


@pytest.fixture(scope="module")
def handmade(registry: Registry, work: Path) -> str:
    """What builders seldom write but the specification allows: marks in every order, directories left out."""
    layout = work / "layout"
    layers = [
        layer(("bin/busybox", BUSYBOX.read_bytes(), {"mode": 0o755}), ("tmp", None, {"mode": 0o1777}),
              ("opt/a/old", b"old", {}), ("opt/b/old", b"old", {}), ("opt/c/old", b"old", {}), ("opt/gone", b"x", {}),
              ("srv/owned", None, {"uid": 33, "gid": 34, "mode": 0o2750}), ("srv/owned/f", b"f", {"uid": 33})),
        layer(("opt/a/new", b"new", {}), ("opt/a/.wh..wh..opq", b"", {}), ("opt/b/.wh..wh..opq", b"", {}),
              ("opt/b/new", b"new", {}), ("opt/.wh.gone", b"", {}), ("opt/.wh.c", b"", {}),
              ("opt/hard1", b"linked", {}), ("opt/hard2", b"", {"type": tarfile.LNKTYPE, "linkname": "opt/hard1"})),
        layer(("tmp/in-tmp", b"1", {}), ("srv/owned/sub/g", b"g", {}), ("opt/c/back", b"back", {})),
    ]  # fmt: skip
    write_layout(layout, layers)
    name = f"{registry.host}/team/handmade:1"
    run("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{name}")
    return name


def layer(*entries: tuple[str, bytes | None, dict[str, Any]]) -> bytes:
    """A layer of files; content None: a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content, changes in entries:
            info = tarfile.TarInfo(name)
            info.mtime = 1_700_000_000
            info.size = len(content or b"")
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


def write_layout(directory: Path, layers: list[bytes]) -> None:
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": put(json.dumps(config).encode(), "config.v1+json"),
        "layers": [put(gzip.compress(one), "layer.v1.tar+gzip") for one in layers],
    }
    entry = put(json.dumps(manifest).encode(), "manifest.v1+json")
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


# What a tree looks like


def described(root: Path) -> dict[str, Any]:
    """Everything that a container could notice of each file."""
    return {str(path.relative_to(root)): description(path) for path in sorted([root, *root.rglob("*")])}


def description(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    content = ""
    if stat.S_ISREG(found.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)
    links = 0 if stat.S_ISDIR(found.st_mode) else found.st_nlink
    xattrs = sorted(name for name in os.listxattr(path, follow_symlinks=False) if name.startswith("user."))
    return (stat.filemode(found.st_mode), found.st_uid, found.st_gid, found.st_rdev, links, content, xattrs)


@contextlib.contextmanager
def overlay(data: Path, name: str) -> Iterator[Path]:
    """Our layers, mounted by their short names as the node will."""
    lower = lower_names(data, name)
    with tempfile.TemporaryDirectory() as scratch:
        upper, scrap, target = (Path(scratch) / part for part in ("upper", "work", "mnt"))
        for directory in (upper, scrap, target):
            directory.mkdir(0o755)
        top = (data / "images/layers" / lower[0]).stat()
        upper.chmod(stat.S_IMODE(top.st_mode))
        options = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={scrap}"
        run("mount", "-t", "overlay", "overlay", "-o", options, target, cwd=data / "images/layers")
        try:
            yield target
        finally:
            run("umount", target)


LOWER = """
import asyncio, sys
from pathlib import Path
from seatrial.base.clock import SystemClock
from seatrial.cluster.node.images.store import ImageStore
store = ImageStore(Path(sys.argv[1]), SystemClock())
print(" ".join(path.name for path in store.lower_directories(store.get(sys.argv[2]))))
"""


def lower_names(data: Path, name: str) -> list[str]:
    return run(sys.executable, "-c", LOWER, data / "images", name).split()


def judged_equal(ours: Path, theirs: Path) -> None:
    mine, yours = described(ours), described(theirs)
    assert mine.keys() == yours.keys()
    del mine["."]  # a root that no layer describes is 0555 for buildah, 0755 for us
    differing = {name: (mine[name], yours[name]) for name in mine if mine[name] != yours[name]}
    assert not differing


# The tests


def test_what_buildah_built_looks_the_same_through_our_layers(
    work: Path, registry: Registry, buildah: Buildah, built: str
) -> None:
    data = work / "data-built"
    said = seatrial(data, "pull", built)
    assert f"{registry.host}/team/built:1: " in said
    with overlay(data, built) as ours, buildah.mounted("built") as theirs:
        judged_equal(ours, theirs)
        assert run("chroot", ours, "/bin/cat", "/etc/replaced/new") == "new"


def test_what_was_made_by_hand_looks_as_the_specification_says(work: Path, buildah: Buildah, handmade: str) -> None:
    data = work / "data-handmade"
    seatrial(data, "pull", handmade)
    buildah("pull", "-q", "--tls-verify=false", f"docker://{handmade}")
    with overlay(data, handmade) as ours, buildah.mounted(handmade) as theirs:
        mine, yours = described(ours), described(theirs)
        assert mine.keys() == yours.keys()
        # A layer that adds a file to a directory without describing it: buildah makes the directory anew.
        inherited = {"tmp": "drwxrwxrwt", "srv/owned": "drwxr-s---"}
        assert {name: mine[name][0] for name in inherited} == inherited
        assert (mine["srv/owned"][1], mine["srv/owned"][2]) == (33, 34)
        assert {name for name in mine if mine[name] != yours[name]} <= {*inherited, "."}
        assert sorted(os.listdir(ours / "opt")) == ["a", "b", "c", "hard1", "hard2"]
        assert [os.listdir(ours / "opt" / name) for name in "abc"] == [["new"], ["new"], ["back"]]
        assert mine["opt/hard1"][4] == 2


def test_a_digest_names_the_same_image_as_its_tag(work: Path, registry: Registry, built: str) -> None:
    digest = run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{built}")
    data = work / "data-digest"
    pinned = f"{registry.host}/team/built@{digest}"
    first = seatrial(data, "pull", "-q", pinned)
    assert seatrial(data, "pull", "-q", built) == first
    (image,) = json.loads(seatrial(data, "list", "-o", "json"))["images"]
    assert (image["repoTags"], image["repoDigests"]) == ([built], [pinned])
    assert image["id"] == first.strip()


def test_the_archives_of_skopeo_are_the_same_image(work: Path, registry: Registry, built: str) -> None:
    data = work / "data-archives"
    pulled = seatrial(data, "pull", "-q", built).strip()
    for kind in ("docker-archive", "oci-archive"):
        path = work / f"{kind}.tar"
        source = f"docker://{built}"
        run("skopeo", "copy", "-q", "--src-tls-verify=false", source, f"{kind}:{path}:example.com/app:{kind[:3]}")
        assert seatrial(data, "load", path) == f"loaded example.com/app:{kind[:3]}\n"
    (image,) = json.loads(seatrial(data, "list", "-o", "json"))["images"]
    assert image["id"] == pulled
    assert image["repoTags"] == [built, "example.com/app:doc", "example.com/app:oci"]


def test_layers_compressed_with_zstd_are_pulled(work: Path, registry: Registry, built: str) -> None:
    name = f"{registry.host}/team/zstd:1"
    run(
        *("skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *("--dest-compress-format", "zstd", "--format", "oci", f"docker://{built}", f"oci:{work}/zstd"),
    )
    run("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{work}/zstd", f"docker://{name}")
    data = work / "data-zstd"
    seatrial(data, "pull", name)
    (image,) = json.loads(seatrial(data, "list", "-o", "json"))["images"]
    blob = data / "images/blobs/sha256" / image["layers"][0]["digest"].removeprefix("sha256:")
    assert blob.read_bytes()[:4] in (b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\x00")


def test_a_registry_that_wants_a_password_gets_it_from_an_authfile(work: Path, built: str) -> None:
    directory = work / "private"
    auth = f"auth: {{htpasswd: {{realm: private, path: {work}/htpasswd}}}}\n"
    hashed = run("perl", "-e", f"print crypt('{PASSWORD}', '$2b$05$abcdefghijklmnopqrstuu')")
    (work / "htpasswd").write_text(f"{USER}:{hashed}\n")
    with serving(directory, auth) as private:
        name = f"{private.host}/team/secret:1"
        credentials = ["--src-tls-verify=false", "--dest-tls-verify=false", f"--dest-creds={USER}:{PASSWORD}"]
        run("skopeo", "copy", "-q", *credentials, f"docker://{built}", f"docker://{name}")
        data = work / "data-private"
        assert "give credentials (imagePullSecrets)" in seatrial(data, "pull", name, fails=True)
        for user, password in ((USER, "wrong"), (USER, PASSWORD)):
            packed = base64.b64encode(f"{user}:{password}".encode()).decode()
            authfile = work / f"auth-{password[:5]}.json"
            authfile.write_text(json.dumps({"auths": {private.host: {"auth": packed}}}))
        wrong = seatrial(data, "pull", "--authfile", work / "auth-wrong.json", name, fails=True)
        assert f"refuses user '{USER}'" in wrong
        seatrial(data, "pull", "--authfile", work / "auth-corre.json", name)


def test_the_list_reads_like_other_tools(work: Path, registry: Registry, built: str, handmade: str) -> None:
    data = work / "data-list"
    seatrial(data, "pull", "-q", built, handmade)
    lines = seatrial(data, "list").splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert [line.split()[:2] for line in lines[1:]] == [
        [f"{registry.host}/team/built", "1"],
        [f"{registry.host}/team/handmade", "1"],
    ]
    assert "linux/amd64" in seatrial(data, "list", "-o", "wide")
    assert seatrial(data, "list", "-o", "name", f"{registry.host}/team/built").split() == [built]
    assert seatrial(data, "list", "-o", "yaml").startswith("images:\n- id: sha256:")


def test_what_is_removed_is_gone_from_the_disk(work: Path, built: str, handmade: str) -> None:
    data = work / "data-rm"
    seatrial(data, "pull", "-q", built, handmade)
    assert seatrial(data, "rm", built).startswith(f"untagged {built}\n")
    assert seatrial(data, "list", "-o", "name").split() == [handmade]
    assert "no image" in seatrial(data, "rm", built, fails=True)
    seatrial(data, "rm", handmade)
    for part in ("layers", "blobs/sha256", "ingest", "unpacking"):
        assert os.listdir(data / "images" / part) == []


def test_errors_say_what_to_do(work: Path, registry: Registry, built: str) -> None:
    data = work / "data-errors"
    assert "has no tag or digest 'nope'" in seatrial(data, "pull", f"{registry.host}/team/built:nope", fails=True)
    assert "cannot be reached" in seatrial(data, "pull", "127.0.0.1:9/a", fails=True)
    assert "must be lower case" in seatrial(data, "pull", "Nope", fails=True)
    assert "no such file" in seatrial(data, "load", work / "nothing.tar", fails=True)


# Without root: a user namespace with a range of ids

IN_NAMESPACE = """
import asyncio, ctypes, json, os, subprocess, sys
from pathlib import Path
from seatrial.base.clock import SystemClock
from seatrial.cluster.node.images import reference
from seatrial.cluster.node.images.store import ImageStore

NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000
assert ctypes.CDLL(None).unshare(NEW_USER | NEW_MOUNTS) == 0
print("unshared", flush=True)
sys.stdin.readline()
os.setgroups([]); os.setgid(0); os.setuid(0)
data, name = Path(sys.argv[1]), reference.parse(sys.argv[2])

async def pull():
    async with ImageStore(data / "images", SystemClock()) as store:
        image = (await store.pull(name)).image
        return [path.name for path in store.lower_directories(image)]

lower = asyncio.run(pull())
for part in ("upper", "work", "mnt"):
    (data / part).mkdir(0o755)
options = f"userxattr,lowerdir={':'.join(lower)},upperdir={data}/upper,workdir={data}/work"
command = ["mount", "-t", "overlay", "overlay", "-o", options, data / "mnt"]
subprocess.run(command, cwd=data / "images/layers", check=True)
found = {}
for directory, names, files in os.walk(data / "mnt"):
    for entry in [*names, *files]:
        path = os.path.join(directory, entry)
        status = os.lstat(path)
        found[os.path.relpath(path, data / "mnt")] = [status.st_mode, status.st_uid, status.st_gid, status.st_size]
subprocess.run(["chroot", data / "mnt", "/bin/busybox", "rm", "-r", "/opt"], check=True)
print(json.dumps({"found": found, "left": os.path.exists(data / "mnt/opt")}))
"""


def test_a_user_namespace_sees_the_same_tree(work: Path, handmade: str) -> None:
    data, root_data = work / "data-namespace", work / "data-root"
    data.mkdir()
    command = [sys.executable, "-c", IN_NAMESPACE, str(data), handmade]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "unshared\n"
    for kind in ("uid", "gid"):
        # Our own root may read the interpreter; everybody else is somebody else outside.
        Path(f"/proc/{child.pid}/{kind}_map").write_text(f"0 0 1\n1 {SHIFT} 65535\n")
    output, complaint = child.communicate("go\n", timeout=60)
    assert child.returncode == 0, complaint
    answer = json.loads(output)
    seatrial(root_data, "pull", "-q", handmade)
    with overlay(root_data, handmade) as ours:
        expected = {}
        for path in ours.rglob("*"):
            found = path.lstat()
            size = answer["found"][str(path.relative_to(ours))][3] if path.is_dir() else found.st_size
            expected[str(path.relative_to(ours))] = [found.st_mode, found.st_uid, found.st_gid, size]
    assert answer["found"] == expected
    assert not answer["left"]
