"""The store: names, archives, removal, garbage, holds, kills, and the manager that the kubelet asks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tarfile
import threading
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.unit.cluster.node.images.making import (
    BuiltImage,
    archive,
    descriptor,
    digest_of,
    entry,
    rules,
    simple_image,
)

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.cluster.node.images import layers, puller, reference, unpack
from seatrial.cluster.node.images.errors import ImageInUse, ImageNotFound, NoSuchImage, StoreError
from seatrial.cluster.node.images.garbage import Thresholds
from seatrial.cluster.node.images.loader import BadArchive
from seatrial.cluster.node.images.manager import ImageManager
from seatrial.cluster.node.images.policy import NeverPull, PullBackOff
from seatrial.cluster.node.images.store import ImageStore

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from tests.unit.cluster.node.images.conftest import FakeRegistry

    from seatrial.cluster.node.images.index import Image
    from seatrial.cluster.node.images.reference import Reference
    from seatrial.cluster.node.images.unpack import Rules, Unpacked

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def oci_archive(path: Path, image: BuiltImage, annotations: dict[str, str] | None = None) -> Path:
    index = {
        "schemaVersion": 2,
        "manifests": [descriptor(image.manifest, MANIFEST, annotations=annotations or {})],
    }
    blobs = {**image.blobs, image.digest: image.manifest}
    files = [entry(f"blobs/sha256/{digest[7:]}", blob) for digest, blob in blobs.items()]
    path.write_bytes(archive([*files, entry("index.json", orjson.dumps(index)), entry("oci-layout", b"{}")]))
    return path


def docker_archive(path: Path, image: BuiltImage, tags: list[str]) -> Path:
    """As `docker save` wrote it for long: layers in folders, equal ones as links."""
    config = orjson.loads(image.manifest)["config"]["digest"]
    names = [f"{number}/layer.tar" for number in range(len(image.layers))]
    manifest = [{"Config": f"{config[7:]}.json", "RepoTags": tags, "Layers": names}]
    files = [entry(f"{config[7:]}.json", image.blobs[config])]
    for number, (name, layer) in enumerate(zip(names, image.layers, strict=True)):
        files.append(entry(f"files/{number}.tar", layer))
        files.append(entry(name, type=tarfile.SYMTYPE, linkname=f"../files/{number}.tar"))
    path.write_bytes(archive([*files, entry("manifest.json", orjson.dumps(manifest))]))
    return path


async def loaded(store: ImageStore, tmp_path: Path, text: str = "hello", name: str = "app:1") -> Image:
    path = oci_archive(tmp_path / f"{text}.tar", simple_image(text))
    return (await store.load(path, reference.parse(name)))[0].image


async def only(store: ImageStore, path: Path, name: Reference | None = None) -> Image:
    (loaded,) = await store.load(path, name)
    return loaded.image


def contents(directory: Path) -> set[str]:
    """What is kept for good, and what somebody left unfinished."""
    parts = ("blobs/sha256", "layers", "ingest", "unpacking")
    return {f"{part}/{name}" for part in parts for name in os.listdir(directory / part)} | {
        name for name in os.listdir(directory) if name.startswith("load-")
    }


# Archives


async def test_an_oci_archive_is_loaded_under_the_name_it_carries(store: ImageStore, tmp_path: Path) -> None:
    path = oci_archive(tmp_path / "a.tar", simple_image(), {"io.containerd.image.name": "docker.io/team/app:2"})
    image = await only(store, path)
    assert store.get("team/app:2") == image
    assert (store.lower_directories(image)[0] / "tmp/said").read_bytes() == b"hello"


async def test_a_bare_tag_in_an_archive_is_no_name(store: ImageStore, tmp_path: Path) -> None:
    path = oci_archive(tmp_path / "a.tar", simple_image(), {"org.opencontainers.image.ref.name": "latest"})
    image = await only(store, path)
    assert image.tags == ()


async def test_a_docker_archive_is_loaded_with_its_tags(store: ImageStore, tmp_path: Path) -> None:
    image = await only(store, docker_archive(tmp_path / "a.tar", simple_image(), ["app:1", "localhost:5000/b:2"]))
    assert image.tags == ("docker.io/library/app:1", "localhost:5000/b:2")
    assert store.get("localhost:5000/b:2") == image
    assert (store.lower_directories(image)[0] / "tmp/said").exists()


async def test_both_archives_of_an_image_are_one_image(store: ImageStore, tmp_path: Path) -> None:
    first = await loaded(store, tmp_path)
    second = await only(store, docker_archive(tmp_path / "d.tar", simple_image(), ["other:1"]))
    assert second.id == first.id
    assert second.tags == ("docker.io/library/app:1", "docker.io/library/other:1")


async def test_an_oci_layout_directory_is_loaded(store: ImageStore, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    with tarfile.open(oci_archive(tmp_path / "a.tar", simple_image())) as tar:
        tar.extractall(layout, filter="data")
    image = await only(store, layout, reference.parse("x:1"))
    assert image.tags == ("docker.io/library/x:1",)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ([entry("a")], "neither manifest.json nor index.json"),
        ([entry("manifest.json", b"{}")], "expected a list"),
        ([entry("manifest.json", b'[{"Layers": []}]')], "needs Config and Layers"),
        ([entry("manifest.json", b'[{"Config": "../../etc/passwd", "Layers": []}]')], "leads out"),
        ([entry("manifest.json", b'[{"Config": "x", "Layers": []}]')], "missing in the archive"),
        (
            [
                entry("manifest.json", b'[{"Config": "x", "Layers": []}]'),
                entry("x", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            ],
            "leads out",
        ),
        ([entry("index.json", b"nope")], "not JSON"),
        ([entry("index.json", b'{"manifests": []}')], "no image for"),
    ],
)
async def test_an_archive_that_is_none_is_refused(
    store: ImageStore, tmp_path: Path, files: list[tuple[tarfile.TarInfo, bytes]], complaint: str
) -> None:
    (tmp_path / "a.tar").write_bytes(archive(files))
    with pytest.raises(Exception, match=complaint):
        await store.load(tmp_path / "a.tar")
    assert contents(tmp_path / "images") == set()


async def test_a_missing_archive_is_named(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="no such file"):
        await store.load(tmp_path / "none.tar")


# Names


async def test_an_image_is_found_by_name_digest_id_and_beginning_of_its_id(
    store: ImageStore, registry: FakeRegistry
) -> None:
    top = registry.add("1", simple_image())
    image = (await store.pull(reference.parse(f"{registry.host}/a/b:1"))).image
    for text in (f"{registry.host}/a/b:1", f"{registry.host}/a/b@{top}", image.id, image.id[7:], image.id[7:19]):
        assert store.get(text) == image
    for text in ("a/b:1", f"{registry.host}/a/b:2", "sha256:" + "0" * 64, "abcdef"):
        with pytest.raises(NoSuchImage):
            store.get(text)


async def test_another_process_sees_what_was_loaded(store: ImageStore, tmp_path: Path) -> None:
    other = ImageStore(tmp_path / "images", SystemClock())
    assert other.images() == []
    image = await loaded(store, tmp_path)
    assert other.images() == [image]


def test_a_broken_index_is_explained(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, SystemClock())
    for content in (b"{", b"[]", b'{"version": 9, "images": []}', b'{"version": 1, "images": [{}]}'):
        (tmp_path / "index.json").write_bytes(content)
        with pytest.raises(StoreError, match=r"index\.json"):
            store.images()


# Removing


async def test_the_last_name_takes_the_image_along(store: ImageStore, tmp_path: Path) -> None:
    await loaded(store, tmp_path, name="app:1")
    image = await loaded(store, tmp_path, name="app:2")
    first = await store.remove("app:1")
    assert (first.names, first.image) == (("docker.io/library/app:1",), "")
    second = await store.remove("app:2")
    assert (second.names, second.image) == (("docker.io/library/app:2",), image.id)
    assert contents(tmp_path / "images") == set()


async def test_layers_that_another_image_needs_stay(store: ImageStore, tmp_path: Path) -> None:
    await loaded(store, tmp_path, "one", "one:1")
    kept = await loaded(store, tmp_path, "two", "two:1")
    await store.remove("one:1")
    assert all(directory.is_dir() for directory in store.lower_directories(kept))
    assert len(list((tmp_path / "images/layers").iterdir())) == 2


async def test_a_held_image_stays_and_its_use_is_noted(store: ImageStore, tmp_path: Path) -> None:
    image = await loaded(store, tmp_path)
    os.utime(tmp_path / "images/blobs/sha256" / image.id[7:], (5, 5))
    other = ImageStore(tmp_path / "images", SystemClock())
    with store.hold(image):
        assert other.last_used(image) > 1_000_000
        with pytest.raises(ImageInUse, match="delete its pod first"):
            await other.remove("app:1")
    await other.remove("app:1")
    with pytest.raises(NoSuchImage):
        store.hold(image)


async def test_garbage_goes_by_age_and_never_in_use(store: ImageStore, tmp_path: Path) -> None:
    old, used = await loaded(store, tmp_path, "one", "one:1"), await loaded(store, tmp_path, "two", "two:1")
    clock = ManualClock(old.pulled + 1000)
    later = ImageStore(tmp_path / "images", clock, rules=rules())
    with store.hold(used):
        gone = await later.collect(thresholds=Thresholds(high_percent=101, max_age=500))
    assert [image.id for image in gone] == [old.id]
    assert [image.id for image in store.images()] == [used.id]


async def test_a_full_disk_frees_the_longest_unused(store: ImageStore, tmp_path: Path) -> None:
    image = await loaded(store, tmp_path)
    later = ImageStore(tmp_path / "images", ManualClock(image.pulled + 1000), rules=rules())
    assert await later.collect(in_use={image.id}, thresholds=Thresholds(0, 0)) == []
    assert [gone.id for gone in await later.collect(thresholds=Thresholds(0, 0))] == [image.id]


async def test_leftovers_of_killed_processes_are_swept(store: ImageStore, tmp_path: Path) -> None:
    image = await loaded(store, tmp_path)
    before = contents(tmp_path / "images")
    root = tmp_path / "images"
    (root / "ingest/sha256-00").write_bytes(b"part")
    for left in ("unpacking/abc/usr/lib", "unpacking/removed-abc/x", "load-xyz/blobs", "layers/nobodys"):
        (root / left).mkdir(parents=True)
    (root / "blobs/sha256" / ("0" * 64)).write_bytes(b"")
    assert await store.sweep()
    assert contents(root) == before
    assert store.is_complete(image)


async def test_a_sweep_leaves_alone_what_somebody_is_adding(
    store: ImageStore, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.add("1", simple_image())
    other = ImageStore(tmp_path / "images", SystemClock())
    swept: list[bool] = []

    def sweep_meanwhile(request: web.Request) -> None:
        if "blobs" in request.path:
            swept.append(other.sweep_now())

    registry.interfere = sweep_meanwhile
    await store.pull(reference.parse(f"{registry.host}/a:1"))
    assert swept == [False] * 3
    assert await other.sweep()
    assert store.is_complete(store.images()[0])


# Unpacking elsewhere


async def test_what_was_pulled_without_root_is_unpacked_later(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add("1", simple_image())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    packed = ImageStore(tmp_path / "images", SystemClock())
    monkeypatch.undo()
    async with packed:
        image = (await packed.pull(reference.parse(f"{registry.host}/a:1"))).image
    assert os.listdir(tmp_path / "images/layers") == []
    async with ImageStore(tmp_path / "images", SystemClock(), rules=rules()) as store:
        await store.ensure_unpacked(image)
        assert (store.lower_directories(image)[0] / "tmp/said").exists()


async def test_a_large_layer_is_unpacked_by_a_process_of_its_own(store: ImageStore, tmp_path: Path) -> None:
    image = BuiltImage([archive([entry("big", os.urandom(1_200_000)), entry("a/b", b"x")])])
    done = await only(store, oci_archive(tmp_path / "a.tar", image), reference.parse("big:1"))
    assert (store.lower_directories(done)[0] / "big").stat().st_size == 1_200_000


async def test_it_does_not_matter_who_reaps_that_process(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node is pid 1 of its namespace: it reaps every child there is, often before we ask for ours."""

    class Stolen(subprocess.Popen[bytes]):
        def communicate(self, *arguments: Any, **named: Any) -> tuple[bytes, bytes]:
            os.waitid(os.P_PID, self.pid, os.WEXITED)
            return super().communicate(*arguments, **named)

    monkeypatch.setattr(subprocess, "Popen", Stolen)
    image = BuiltImage([archive([entry("big", os.urandom(1_200_000))])])
    done = await only(store, oci_archive(tmp_path / "a.tar", image), reference.parse("big:1"))
    assert (store.lower_directories(done)[0] / "big").stat().st_size == 1_200_000


