"""What is in an image, read from the files of its layers or from a directory; nothing of it is executed.

Layers are strangers' archives: no path of theirs is written, only a few small files are read. Next: `debianlists.py`,
`advisories.py`.
"""

from __future__ import annotations

import email.parser
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import orjson

from seatrial.base.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_STATUS, _STATUS_PARTS = "var/lib/dpkg/status", "var/lib/dpkg/status.d/"
_RELEASES = ("etc/os-release", "usr/lib/os-release")
_METADATA = (".dist-info/METADATA", ".egg-info/PKG-INFO", ".egg-info")
_OF_PACKAGES = ("usr/lib/python3/", "usr/share/")
"""What is installed below is of Debian's packages, and fixed by them."""
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_LONGEST = 32 * 1024 * 1024
_MOST_MEMBERS = 2_000_000


class UnreadableImage(Terminal):
    reason = "UnreadableImage"


@dataclass(frozen=True, slots=True, order=True)
class Package:
    name: str
    version: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    family: str = ""
    """ID of os-release."""
    release: str = ""
    codename: str = ""
    architecture: str = ""
    debian: tuple[Package, ...] = ()
    python: tuple[Package, ...] = ()


@dataclass(slots=True)
class _Files:
    """The files that matter, as the layers so far leave them."""

    found: dict[str, bytes] = field(default_factory=dict)

    def drop(self, path: str, *, only_below: bool) -> None:
        for known in list(self.found):
            if known.startswith(f"{path}/" if path else "") or (known == path and not only_below):
                del self.found[known]


def of_image(directory: Path) -> Contents:
    """Of what skopeo's `dir:` has: a manifest, and the layers by their digests. Raises UnreadableImage."""
    files = _Files()
    try:
        manifest = orjson.loads((directory / "manifest.json").read_bytes())
        for layer in manifest["layers"]:
            _add_layer(files, directory / str(layer["digest"]).partition(":")[2].replace("/", ""))
    except (OSError, ValueError, KeyError, TypeError, EOFError, tarfile.TarError, zlib.error) as error:
        raise UnreadableImage(f"the image cannot be read: {error}; expected layers of plain or gzip tar") from error
    return _understood(files.found)


def of_directory(root: Path) -> Contents:
    """Raises UnreadableImage."""
    if not root.is_dir():
        raise UnreadableImage(f"{root} is no directory: expected a root file system")
    found = {}
    for path in _candidates(root):
        relative = path.relative_to(root).as_posix()
        # Links may lead out of the directory: what they name is no part of it, but for os-release, which is often one.
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LONGEST:
            continue
        found[relative] = path.read_bytes()
    return _understood(found)


def _candidates(root: Path) -> Iterator[Path]:
    yield from (root / name for name in (*_RELEASES, _STATUS))
    if (root / _STATUS_PARTS).is_dir():
        yield from (root / _STATUS_PARTS).iterdir()
    yield from root.rglob("*.dist-info/METADATA")
    yield from root.rglob("*.egg-info/PKG-INFO")


def _add_layer(files: _Files, path: Path) -> None:
    added = {}
    with tarfile.open(path, "r|*") as tar:
        for number, member in enumerate(tar):
            if number > _MOST_MEMBERS:
                raise UnreadableImage(f"a layer has more than {_MOST_MEMBERS} entries")
            name = str(PurePosixPath("/", member.name)).lstrip("/")
            directory, _, last = name.rpartition("/")
            if last == _OPAQUE:
                files.drop(directory, only_below=True)
            elif last.startswith(_WHITEOUT):
                files.drop(f"{directory}/{last.removeprefix(_WHITEOUT)}".lstrip("/"), only_below=False)
            elif not member.isdir():
                files.drop(name, only_below=False)
                if member.isfile() and member.size <= _LONGEST and _matters(name):
                    content = tar.extractfile(member)
                    added[name] = content.read() if content else b""
    files.found.update(added)


def _matters(name: str) -> bool:
    return name in (_STATUS, *_RELEASES) or name.startswith(_STATUS_PARTS) or name.endswith(_METADATA)


def _understood(files: dict[str, bytes]) -> Contents:
    release = next((_assignments(files[name]) for name in _RELEASES if name in files), {})
    stanzas = [files[name] for name in files if name == _STATUS or name.startswith(_STATUS_PARTS)]
    installed = [fields for text in stanzas for fields in stanzas_of(text.decode(errors="replace"), _FIELDS)]
    debian = {
        Package(fields["Package"], fields["Version"])
        for fields in installed
        if "Package" in fields and "Version" in fields and fields.get("Status", "installed").endswith("installed")
    }
    architectures = [fields.get("Architecture", "all") for fields in installed]
    return Contents(
        family=release.get("ID", ""),
        release=release.get("VERSION_ID", ""),
        codename=release.get("VERSION_CODENAME", ""),
        architecture=next((name for name in architectures if name != "all"), ""),
        debian=tuple(sorted(debian)),
        python=tuple(sorted(_distributions(files))),
    )


_FIELDS = ("Package", "Version", "Status", "Architecture")


def stanzas_of(text: str, wanted: Iterable[str]) -> Iterator[dict[str, str]]:
    """Paragraphs of a Debian control file, of each the fields asked for."""
    starts = tuple(f"{name}: " for name in wanted)
    for paragraph in text.split("\n\n"):
        lines = (line.partition(": ") for line in paragraph.split("\n") if line.startswith(starts))
        if fields := {name: value.strip() for name, _, value in lines}:
            yield fields


def _assignments(content: bytes) -> dict[str, str]:
    lines = (line.partition("=") for line in content.decode(errors="replace").splitlines())
    return {name.strip(): value.strip().strip("\"'") for name, equals, value in lines if equals}


def _distributions(files: dict[str, bytes]) -> Iterator[Package]:
    for name, content in files.items():
        if name.endswith(_METADATA) and not name.startswith(_OF_PACKAGES):
            fields = email.parser.HeaderParser().parsestr(content.decode(errors="replace"))
            if fields["Name"] and fields["Version"]:
                yield Package(str(fields["Name"]), str(fields["Version"]), name)
