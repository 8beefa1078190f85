"""Reading: the Files of a request, and a note of everything that was looked at.

The notes are the key of the render cache: a later revision in which all of them are the same renders to the same.
What was looked for and not found is a note, too. A directory's id says that nothing below it changed; where only its
names mattered, they are compared when the id differs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from seatrial.gitops.render.request import RenderFailed
from seatrial.gitops.sources.files import SourceRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from seatrial.gitops.render.job import Tree
    from seatrial.gitops.render.request import Request
    from seatrial.gitops.sources.files import Entry, Files

OWN = ""
"""The source itself, among the references, which all have a name."""
_LARGEST_SNAPSHOT = 100 << 20
_MOST_FILES = 20_000

KIND, CONTENT, NAMES, TREE_NAMES, REVISION, CLUSTER = "kind", "content", "names", "tree", "revision", "cluster"


class Note(NamedTuple):
    of: str
    """What was looked at: one of the words above."""
    source: str
    path: str
    found: str
    """An id, a kind, or "" for nothing there."""
    names: str = ""
    """A digest of the names in it: when `found` differs, and these do not, nothing that matters changed."""


class Notes:
    def __init__(self) -> None:
        self._notes: dict[tuple[str, str, str], Note] = {}

    def add(self, note: Note) -> None:
        self._notes.setdefault(note[:3], note)

    def all(self) -> tuple[Note, ...]:
        """A directory read as a whole covers what is in it."""
        whole = {(note.source, note.path) for note in self._notes.values() if note.of == CONTENT}
        return tuple(note for note in self._notes.values() if not _is_covered(note, whole))


class Recorded:
    """Files that note what is asked of them. A `Files` itself."""

    def __init__(self, files: Files, source: str, notes: Notes) -> None:
        self._files = files
        self._source = source
        self._notes = notes

    @property
    def origin(self) -> str:
        return self._files.origin

    @property
    def revision(self) -> str:
        return self._files.revision

    def entry(self, path: str) -> Entry | None:
        found = self._files.entry(path)
        self._note(KIND, path, "" if found is None else found.kind)
        return found

    def read(self, path: str) -> bytes:
        self._note(CONTENT, path, _id(self._files, path))
        return self._files.read(path)

    def list(self, path: str) -> list[Entry]:
        found = self._files.list(path)
        self._note(NAMES, path, _id(self._files, path), names_digest(found))
        return found

    def walk(self, path: str) -> Iterator[Entry]:
        found = list(self._files.walk(path))
        self._note(TREE_NAMES, path, _id(self._files, path), names_digest(found))
        yield from found

    def everything(self, path: str) -> Tree:
        """All files below a directory by their path in it: one note for all. Raises as `walk`."""
        self._note(CONTENT, path, _id(self._files, path))
        found: dict[str, bytes] = {}
        size = 0
        prefix = len(path) + 1 if path else 0
        for entry in self._files.walk(path):
            content = self._files.read(entry.path)
            size += len(content)
            if size > _LARGEST_SNAPSHOT or len(found) >= _MOST_FILES:
                raise SourceRefused(
                    f"{self.origin}: {path or '.'} has more than {_LARGEST_SNAPSHOT >> 20} MiB or {_MOST_FILES} files"
                )
            found[entry.path[prefix:]] = content
        return tuple(found.items())

    def _note(self, of: str, path: str, found: str, names: str = "") -> None:
        self._notes.add(Note(of, self._source, path, found, names))


class Reading:
    def __init__(self, request: Request) -> None:
        self.notes = Notes()
        self.files = Recorded(request.files, OWN, self.notes)
        self._request = request
        self._references: dict[str, Recorded] = {}
        self.unsealed: list[str] = []
        """Files that were decrypted: they keep the outcome out of every cache."""
        self.secrets: set[str] = set()
        """What these hide: it is struck out of what errors say."""

    def reference(self, name: str) -> Recorded:
        """Raises RenderFailed."""
        files = self._request.references.get(name)
        if files is None:
            raise RenderFailed(f"${name}: no source has `ref: {name}`")
        return self._references.setdefault(name, Recorded(files, name, self.notes))

    def has_reference(self, name: str) -> bool:
        return name in self._request.references

    def uses_revision(self) -> None:
        self.notes.add(Note(REVISION, OWN, "", self._request.files.revision))

    def uses_cluster(self) -> None:
        self.notes.add(Note(CLUSTER, OWN, "", cluster_digest(self._request)))


def holds(notes: Iterable[Note], request: Request) -> bool:
    """Whether `request` would find all of it as noted. Some microseconds a note. May raise SeatrialError."""
    return all(_holds(note, request, request.references) for note in notes)


def _holds(note: Note, request: Request, references: Mapping[str, Files]) -> bool:
    if note.of == REVISION:
        return note.found == request.files.revision
    if note.of == CLUSTER:
        return note.found == cluster_digest(request)
    files = request.files if note.source == OWN else references.get(note.source)
    if files is None:
        return False
    entry = files.entry(note.path)
    if note.of == KIND:
        return note.found == ("" if entry is None else entry.kind)
    if entry is None:
        return not note.found
    if entry.id == note.found:
        return True
    if not note.names or entry.kind != "directory":
        return False
    return note.names == names_digest(files.list(note.path) if note.of == NAMES else files.walk(note.path))


def names_digest(entries: Iterable[Entry]) -> str:
    text = "\n".join(f"{entry.kind} {entry.path}" for entry in entries)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def cluster_digest(request: Request) -> str:
    text = "\n".join((request.kube_version, *request.api_versions))
    return hashlib.sha256(text.encode()).hexdigest()


def _id(files: Files, path: str) -> str:
    entry = files.entry(path)
    return "" if entry is None else entry.id


def _is_covered(note: Note, whole: set[tuple[str, str]]) -> bool:
    if note.of in (REVISION, CLUSTER):
        return False
    path = note.path
    while path:
        path = path.rpartition("/")[0]
        if (note.source, path) in whole:
            return True
    return False
