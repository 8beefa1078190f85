"""`trivy`, where it is on PATH and has its database: its findings in our report."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.pipeline.images import tool
from seatrial.pipeline.images.scan.report import SEVERITIES, Finding, Source, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = "trivy"


def check(what: list[str], environment: Mapping[str, str]) -> list[Target]:
    """`what`: trivy's words for what to scan. Raises ToolFailed: the caller then scans in another way."""
    program = tool.require(PROGRAM, environment)
    with TemporaryDirectory(prefix="seatrial-trivy-") as directory:
        told = Path(directory) / "report.json"
        options = ["--quiet", "--scanners", "vuln", "--format", "json", "--output", str(told)]
        tool.output([program, what[0], *options, *what[1:]], environment)
        try:
            results = orjson.loads(told.read_bytes()).get("Results") or []
            targets = [_target(result) for result in results]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise tool.ToolFailed(PROGRAM, 0, f"its report cannot be read: {error}") from error
    source = _database(program, environment)
    for target in targets:
        target.sources.append(source)
    return targets


def _database(program: str, environment: Mapping[str, str]) -> Source:
    try:
        told = orjson.loads(tool.output([program, "version", "--format", "json"], environment))
        return Source("Trivy's database", "", str(told["VulnerabilityDB"]["UpdatedAt"]))
    except (tool.ToolFailed, ValueError, KeyError, TypeError):
        return Source("Trivy's database", "", "an unknown date")


def _target(result: dict[str, Any]) -> Target:
    found = [_finding(entry) for entry in result.get("Vulnerabilities") or []]
    return Target(str(result["Target"]), str(result.get("Class", "")), str(result.get("Type", "")), found)


def _finding(entry: dict[str, Any]) -> Finding:
    severity = str(entry.get("Severity", "UNKNOWN"))
    return Finding(
        str(entry["VulnerabilityID"]),
        str(entry["PkgName"]),
        str(entry.get("InstalledVersion", "")),
        str(entry.get("FixedVersion", "")),
        severity if severity in SEVERITIES else "UNKNOWN",
        str(entry.get("Title", "")),
        str(entry.get("SeveritySource", "")),
        str(entry.get("PrimaryURL", "")),
        str((entry.get("DataSource") or {}).get("URL", "")),
        str(entry.get("PkgPath", "")),
    )
