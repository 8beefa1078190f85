"""From a name, an archive or a directory to a report: fetch, look inside, compare.

`trivy` does it where it can; else the lists that Debian signs and what PyPI states. Next: `report.py`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.base.errors import Terminal
from seatrial.pipeline.images import names, push, tool
from seatrial.pipeline.images.buildah import PROGRAM as BUILDAH
from seatrial.pipeline.images.buildah import Buildah
from seatrial.pipeline.images.debian import Archive
from seatrial.pipeline.images.scan import contents, debianlists, trivy
from seatrial.pipeline.images.scan.advisories import Advisories
from seatrial.pipeline.images.scan.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.base.clock import Clock
    from seatrial.pipeline.images.names import Registry
    from seatrial.pipeline.images.scan.report import Target

_ARCHIVES = ("oci-archive", "docker-archive")


class NoSuchArtifact(Terminal):
    reason = "NoSuchImage"


class Scanner:
    def __init__(self, cache: Path, environment: Mapping[str, str], registry: Registry | None, clock: Clock) -> None:
        self._cache = cache
        self._environment = dict(environment)
        self._registry = registry
        self._clock = clock

    def image(self, name: str) -> Report:
        """One that was built here, else that of the registry. Raises NoSuchArtifact, UnreadableImage, ToolMissing."""
        with tempfile.TemporaryDirectory(prefix="seatrial-scan-") as scratch:
            self._fetch(name, Path(scratch) / "image")
            return self._scan(name, "container_image", Path(scratch) / "image")

    def archive(self, path: Path) -> Report:
        """Raises NoSuchArtifact, UnreadableImage, ToolMissing."""
        if not path.is_file():
            raise NoSuchArtifact(f"there is no file {path}: expected what `docker save` or `skopeo copy` wrote")
        with tempfile.TemporaryDirectory(prefix="seatrial-scan-") as scratch:
            said = ""
            for transport in _ARCHIVES:
                try:
                    self._copy([f"{transport}:{path}"], Path(scratch) / transport)
                except tool.ToolFailed as error:
                    said = error.message
                    continue
                return self._scan(str(path), "container_image", Path(scratch) / transport)
            raise contents.UnreadableImage(f"{path} is neither an oci-archive nor a docker-archive: {said}")

    def directory(self, root: Path) -> Report:
        """Raises UnreadableImage."""
        found = contents.of_directory(root)
        targets, note = self._by_trivy(["rootfs", str(root)])
        return self._report(str(root), "filesystem", found, targets, note)

    def _fetch(self, text: str, to: Path) -> None:
        name = names.parse(text)
        if tool.find(BUILDAH, self._environment) is not None:
            buildah = Buildah(self._cache, self._environment)
            if buildah.has(str(name)):
                buildah.output("push", "--quiet", "--disable-compression", str(name), f"dir:{to}")
                return
        place = names.place(name, self._registry)
        try:
            options = push.access(place, self._registry, "--src-tls-verify")
            self._copy([*options, f"docker://{place.reference}"], to)
        except tool.ToolFailed as error:
            raise NoSuchArtifact(f"{name} was not built here, and {place.reference} not fetched: {error.message}",
                                 detail=error.said) from error  # fmt: skip

    def _copy(self, source: list[str], to: Path) -> None:
        skopeo = tool.require("skopeo", self._environment)
        tool.output([skopeo, "copy", "--quiet", *source, f"dir:{to}"], self._environment)

    def _scan(self, artifact: str, kind: str, directory: Path) -> Report:
        found = contents.of_image(directory)
        if tool.find(trivy.PROGRAM, self._environment) is None:
            return self._report(artifact, kind, found, None, "")
        saved = directory.with_name("image.tar")
        self._convert(directory, saved)
        targets, note = self._by_trivy(["image", "--input", str(saved)])
        return self._report(artifact, kind, found, targets, note)

    def _convert(self, directory: Path, saved: Path) -> None:
        skopeo = tool.require("skopeo", self._environment)
        tool.output([skopeo, "copy", "--quiet", f"dir:{directory}", f"docker-archive:{saved}"], self._environment)

    def _by_trivy(self, what: list[str]) -> tuple[list[Target] | None, str]:
        if tool.find(trivy.PROGRAM, self._environment) is None:
            return None, ""
        try:
            return trivy.check(what, self._environment), ""
        except tool.ToolFailed as error:
            return None, f"by trivy, which is here: {error.message}"

    def _report(
        self, artifact: str, kind: str, found: contents.Contents, targets: list[Target] | None, note: str
    ) -> Report:
        report = Report(artifact, kind, rfc3339(self._clock.time()), trivy.PROGRAM, (found.family, found.release))
        if targets is not None:
            report.targets = targets
            return report
        report.scanner = "seatrial's offline scan"
        report.notes += [note] if note else []
        if found.debian:
            archive = Archive(self._cache, self._environment)
            report.targets.append(debianlists.check(found, archive, self._clock))
        if found.python:
            report.targets.append(Advisories(self._cache, self._clock).check(found))
        if not found.debian and not found.python:
            report.notes.append("no packages of Debian and no Python distributions were found in it")
        return report
