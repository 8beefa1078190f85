"""Layers become directories for overlayfs: whiteouts, links, modes, times, and nothing outside."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.cluster.node.images.making import archive, digest_of, entry, folder, link, rules

from seatrial.cluster.node.images import stream, unpack
from seatrial.cluster.node.images.stream import BadLayer
from seatrial.cluster.node.images.tree import is_whiteout
from seatrial.cluster.node.images.unpack import OPAQUE_USER, Unpacked

if TYPE_CHECKING:
    import tarfile as tar_module
    from pathlib import Path

    Entry = tuple[tar_module.TarInfo, bytes]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")
HARD, FIFO, CHR = tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE


def unpacked(tmp_path: Path, *entries: Entry, packed: bytes | None = None) -> tuple[Path, Unpacked]:
    blob, target = tmp_path / "blob", tmp_path / "target"
    blob.write_bytes(archive(entries) if packed is None else packed)
    target.mkdir()
    return target, unpack.unpack(blob, target, rules())


def refused(tmp_path: Path, complaint: str, *entries: Entry, packed: bytes | None = None) -> None:
    with pytest.raises(BadLayer, match=complaint):
        unpacked(tmp_path, *entries, packed=packed)


def opaque(path: Path) -> bool:
    return OPAQUE_USER in os.listxattr(path)


# What is in a layer


def test_files_directories_and_links_come_out_as_they_went_in(tmp_path: Path) -> None:
    target, result = unpacked(
        tmp_path,
        folder("bin", 0o711, mtime=1_000_000_000),
        entry("bin/tool", b"#!", mode=0o4755, mtime=1_600_000_000.25),
        entry("bin/same", type=HARD, linkname="bin/tool"),
        link("bin/soft", "/somewhere/else"),
        entry("bin/pipe", type=FIFO),
    )
    tool = (target / "bin/tool").stat()
    assert stat.S_IMODE(tool.st_mode) == 0o4755
    assert (tool.st_mtime_ns, tool.st_nlink) == (1_600_000_000_250_000_000, 2)
    assert (target / "bin/same").read_bytes() == b"#!"
    assert os.readlink(target / "bin/soft") == "/somewhere/else"
    assert stat.S_ISFIFO((target / "bin/pipe").lstat().st_mode)
    assert (stat.S_IMODE((target / "bin").stat().st_mode), (target / "bin").stat().st_mtime) == (0o711, 1_000_000_000)
    assert result.entries == 5


@as_root
def test_owners_and_devices_are_kept(tmp_path: Path) -> None:
    target, _ = unpacked(
        tmp_path,
        folder("home", uid=1000, gid=100),
        entry("home/a", b"x", uid=1000, gid=2_000_000),
        entry("home/l", type=tarfile.SYMTYPE, linkname="a", uid=5, gid=6),
        entry("null", type=CHR, devmajor=1, devminor=3, mode=0o666),
    )
    owners = {name: (target / name).lstat() for name in ("home", "home/a", "home/l")}
    found = {name: (status.st_uid, status.st_gid) for name, status in owners.items()}
    assert found == {"home": (1000, 100), "home/a": (1000, 2_000_000), "home/l": (5, 6)}
    assert (target / "null").lstat().st_rdev == os.makedev(1, 3)


@as_root
def test_file_capabilities_are_kept_and_overlay_marks_are_not_taken_from_an_archive(tmp_path: Path) -> None:
    capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"  # cap_net_raw+ep
    headers = {
        "SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape"),
        "SCHILY.xattr.user.note": "n",
        "SCHILY.xattr.trusted.overlay.redirect": "/",
        "SCHILY.xattr.user.overlay.opaque": "y",
    }
    target, _ = unpacked(tmp_path, entry("ping", b"x", pax_headers=headers))
    assert os.getxattr(target / "ping", "security.capability") == capability
    assert sorted(os.listxattr(target / "ping")) == ["security.capability", "user.note"]


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_of_tar_is_read(tmp_path: Path, kind: int) -> None:
    name = "d" * 90 + "/" + "n" * 90
    target, _ = unpacked(tmp_path, packed=archive([entry(name, b"long")], kind))
    assert (target / name).read_bytes() == b"long"


def test_names_that_are_no_utf8_survive(tmp_path: Path) -> None:
    target, _ = unpacked(tmp_path, packed=archive([entry(os.fsdecode(b"caf\xe9"), b"x")], tarfile.GNU_FORMAT))
    assert os.listdir(os.fsencode(target)) == [b"caf\xe9"]


def test_a_sparse_file_keeps_its_holes(tmp_path: Path) -> None:
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.write(b"start")
        file.seek(5_000_000)
        file.write(b"end")
    for form in ("gnu", "posix"):
        work = tmp_path / form
        work.mkdir()
        subprocess.run(["tar", "-C", tmp_path, "-S", f"--format={form}", "-cf", work / "a.tar", "sparse"], check=True)
        target, _ = unpacked(work, packed=(work / "a.tar").read_bytes())
        assert (target / "sparse").read_bytes() == source.read_bytes()
        assert (target / "sparse").stat().st_blocks * 512 < 100_000


def test_a_directory_the_archive_does_not_describe_is_reported(tmp_path: Path) -> None:
    target, result = unpacked(tmp_path, folder("a"), entry("a/b/c/f"))
    assert (target / "a/b/c/f").exists()
    assert result.implied == ("", "a/b", "a/b/c")


def test_the_root_may_be_described(tmp_path: Path) -> None:
    target, result = unpacked(tmp_path, folder("./", 0o750))
    assert stat.S_IMODE(target.stat().st_mode) == 0o750
    assert result.implied == ()


def test_the_later_entry_of_a_name_wins(tmp_path: Path) -> None:
    target, _ = unpacked(
        tmp_path,
        entry("a", b"file"),
        folder("a"),
        entry("a/b", b"1"),
        entry("a/b", b"2"),
        entry("c", b"old"),
        entry("d", type=HARD, linkname="c"),
        entry("c", b"new"),
        folder("e"),
        entry("e/f"),
        link("e", "a"),
    )
    assert (target / "a/b").read_bytes() == b"2"
    assert ((target / "c").read_bytes(), (target / "d").read_bytes()) == (b"new", b"old")
    assert (target / "e").is_symlink()


def test_a_symbolic_link_in_a_name_is_followed_inside(tmp_path: Path) -> None:
    target, _ = unpacked(
        tmp_path, folder("usr/lib"), link("lib", "/usr/lib"), link("up", "../../usr"), entry("lib/a"), entry("up/b")
    )
    assert (target / "usr/lib/a").exists()
    assert (target / "usr/b").exists()


# Whiteouts


def test_a_whiteout_is_a_character_device_0_0(tmp_path: Path) -> None:
    target, _ = unpacked(tmp_path, entry("etc/.wh.passwd"))
    assert is_whiteout((target / "etc/passwd").lstat())
    assert os.listdir(target / "etc") == ["passwd"]


def test_an_opaque_mark_is_an_attribute_whether_before_or_after_its_directory(tmp_path: Path) -> None:
    target, _ = unpacked(tmp_path, entry("a/.wh..wh..opq"), folder("a", 0o700), folder("b"), entry("b/.wh..wh..opq"))
    assert opaque(target / "a")
    assert opaque(target / "b")
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o700
    assert os.listdir(target / "a") == []


@pytest.mark.parametrize("first", [True, False])
def test_a_layer_that_deletes_and_adds_a_name_shows_only_its_own(tmp_path: Path, first: bool) -> None:
    gone = [entry(".wh.file"), entry(".wh.dir")]
    new = [entry("file", b"new"), folder("dir"), entry("dir/a")]
    target, _ = unpacked(tmp_path, *(gone + new if first else new + gone))
    assert (target / "file").read_bytes() == b"new"
    assert opaque(target / "dir")
    assert os.listdir(target / "dir") == ["a"]


def test_the_books_of_aufs_are_left_out(tmp_path: Path) -> None:
    target, _ = unpacked(tmp_path, folder(".wh..wh.plnk"), entry(".wh..wh.plnk/1.2"), entry(".wh..wh.aufs"), entry("a"))
    assert os.listdir(target) == ["a"]


@pytest.mark.parametrize("name", [".wh.", "a/.wh..", ".wh...", "a/.wh.."])
def test_a_whiteout_of_nothing_is_refused(tmp_path: Path, name: str) -> None:
    refused(tmp_path, "whiteout of nothing", entry(name))


# Compression and digests


def test_the_diff_id_covers_every_byte_whatever_the_compression(tmp_path: Path) -> None:
    plain = archive([entry("a", b"x" * 3_000_000)]) + b"\0" * 5000
    packings = {
        "plain": plain,
        "gzip": gzip.compress(plain),
        "members": gzip.compress(plain[:1000]) + gzip.compress(plain[1000:]) + b"\0" * 100,
    }
    if shutil.which("zstd"):
        packings["zstd"] = subprocess.run(["zstd", "-qc"], input=plain, capture_output=True, check=True).stdout
    for name, packed in packings.items():
        (tmp_path / name).mkdir()
        assert unpacked(tmp_path / name, packed=packed)[1].diff_id == digest_of(plain)


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(archive([entry("a", b"x" * 9999)]))[:-20], b"\x28\xb5\x2f\xfdjunk"],
    ids=["cut gzip", "no zstd"],
)
def test_a_cut_or_broken_stream_is_refused(tmp_path: Path, packed: bytes) -> None:
    refused(tmp_path, "damaged|ends inside", packed=packed)


def test_a_compression_nobody_uses_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "damaged", packed=bz2.compress(archive([entry("a")])))


def test_an_archive_cut_inside_a_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "ends inside", packed=archive([entry("a", b"x" * 9999)])[:2000])


def test_a_header_broken_in_the_middle_is_no_end(tmp_path: Path) -> None:
    packed = bytearray(archive([entry("a", b"1"), entry("b", b"2")], tarfile.USTAR_FORMAT))
    packed[1024 + 10] ^= 0xFF
    refused(tmp_path, "damaged after 1 entries", packed=bytes(packed))


# Hostile archives


@pytest.mark.parametrize("name", ["../a", "a/../../b", "../../../../../../etc/passwd", "..", "/../x"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    refused(tmp_path, "leads out", entry(name, b"x"))


def test_an_absolute_name_stays_inside(tmp_path: Path) -> None:
    target, _ = unpacked(tmp_path, entry("/etc/passwd", b"ours"))
    assert (target / "etc/passwd").read_bytes() == b"ours"


def test_links_out_of_the_layer_are_followed_as_the_container_would(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    up = "../" * 30
    target, _ = unpacked(
        tmp_path,
        link("abs", str(outside)),
        entry("abs/a", b"x"),
        link("rel", f"{up}{str(outside)[1:]}"),
        entry("rel/b", b"x"),
    )
    assert os.listdir(outside) == []
    assert (target / str(outside)[1:] / "b").exists()


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"safe")
    unpacked(tmp_path, link("a", str(outside)), entry("a", b"evil"), link("b", str(outside)), folder("b"))
    assert outside.read_bytes() == b"safe"


@pytest.mark.parametrize("target", ["../../../etc/passwd", "/nowhere", "missing", "link/passwd"])
def test_a_hard_link_to_what_the_layer_does_not_have_is_refused(tmp_path: Path, target: str) -> None:
    refused(
        tmp_path, "does not have|leads out|is no file", link("link", "/etc"), entry("a", type=HARD, linkname=target)
    )


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "more than 40 symbolic links", link("a", "b"), link("b", "a"), entry("a/x"))


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    refused(tmp_path, "used as a directory", entry("a"), entry("a/b"))


def test_the_root_stays_a_directory(tmp_path: Path) -> None:
    refused(tmp_path, "the root", link("./", "/etc"))


def test_deep_and_long_names_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "directories deep", entry("a/" * 300 + "f"))
    shutil.rmtree(tmp_path / "target")
    refused(tmp_path, "File name too long", entry("a" * 300))
    shutil.rmtree(tmp_path / "target")
    refused(tmp_path, "a name of 5000 bytes", entry("ab/" * 1666 + "cd"))


def test_depth_by_way_of_links_is_refused(tmp_path: Path) -> None:
    deep = "d/" * 200
    refused(tmp_path, "directories deep", folder(deep), link("l", deep), folder(f"l/{deep}"))


@pytest.mark.parametrize("change", [{"uid": -1}, {"gid": 2**32 - 1}, {"uid": 2**40}])
def test_owners_that_are_none_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    refused(tmp_path, "no user and group", packed=archive([entry("a", **change)], tarfile.GNU_FORMAT))


@pytest.mark.parametrize("mtime", [-5.0, 1e300])
def test_impossible_times_become_the_epoch(tmp_path: Path, mtime: float) -> None:
    target, _ = unpacked(tmp_path, entry("a", pax_headers={"mtime": str(mtime)}))
    assert (target / "a").stat().st_mtime == 0


def test_an_entry_header_without_end_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "header has more than", entry("a", pax_headers={"comment": "x" * (stream.HEADER_BYTES + 1)}))


def test_a_layer_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_BYTES", 2_000_000)
    refused(
        tmp_path,
        "unpacks to more than",
        packed=gzip.compress(archive([entry(name, bytes(1_500_000)) for name in "ab"])),
    )
    shutil.rmtree(tmp_path / "target")
    monkeypatch.setattr(unpack, "MAX_ENTRIES", 3)
    refused(tmp_path, "more than 3 entries", *(entry(str(number)) for number in range(4)))


_parts = st.sampled_from([".", "..", "a", "b", "link", "/", ".wh.a", ".wh..wh..opq", "etc", "outside", "é"])
_names = st.lists(_parts, min_size=1, max_size=5).map("/".join)
_types = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"7", b"Z"]
)


@st.composite
def hostile_entries(draw: st.DrawFn) -> Entry:
    kind = draw(_types)
    content = draw(st.binary(max_size=20)) if kind == tarfile.REGTYPE else b""
    target = draw(st.one_of(_names, st.sampled_from(["/", "..", "../..", "../outside", "/outside", "../outside/kept"])))
    return entry(draw(_names), content, type=kind, linkname=target, mode=draw(st.integers(0, 0o7777)))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(hostile_entries(), max_size=12), st.randoms(use_true_random=False), st.integers(0, 3))
def test_nothing_is_ever_written_outside(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], random: Any, flips: int
) -> None:
    here = tmp_path_factory.mktemp("hostile")
    outside = here / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    (here / "a").write_bytes(b"kept")
    before = _snapshot(here)
    packed = bytearray(archive(entries, tarfile.GNU_FORMAT))
    for _ in range(flips):
        packed[random.randrange(min(len(packed), 512 * len(entries) + 512))] = random.randrange(256)
    (here / "blob").write_bytes(packed)
    (here / "target").mkdir()
    try:
        unpack.unpack(here / "blob", here / "target", rules())
    except BadLayer as error:
        assert error.message
    assert _snapshot(here) == before
    shutil.rmtree(here, ignore_errors=True)


def _snapshot(directory: Path) -> dict[str, Any]:
    """Everything beside the target: names, contents, modes and times."""
    seen = {}
    for path in [*directory.glob("*"), *directory.glob("outside/**/*")]:
        if path.name in ("target", "blob"):
            continue
        found = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
        seen[str(path)] = (found.st_mode, found.st_nlink, found.st_mtime_ns, content)
    return seen


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000), st.booleans())
def test_any_bytes_are_a_layer_or_a_bad_layer(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, zipped: bool
) -> None:
    here = tmp_path_factory.mktemp("bytes")
    (here / "blob").write_bytes(gzip.compress(data) if zipped else data)
    (here / "target").mkdir()
    try:
        unpack.unpack(here / "blob", here / "target", rules())
    except BadLayer as error:
        assert error.message
    shutil.rmtree(here, ignore_errors=True)


def test_the_stream_only_goes_forward() -> None:
    forward = stream.TarStream(stream.PlainStream(io.BytesIO(b"0123456789")), limit=100)
    forward.seek(4)
    assert forward.read(2) == b"45"
    with pytest.raises(BadLayer, match="backwards"):
        forward.seek(2)
