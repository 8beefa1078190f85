"""Files: one source at one revision, read-only. What rendering reads, and by which ids it knows what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from seatrial.base.errors import Retryable, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator


class SourceFailed(Retryable):
    """The source could not be read now: network, credentials, a branch that is not there. Asked again later."""

    reason = "ComparisonError"


class SourceRefused(Terminal):
    """The source is not as it may be: a link that leaves it, too many or too large files."""

    reason = "ComparisonError"


class Entry(NamedTuple):
    path: str
    kind: Literal["file", "directory"]
    id: str
    """Of the content: equal ids, equal content (a Git object id, or a digest)."""


class Files(Protocol):
    """Paths are relative, with `/`; links are followed inside the source and nowhere else.

    Reading is quick (memory or a local object store) and done in any thread.
    """

    @property
    def origin(self) -> str:
        """What it is a revision of: the normalised URL, with the chart's name for a chart."""

    @property
    def revision(self) -> str:
        """The full commit id, or the version of a chart."""

    def entry(self, path: str) -> Entry | None:
        """None: nothing there. "" is the root. Raises SourceRefused for a way that leaves the source."""

    def read(self, path: str) -> bytes:
        """Raises SourceRefused, FileNotFoundError, IsADirectoryError."""

    def list(self, path: str) -> list[Entry]:
        """What is directly in a directory, by name. Raises as `read`, and NotADirectoryError."""

    def walk(self, path: str) -> Iterator[Entry]:
        """Every file under a directory (or the file itself), in order of their paths."""
