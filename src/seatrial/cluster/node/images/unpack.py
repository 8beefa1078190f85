"""A layer's archive in, a directory for overlayfs out.

Whiteouts (`.wh.name`) become character devices 0/0, opaque marks (`.wh..wh..opq`) an extended attribute. The archive
comes from a stranger: names are resolved inside the target (tree.py), headers and sizes are bounded (stream.py),
nothing that exists is opened for writing, and overlayfs' own attributes are not taken from it.

Runs in a thread for a small layer, else as a process of its own (`python -m ...unpack`): it then has its own
interpreter lock and can be killed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import stat
import sys
import tarfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from seatrial.base.errors import SeatrialError
from seatrial.cluster.node.images import tree
from seatrial.cluster.node.images.stream import BadLayer, TarStream, decompress
from seatrial.cluster.node.images.tree import Tree, is_whiteout, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

MAX_ENTRIES = 2_000_000
MAX_BYTES = 64 * 1024**3
MAX_GLOBAL_HEADERS = 1000
"""Archives have one or none; each is remembered to the end."""

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."
"""Other names that begin so are aufs' own bookkeeping, in very old images."""
_XATTR = "SCHILY.xattr."
_PIECE = 1024 * 1024
_LAST_ID = 0xFFFF_FFFE
_LAST_TIME = 1 << 40
_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.EINVAL)
_PARSING = (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError, RecursionError, LookupError)
_SET_PARENT_DEATH_SIGNAL = 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What this process may do to files."""

    owners: bool
    """Set owners, and make devices where the kernel lets us: as root, also of a user namespace."""
    opaque: str
    """The attribute that marks an opaque directory for the overlay mounts of this machine."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    diff_id: str
    entries: int
    bytes: int
    implied: tuple[str, ...]
    """Directories that the archive uses without describing them: they take after the layers below."""
    skipped: int
    """Devices that could not be made here."""


class _Meta(NamedTuple):
    mode: int
    uid: int
    gid: int
    mtime: int
    """Nanoseconds."""
    xattrs: tuple[tuple[str, bytes], ...]


OPAQUE_USER = "user.overlay.opaque"
OPAQUE_TRUSTED = "trusted.overlay.opaque"


def detect_rules() -> Rules:
    """`trusted.*` needs the privileges of the whole machine's root; in a user namespace overlayfs reads `user.*`."""
    root = os.geteuid() == 0
    return Rules(owners=root, opaque=OPAQUE_TRUSTED if root and _is_first_namespace() else OPAQUE_USER)


def _is_first_namespace() -> bool:
    try:
        words = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return True
    return words[:3] == ["0", "0", "4294967295"]


def unpack(blob: Path, target: Path, rules: Rules) -> Unpacked:
    """Unpack into the empty directory `target`. Raises BadLayer, and OSError of the local disk."""
    with blob.open("rb") as file:
        pieces = decompress(file)
        try:
            return _Unpacking(TarStream(pieces, MAX_BYTES), target, rules).run()
        except _PARSING as error:
            raise BadLayer(f"the archive is damaged: {error or type(error).__name__}") from error
        finally:
            pieces.close()