async def test_a_large_hostile_layer_is_refused_by_it(store: ImageStore, tmp_path: Path) -> None:
    image = BuiltImage([archive([entry("big", os.urandom(1_200_000)), entry("../x", b"x")])])
    with pytest.raises(Exception, match="leads out of the layer"):
        await store.load(oci_archive(tmp_path / "a.tar", image), reference.parse("big:1"))


async def test_a_cancelled_unpacking_keeps_its_lock_until_it_has_stopped(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, go_on = threading.Event(), threading.Event()
    real = unpack.unpack

    def slow(blob: Path, target: Path, given: Rules) -> Unpacked:
        running.set()
        assert go_on.wait(10)
        return real(blob, target, given)

    monkeypatch.setattr("seatrial.cluster.node.images.layers.unpack", slow)
    path = oci_archive(tmp_path / "a.tar", simple_image())
    first = asyncio.create_task(store.load(path, reference.parse("app:1")))
    await asyncio.to_thread(running.wait)
    first.cancel()
    second = asyncio.create_task(store.load(path, reference.parse("app:1")))
    await asyncio.sleep(0.05)
    assert not first.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    (loaded,) = await second
    assert (store.lower_directories(loaded.image)[0] / "tmp/said").read_bytes() == b"hello"


def test_what_forbids_its_deletion_is_deleted_and_links_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    tree = tmp_path / "tree"
    (tree / "closed/inner").mkdir(parents=True)
    (tree / "closed/inner/link").symlink_to(outside)
    (tree / "closed").chmod(0)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    layers.remove_tree(tree)
    assert not tree.exists()
    assert outside.stat().st_mode & 0o777 == 0o755


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from seatrial.base.clock import SystemClock
from seatrial.cluster.node.images import reference
from seatrial.cluster.node.images.store import ImageStore
from seatrial.cluster.node.images.unpack import OPAQUE_USER, Rules

calls = 0
def count(event, arguments):
    global calls
    if event in ("os.rename", "os.mkdir", "open", "os.link", "os.truncate", "os.remove", "os.chmod"):
        if str(arguments[0]).startswith(sys.argv[1]) or str(arguments[0]).startswith("b'" + sys.argv[1]):
            calls += 1
            if calls == int(sys.argv[3]):
                os.kill(os.getpid(), signal.SIGKILL)

async def main():
    sys.addaudithook(count)
    rules = Rules(os.geteuid() == 0, OPAQUE_USER)
    async with ImageStore(Path(sys.argv[1]), SystemClock(), rules=rules) as store:
        await store.load(Path(sys.argv[2]), reference.parse("app:1"))
    print(calls)

asyncio.run(main())
"""


async def test_a_kill_at_any_moment_leaves_nothing_broken(tmp_path: Path) -> None:
    """Killed at the Nth change of the disk, for a spread of N; then the same load works and nothing is left over."""
    path = oci_archive(tmp_path / "a.tar", simple_image())

    def run(directory: Path, moment: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(directory), str(path), str(moment)]
        return subprocess.run(command, capture_output=True, text=True)

    whole = await asyncio.to_thread(run, tmp_path / "whole", -1)
    moments = int(whole.stdout)
    expected = contents(tmp_path / "whole")
    assert moments > 20
    for moment in range(1, moments, max(1, moments // 7)):
        directory = tmp_path / f"killed-{moment}"
        ended = await asyncio.to_thread(run, directory, moment)
        assert ended.returncode == -signal.SIGKILL
        async with ImageStore(directory, SystemClock(), rules=rules()) as store:
            image = await only(store, path, reference.parse("app:1"))
            assert await store.sweep()
            assert contents(directory) == expected
            assert (store.lower_directories(image)[0] / "tmp/said").read_bytes() == b"hello"


# The manager


async def test_the_manager_pulls_once_for_all_who_wait(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", simple_image())
    manager = ImageManager(store, SystemClock())
    name, starts = f"{registry.host}/a:1", []
    waiting = [
        manager.ensure(name, policy="IfNotPresent", pod=str(number), on_pull=lambda: starts.append(1))
        for number in range(5)
    ]
    ready = await asyncio.gather(*waiting)
    assert len(registry.sent("manifests")) == 1
    assert {one.image.id for one in ready} == {store.images()[0].id}
    registry.requests.clear()
    again = await manager.ensure(name, policy="IfNotPresent", pod="later")
    assert not again.pulled
    assert not registry.requests
    for one in (*ready, again):
        one.hold.close()
    await manager.close()


async def test_always_asks_the_registry_and_sends_nothing_again(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", simple_image())
    manager = ImageManager(store, SystemClock())
    for _ in range(2):
        ready = await manager.ensure(f"{registry.host}/a:1", policy="Always", pod="p")
        ready.hold.close()
    assert len(registry.sent("manifests")) == 2
    assert len(registry.sent("blobs")) == 3


async def test_a_failed_pull_backs_off_with_its_cause(store: ImageStore, registry: FakeRegistry) -> None:
    clock = ManualClock()
    manager = ImageManager(store, clock)
    name = f"{registry.host}/a:1"
    with pytest.raises(ImageNotFound):
        await manager.ensure(name, policy="Always", pod="p")
    with pytest.raises(PullBackOff, match=r"ErrImagePull: registry .* has no tag"):
        await manager.ensure(name, policy="Always", pod="p")
    registry.add("1", simple_image())
    await clock.advance(10)
    (await manager.ensure(name, policy="Always", pod="p")).hold.close()


async def test_never_uses_only_what_is_here(store: ImageStore, tmp_path: Path) -> None:
    manager = ImageManager(store, SystemClock())
    with pytest.raises(NeverPull):
        await manager.ensure("app:1", policy="Never", pod="p")
    await loaded(store, tmp_path)
    (await manager.ensure("app:1", policy="Never", pod="p")).hold.close()


async def test_an_image_whose_files_were_deleted_is_pulled_again(
    store: ImageStore, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(puller, "RETRY_BASE_SECONDS", 0.001)
    registry.add("1", simple_image())
    manager = ImageManager(store, SystemClock())
    (await manager.ensure(f"{registry.host}/a:1", policy="IfNotPresent", pod="p")).hold.close()
    subprocess.run(["rm", "-rf", tmp_path / "images/layers", tmp_path / "images/blobs/sha256"], check=True)
    store.prepare()
    ready = await manager.ensure(f"{registry.host}/a:1", policy="IfNotPresent", pod="p")
    ready.hold.close()
    assert (store.lower_directories(ready.image)[0] / "tmp/said").exists()


def test_layers_have_short_names_of_their_own(tmp_path: Path) -> None:
    from seatrial.cluster.node.images.layers import directory_name

    names = {directory_name(digest_of(str(number).encode())) for number in range(1000)}
    assert len(names) == 1000
    assert {len(name) for name in names} == {26}
    assert os.sysconf("SC_PAGE_SIZE") > 128 * 27
