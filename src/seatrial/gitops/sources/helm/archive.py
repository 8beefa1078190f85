"""ChartFiles: the archive of one chart as Files, the chart's directory being the root. Unpacked in memory, bounded."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from typing import TYPE_CHECKING

from seatrial.gitops.sources.files import Entry, SourceRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST_ARCHIVE = 64 << 20
_LARGEST_UNPACKED = 256 << 20
_LARGEST_FILE = 50 << 20
_MOST_FILES = 20_000
_LONGEST_PATH = 1024


class ChartFiles:
    """There are no links: an archive with one is refused."""

    def __init__(self, content: Mapping[str, bytes], origin: str, revision: str) -> None:
        self._content = content
        self._origin = origin
        self._revision = revision
        self._entries: dict[str, Entry] = {}
        self._children: dict[str, list[Entry]] = {}
        self._index()

    @property
    def origin(self) -> str:
        return self._origin

    @property
    def revision(self) -> str:
        return self._revision

    def entry(self, path: str) -> Entry | None:
        found = self._entries.get(path)
        return found if found is not None else self._entries.get(self._clean(path))

    def read(self, path: str) -> bytes:
        name = self._clean(path)
        if name in self._content:
            return self._content[name]
        if name in self._entries:
            raise IsADirectoryError(f"{self._origin}: {path!r} is a directory in {self._revision}")
        raise FileNotFoundError(f"{self._origin}: there is no {path!r} in {self._revision}")

    def list(self, path: str) -> list[Entry]:
        name = self._clean(path)
        if name in self._children:
            return list(self._children[name])
        if name in self._entries:
            raise NotADirectoryError(f"{self._origin}: {path!r} is a file in {self._revision}")
        raise FileNotFoundError(f"{self._origin}: there is no {path!r} in {self._revision}")

    def walk(self, path: str) -> Iterator[Entry]:
        name = self._clean(path)
        if name not in self._entries:
            raise FileNotFoundError(f"{self._origin}: there is no {path!r} in {self._revision}")
        if name in self._content:
            yield self._entries[name]
            return
        prefix = f"{name}/" if name else ""
        yield from (self._entries[file] for file in sorted(self._content) if file.startswith(prefix))

    def _index(self) -> None:
        below: dict[str, dict[str, None]] = {"": {}}
        for path in sorted(self._content):
            while path:
                parent = path.rpartition("/")[0]
                below.setdefault(parent, {})[path] = None
                path = parent
        # From the deepest up: the id of a directory is made of its children's.
        for directory in sorted(below, key=lambda path: path.count("/") + bool(path), reverse=True):
            self._children[directory] = [self._leaf(path) for path in sorted(below[directory])]
            digest = hashlib.sha256()
            for child in self._children[directory]:
                digest.update(f"{child.kind} {child.path.rpartition('/')[2]}\0{child.id}\n".encode())
            self._entries[directory] = Entry(directory, "directory", digest.hexdigest())

    def _leaf(self, path: str) -> Entry:
        if path not in self._entries:
            self._entries[path] = Entry(path, "file", hashlib.sha256(self._content[path]).hexdigest())
        return self._entries[path]

    def _clean(self, path: str) -> str:
        if path.startswith("/"):
            raise self._refused(path)
        parts: list[str] = []
        for part in path.split("/"):
            if part == "..":
                if not parts:
                    raise self._refused(path)
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return "/".join(parts)

    def _refused(self, path: str) -> SourceRefused:
        return SourceRefused(f"{self._origin} {self._revision}: {path[:200]!r} leads out of the chart")


def unpacked(archive: bytes, what: str) -> dict[str, bytes]:
    """The files by their path below the chart's directory. Raises SourceRefused; `what` names the chart in it."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_inflated(archive, what)), mode="r:") as tar:
            for number, member in enumerate(tar):
                if number >= _MOST_FILES:
                    raise SourceRefused(f"{what}: its archive has more than {_MOST_FILES} entries")
                if member.isdir():
                    continue
                path = _path(member, what)  # refuses links, which tarfile would follow
                found[path] = _content(tar, member, what)
    except (tarfile.TarError, KeyError, EOFError, OSError, ValueError) as error:
        raise SourceRefused(f"{what}: its archive is damaged: {error}") from None
    for path in found:
        if any(parent in found for parent in _parents(path)):
            raise SourceRefused(f"{what}: its archive has {path[:200]!r} below a file")
    if "Chart.yaml" not in found:
        raise SourceRefused(f"{what}: its archive has no Chart.yaml in its first directory")
    return found


def _inflated(archive: bytes, what: str) -> bytes:
    """Never more than the bound, however well it was packed."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        data = inflate.decompress(archive, _LARGEST_UNPACKED + 1)
    except zlib.error as error:
        raise SourceRefused(f"{what}: its archive is not gzip: {error}") from None
    if len(data) > _LARGEST_UNPACKED:
        raise SourceRefused(f"{what}: its archive unpacks to more than {_LARGEST_UNPACKED >> 20} MiB")
    if not inflate.eof:
        raise SourceRefused(f"{what}: its archive ends too early")
    return data


def _path(member: tarfile.TarInfo, what: str) -> str:
    name = member.name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or (parts and ":" in parts[0]) or len(name) > _LONGEST_PATH:
        raise SourceRefused(f"{what}: its archive has {member.name[:200]!r}, which leads out of the chart")
    if not member.isreg() or member.issparse():
        raise SourceRefused(f"{what}: its archive has {member.name[:200]!r}: only files and directories are allowed")
    if len(parts) < 2:
        raise SourceRefused(f"{what}: its archive has {member.name[:200]!r} outside of the chart's directory")
    return "/".join(parts[1:])


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, what: str) -> bytes:
    if member.size > _LARGEST_FILE:
        raise SourceRefused(f"{what}: {member.name[:200]!r} is larger than {_LARGEST_FILE >> 20} MiB")
    file = tar.extractfile(member)
    data = file.read() if file is not None else b""
    if len(data) != member.size:
        raise SourceRefused(f"{what}: its archive ends inside {member.name[:200]!r}")
    return data


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