class _Unpacking:
    def __init__(self, stream: TarStream, target: Path, rules: Rules) -> None:
        self._stream = stream
        self._rules = rules
        self._tree = Tree(os.fsencode(target), self._make_implied)
        self._directories: dict[bytes, _Meta | None] = {b"": None}
        """Every directory made; its metadata comes last, as files made in it would change its time. None: implied."""
        self._entries = 0
        self._bytes = 0
        self._skipped = 0

    def run(self) -> Unpacked:
        with tarfile.TarFile(
            fileobj=_as_file(self._stream), mode="r", encoding="utf-8", errors="surrogateescape"
        ) as archive:
            while (entry := self._next(archive)) is not None:
                self._entries += 1
                if self._entries > MAX_ENTRIES:
                    raise BadLayer(f"the layer has more than {MAX_ENTRIES} entries")
                self._add(entry)
        diff_id = self._stream.drain()
        self._finish_directories()
        implied = tuple(os.fsdecode(path) for path, meta in sorted(self._directories.items()) if meta is None)
        return Unpacked(diff_id, self._entries, self._bytes, implied, self._skipped)

    def _next(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        self._stream.header()
        entry = archive.next()
        archive.members = []  # type: ignore[attr-defined]  # it would remember every entry
        if len(archive.pax_headers) > MAX_GLOBAL_HEADERS:
            raise BadLayer(f"the archive has more than {MAX_GLOBAL_HEADERS} global headers")
        if entry is None and self._stream.last.strip(b"\0"):
            raise BadLayer(f"the archive is damaged after {self._entries} entries")
        return entry

    def _add(self, entry: tarfile.TarInfo) -> None:
        name = os.fsencode(entry.name)
        parts = tree.split(name)
        try:
            if any(part.startswith(_WHITEOUT) for part in parts):
                self._mark(parts)
            else:
                self._make(entry, parts)
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOENT):
                raise BadLayer(f"{shown(parts)}: {error.strerror}") from error
            if error.errno in (errno.EPERM, errno.EINVAL):
                raise BadLayer(self._forbidden(entry, parts, error)) from error
            raise

    def _forbidden(self, entry: tarfile.TarInfo, parts: tuple[bytes, ...], error: OSError) -> str:
        return (
            f"{shown(parts)} (owner {entry.uid}:{entry.gid}) cannot be made: {error.strerror}. "
            "In a user namespace every owner needs an id there: see /etc/subuid and /etc/subgid"
        )

    # Whiteouts

    def _mark(self, parts: tuple[bytes, ...]) -> None:
        last = parts[-1]
        if any(part.startswith(_WHITEOUT) for part in parts[:-1]) or (last.startswith(_AUFS) and last != _OPAQUE):
            return
        if last == _OPAQUE:
            self._make_opaque(self._directory(parts[:-1]))
            return
        hidden = last[len(_WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise BadLayer(f"{shown(parts)}: a whiteout of nothing")
        path = self._tree.place((*parts[:-1], hidden))
        found = self._tree.status(path)
        if found is None:
            os.mknod(self._tree.at(path), stat.S_IFCHR, 0)
        elif stat.S_ISDIR(found.st_mode):
            # A whiteout hides what is below, never what its own layer adds.
            self._make_opaque(path)

    def _directory(self, parts: tuple[bytes, ...]) -> bytes:
        """The directory an opaque mark is in, made if the archive has not yet named it."""
        path = self._tree.place(parts)
        found = self._tree.status(path)
        if found is None or is_whiteout(found):
            self._make_implied(path)
        elif not stat.S_ISDIR(found.st_mode):
            raise BadLayer(f"{shown(parts)}: an opaque mark in something that is no directory")
        return path

    def _make_opaque(self, path: bytes) -> None:
        os.setxattr(self._tree.at(path), self._rules.opaque, b"y")

    # Entries

    def _make(self, entry: tarfile.TarInfo, parts: tuple[bytes, ...]) -> None:
        path = self._tree.place(parts)
        if entry.isdir():
            self._make_directory(path, _meta(entry, parts))
            return
        if not path:
            raise BadLayer("the archive makes the root something else than a directory")
        if entry.islnk():
            self._make_hard_link(entry, parts, path)
            return
        self._clear(path)
        meta = _meta(entry, parts)
        if entry.isreg():
            self._make_file(entry, path, meta)
        elif entry.issym():
            self._make_symlink(entry, path, meta)
        elif entry.isfifo() or entry.isdev():
            self._make_node(entry, path, meta)
        else:
            raise BadLayer(f"{shown(parts)}: an entry of unknown type {entry.type!r}")

    def _clear(self, path: bytes) -> None:
        """Make room: the later entry of a name wins."""
        self._tree.clear(path)
        if path in self._directories:
            below = path + b"/"
            self._directories = {
                known: meta
                for known, meta in self._directories.items()
                if known != path and not known.startswith(below)
            }

    def _make_directory(self, path: bytes, meta: _Meta | None) -> None:
        found = self._tree.status(path)
        if found is None or not stat.S_ISDIR(found.st_mode):
            self._clear(path)
            os.mkdir(self._tree.at(path), 0o755)
            if found is not None and is_whiteout(found):
                self._make_opaque(path)
        self._directories[path] = meta

    def _make_implied(self, path: bytes) -> None:
        self._make_directory(path, None)

    def _make_hard_link(self, entry: tarfile.TarInfo, parts: tuple[bytes, ...], path: bytes) -> None:
        source = self._tree.find(tree.split(os.fsencode(entry.linkname)))
        if source is None:
            raise BadLayer(f"{shown(parts)}: a hard link to {entry.linkname!r}, which this layer does not have")
        if source == path:
            return
        self._clear(path)
        found = self._tree.status(source)
        if found is None or stat.S_ISDIR(found.st_mode):
            raise BadLayer(f"{shown(parts)}: a hard link to {entry.linkname!r}, which is no file")
        os.link(self._tree.at(source), self._tree.at(path), follow_symlinks=False)

    def _make_symlink(self, entry: tarfile.TarInfo, path: bytes, meta: _Meta) -> None:
        where = self._tree.at(path)
        os.symlink(os.fsencode(entry.linkname), where)
        self._own_unfollowed(where, meta)

    def _make_node(self, entry: tarfile.TarInfo, path: bytes, meta: _Meta) -> None:
        where = self._tree.at(path)
        if entry.isfifo():
            os.mkfifo(where, 0o600)
        else:
            kind = stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
            try:
                os.mknod(where, kind | 0o600, os.makedev(entry.devmajor, entry.devminor))
            except PermissionError:
                self._skipped += 1
                return
        self._own_unfollowed(where, meta)
        os.chmod(where, meta.mode)
        os.utime(where, ns=(meta.mtime, meta.mtime))

    def _own_unfollowed(self, where: bytes, meta: _Meta) -> None:
        if self._rules.owners:
            os.chown(where, meta.uid, meta.gid, follow_symlinks=False)
        os.utime(where, ns=(meta.mtime, meta.mtime), follow_symlinks=False)

    def _make_file(self, entry: tarfile.TarInfo, path: bytes, meta: _Meta) -> None:
        descriptor = os.open(
            self._tree.at(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            self._fill(entry, descriptor)
            if self._rules.owners:
                os.fchown(descriptor, meta.uid, meta.gid)
            os.fchmod(descriptor, meta.mode)
            _set_xattrs(descriptor, meta)
            os.utime(descriptor, ns=(meta.mtime, meta.mtime))
        finally:
            os.close(descriptor)

    def _fill(self, entry: tarfile.TarInfo, descriptor: int) -> None:
        """Copy the content; of a sparse file only the parts that the archive holds."""
        if not 0 <= entry.size <= MAX_BYTES:
            raise BadLayer(f"{entry.name!r}: a size of {entry.size} bytes")
        self._stream.seek(entry.offset_data)
        if entry.sparse is None:
            self._copy(descriptor, 0, entry.size)
        else:
            for offset, length in cast("list[tuple[int, int]]", entry.sparse):
                if offset < 0 or length < 0 or offset + length > entry.size:
                    raise BadLayer(f"{entry.name!r}: a sparse map outside the file")
                self._copy(descriptor, offset, length)
            os.ftruncate(descriptor, entry.size)

    def _copy(self, descriptor: int, offset: int, left: int) -> None:
        while left > 0:
            piece = self._stream.piece(min(left, _PIECE))
            if not piece:
                raise BadLayer("the archive ends inside a file")
            _write_all(descriptor, piece, offset)
            offset += len(piece)
            left -= len(piece)
            self._bytes += len(piece)

    def _finish_directories(self) -> None:
        """Deepest first: setting a mode must not lock us out, nor the making of a child change a time."""
        for path, meta in sorted(self._directories.items(), reverse=True):
            if meta is None:
                continue
            where = self._tree.at(path)
            if self._rules.owners:
                os.chown(where, meta.uid, meta.gid)
            os.chmod(where, meta.mode)
            _set_xattrs(where, meta)
            os.utime(where, ns=(meta.mtime, meta.mtime))


def _write_all(descriptor: int, piece: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, piece, offset)
    while written < len(piece):
        written += os.pwrite(descriptor, memoryview(piece)[written:], offset + written)


def _as_file(stream: TarStream) -> BinaryIO:
    """`tarfile` uses read, seek and tell of its file, and those are there."""
    return stream  # type: ignore[return-value]


def _meta(entry: tarfile.TarInfo, parts: tuple[bytes, ...]) -> _Meta:
    if not (0 <= entry.uid <= _LAST_ID and 0 <= entry.gid <= _LAST_ID):
        raise BadLayer(f"{shown(parts)}: owner {entry.uid}:{entry.gid} is no user and group")
    xattrs = _xattrs(entry.pax_headers) if entry.pax_headers else ()
    return _Meta(entry.mode & 0o7777, entry.uid, entry.gid, _nanoseconds(entry.mtime), xattrs)


def _nanoseconds(seconds: float) -> int:
    """Times from before the epoch or beyond any calendar are no reason to refuse an image."""
    if not 0 <= seconds <= _LAST_TIME:  # also refuses NaN
        return 0
    whole, part = divmod(seconds, 1)
    return int(whole) * 1_000_000_000 + int(part * 1_000_000_000)


def _xattrs(headers: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    """File capabilities, ACLs and users' own attributes. Never overlayfs' marks: those are ours."""
    found = []
    for key, value in headers.items():
        name = key.removeprefix(_XATTR)
        if name == key or ".overlay." in name:
            continue
        if name == "security.capability" or name.startswith(("user.", "system.posix_acl_")):
            found.append((name, value.encode("utf-8", "surrogateescape")))
    return tuple(found)


def _set_xattrs(where: int | bytes, meta: _Meta) -> None:
    """Where the file system or the namespace does not know an attribute, the file goes without."""
    for name, value in meta.xattrs:
        try:
            os.setxattr(where, name, value)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise


def _main(blob: str, target: str, owners: str, opaque: str) -> int:
    """One line of JSON on standard output: what was unpacked, or why not."""
    _die_with_parent()
    try:
        answer = asdict(unpack(Path(blob), Path(target), Rules(owners == "True", opaque)))
    except SeatrialError as error:
        answer = {"error": error.message}
    except OSError as error:
        answer = {"errno": error.errno, "strerror": error.strerror, "filename": os.fsdecode(error.filename or "")}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _die_with_parent() -> None:
    """Nobody waits for the result of a killed process."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
