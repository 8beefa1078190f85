"""GitFiles against what git says of the same commit."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.gitops.api.source import Source
from seatrial.gitops.sources.files import Files, SourceFailed, SourceRefused
from seatrial.gitops.sources.git import files as git_files
from seatrial.gitops.sources.git import mirror
from seatrial.gitops.sources.repositories import Repositories

from .conftest import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@pytest.fixture
async def opened(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Files]]]:
    repositories = Repositories(tmp_path / "data", ManualClock())

    async def read() -> Files:
        source = Source(upstream.url)
        return await repositories.open(source, await repositories.resolve(source, force=True))

    yield read
    await repositories.close()


_NAMES = st.text("ab.-_ é0", min_size=1, max_size=5).filter(lambda name: name.strip(". ") and name != ".git")
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(_PATHS, st.binary(max_size=40), min_size=1, max_size=12))
async def test_every_file_is_as_git_lists_it(content: dict[str, bytes]) -> None:
    content = {path: data for path, data in content.items() if not any(o.startswith(f"{path}/") for o in content)}
    with tempfile.TemporaryDirectory() as directory:
        upstream = Upstream(Path(directory) / "upstream")
        upstream.commit(dict(content))
        repositories = Repositories(Path(directory) / "data", SystemClock())
        source = Source(upstream.url)
        files = await repositories.open(source, await repositories.resolve(source))
        listed = upstream.git("ls-tree", "-r", "-t", "-z", "HEAD").split("\0")[:-1]
        expected = {line.partition("\t")[2]: line.split()[1:3] for line in listed}
        for path, (kind, sha) in expected.items():
            entry = files.entry(path)
            assert entry is not None
            assert (entry.kind, entry.id) == ({"blob": "file", "tree": "directory"}[kind], sha)
        walked = [entry.path for entry in files.walk("")]
        assert walked == sorted(path for path, (kind, _) in expected.items() if kind == "blob")
        assert {path: files.read(path) for path in walked} == content
        for path, (kind, _) in expected.items():
            if kind == "tree":
                below = sorted(other for other in expected if other.rpartition("/")[0] == path)
                assert [entry.path for entry in files.list(path)] == below
        await repositories.close()


async def test_what_is_not_there_is_none(opened: Callable[[], Awaitable[Files]]) -> None:
    files = await opened()
    assert files.entry("nothing") is None
    assert files.entry("README/below") is None
    with pytest.raises(FileNotFoundError):
        files.read("nothing")
    with pytest.raises(IsADirectoryError):
        files.read("app")
    with pytest.raises(NotADirectoryError):
        files.list("README")
    with pytest.raises(FileNotFoundError):
        files.list("nothing")


async def test_a_path_may_be_written_in_several_ways(opened: Callable[[], Awaitable[Files]]) -> None:
    files = await opened()
    plain = files.entry("app/values/a.yaml")
    assert plain is not None
    for path in ("./app/values/a.yaml", "app//values/a.yaml", "app/values/../values/a.yaml"):
        assert files.entry(path) == plain
    assert files.entry(".") == files.entry("") == files.entry("app/..")


@pytest.mark.parametrize("path", ["../x", "app/../../x", "/etc/passwd", "app\0"])
async def test_a_way_out_is_refused(opened: Callable[[], Awaitable[Files]], path: str) -> None:
    files = await opened()
    with pytest.raises(SourceRefused):
        files.entry(path)
    with pytest.raises(SourceRefused):
        files.read(path)


async def test_links_inside_are_followed(upstream: Upstream, opened: Callable[[], Awaitable[Files]]) -> None:
    upstream.commit(
        {"common/x.yaml": "x"}, {"app/x.yaml": "../common/x.yaml", "app/all": "../common", "all": "app/all"}
    )
    files = await opened()
    assert files.read("app/x.yaml") == files.read("app/all/x.yaml") == files.read("all/x.yaml") == b"x"
    assert [entry.path for entry in files.walk("app/all")] == ["app/all/x.yaml"]
    assert "app/x.yaml" in [entry.path for entry in files.list("app")]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "../app/../../x"])
async def test_a_link_that_leaves_is_refused_and_others_are_not(
    upstream: Upstream, opened: Callable[[], Awaitable[Files]], target: str
) -> None:
    upstream.commit({}, {"bad/link": target})
    files = await opened()
    for read in (files.entry, files.read):
        with pytest.raises(SourceRefused, match="leads out of the repository"):
            read("bad/link")
    with pytest.raises(SourceRefused):
        list(files.walk("bad"))
    assert files.read("app/deployment.yaml") == b"kind: Deployment"
    assert files.entry("") is not None


async def test_loops_of_links_are_refused(upstream: Upstream, opened: Callable[[], Awaitable[Files]]) -> None:
    upstream.commit({"d/f": "f"}, {"a": "b", "b": "a", "d/up": "../d"})
    files = await opened()
    with pytest.raises(SourceRefused, match="loop"):
        files.entry("a")
    assert files.read("d/up/up/f") == b"f"
    with pytest.raises(SourceRefused, match="directory it is in"):
        list(files.walk("d"))


async def test_links_that_multiply_are_refused(
    upstream: Upstream, opened: Callable[[], Awaitable[Files]], monkeypatch: pytest.MonkeyPatch
) -> None:
    links = {f"d{level}/{side}": f"../d{level + 1}" for level in range(12) for side in "ab"}
    upstream.commit({"d12/f": "f"}, links)
    files = await opened()
    monkeypatch.setattr(git_files._Budget, "left", 5000)
    with pytest.raises(SourceRefused, match="more than"):
        list(files.walk("d0"))


async def test_a_link_to_nothing_is_nothing(upstream: Upstream, opened: Callable[[], Awaitable[Files]]) -> None:
    upstream.commit({}, {"app/gone": "nowhere"})
    files = await opened()
    assert files.entry("app/gone") is None
    assert "app/gone" not in [entry.path for entry in files.list("app")]


async def test_a_directory_changes_with_what_its_links_lead_to(
    upstream: Upstream, opened: Callable[[], Awaitable[Files]]
) -> None:
    upstream.commit(
        {"common/x.yaml": "1", "deep/y/z": "1"},
        {"app/x.yaml": "../common/x.yaml", "far/x": "../app/x.yaml", "inner/l": "deployment.yaml", "tree/t": "../deep"},
    )
    before = await opened()
    upstream.commit({"common/x.yaml": "2", "deep/y/z": "2"})
    after = await opened()
    for changed in ("app", "far", "tree"):
        assert _id(before, changed) != _id(after, changed), changed
    assert _id(before, "inner") == _id(after, "inner")


async def test_a_submodule_is_not_listed_and_not_entered(
    upstream: Upstream, opened: Callable[[], Awaitable[Files]]
) -> None:
    upstream.git("update-index", "--add", "--cacheinfo", f"160000,{upstream.sha()},vendor/module")
    upstream.git("commit", "-q", "-m", "module")
    files = await opened()
    assert files.list("vendor") == []
    with pytest.raises(SourceRefused, match="submodule"):
        files.entry("vendor/module/x")


async def test_a_large_file_is_refused_without_being_read(
    upstream: Upstream, opened: Callable[[], Awaitable[Files]]
) -> None:
    upstream.commit({"large": b"\0" * (51 << 20)})
    files = await opened()
    with pytest.raises(SourceRefused, match="51 MiB"):
        files.read("large")


async def test_hostile_names_in_a_tree_are_refused(upstream: Upstream, opened: Callable[[], Awaitable[Files]]) -> None:
    blob = upstream.git("rev-parse", "HEAD:README").strip()
    raw = b"100644 ..\0" + bytes.fromhex(blob)
    made = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        cwd=upstream.path, input=raw, capture_output=True, check=True,
    )  # fmt: skip
    commit = upstream.git("commit-tree", made.stdout.decode().strip(), "-m", "hostile").strip()
    upstream.git("update-ref", "refs/heads/main", commit)
    files = await opened()
    with pytest.raises(SourceRefused, match="leads elsewhere"):
        files.list("")


async def test_a_broken_object_is_reported_and_the_mirror_made_anew(upstream: Upstream, tmp_path: Path) -> None:
    repositories = Repositories(tmp_path / "data", ManualClock())
    source = Source(upstream.url)
    sha = await repositories.resolve(source)
    files = await repositories.open(source, sha)
    for path in (tmp_path / "data").rglob("objects/**/*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(SourceFailed, match="fetched anew"):
        files.read("app/deployment.yaml")
    again = await repositories.open(source, sha)
    assert again.read("app/deployment.yaml") == b"kind: Deployment"
    await repositories.close()


async def test_a_packed_copy_is_read_on_by_whoever_reads(
    upstream: Upstream, opened: Callable[[], Awaitable[Files]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mirror, "_FETCHES_PER_PACKING", 1)
    first, files = upstream.sha(), []
    for number in range(5):
        upstream.git("reset", "-q", "--hard", first)  # each replaces the one before
        upstream.commit({"README": f"{number}"})
        files.append(await opened())
    assert [one.read("README") for one in files] == [b"0", b"1", b"2", b"3", b"4"]
    loose = [path for path in (tmp_path / "data").rglob("objects/??/*") if path.is_file()]
    assert loose == []


def _id(files: Files, path: str) -> str:
    entry = files.entry(path)
    assert entry is not None
    return entry.id
