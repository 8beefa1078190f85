"""The report: Trivy's JSON (schema 2), a table, or SARIF; with what it was compared with, and what with nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")
_HEADS = ("TARGET", "PACKAGE", "VULNERABILITY", "SEVERITY", "INSTALLED", "FIXED", "TITLE")
_WIDEST = 60
_LEVELS = {"CRITICAL": "error", "HIGH": "error", "MEDIUM": "warning"}


@dataclass(frozen=True, slots=True)
class Source:
    """What was compared with; `date` is its own, not that of the scan."""

    name: str
    url: str
    date: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.name} of {self.date}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True, slots=True)
class Finding:
    identifier: str
    package: str
    installed: str
    fixed: str
    severity: str
    title: str
    severity_source: str
    link: str
    source: str
    path: str = ""


@dataclass(slots=True)
class Target:
    name: str
    kind: str
    type: str
    findings: list[Finding] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    checked_packages: int = 0


@dataclass(slots=True)
class Report:
    artifact: str
    artifact_type: str
    created: str
    scanner: str
    system: tuple[str, str] = ("", "")
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def sources(self) -> list[Source]:
        return [source for target in self.targets for source in target.sources]

    @property
    def unchecked(self) -> list[str]:
        return [*self.notes, *(line for target in self.targets for line in target.unchecked)]

    @property
    def findings(self) -> list[Finding]:
        return [finding for target in self.targets for finding in target.findings]

    def keep(self, severities: tuple[str, ...], *, only_fixed: bool) -> None:
        """Leave out what was not asked for."""
        for target in self.targets:
            target.findings = [
                finding
                for finding in target.findings
                if finding.severity in severities and (finding.fixed or not only_fixed)
            ]


def shown(report: Report, form: str) -> str:
    if form == "json":
        return _json(_document(report))
    return _json(_sarif(report)) if form == "sarif" else _table(report)


def _json(document: dict[str, Any]) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def _document(report: Report) -> dict[str, Any]:
    sources = [{"Name": at.name, "URL": at.url, "Date": at.date, "Note": at.note} for at in report.sources]
    return {
        "SchemaVersion": 2,
        "CreatedAt": report.created,
        "ArtifactName": report.artifact,
        "ArtifactType": report.artifact_type,
        "Metadata": {
            "OS": {"Family": report.system[0], "Name": report.system[1]},
            "Scanner": report.scanner,
            "DataSources": sources,
            "Unchecked": report.unchecked,
        },
        "Results": [
            {
                "Target": f"{report.artifact} ({target.name})",
                "Class": target.kind,
                "Type": target.type,
                "Vulnerabilities": [_vulnerability(finding) for finding in target.findings],
            }
            for target in report.targets
        ],
    }


def _vulnerability(finding: Finding) -> dict[str, Any]:
    return {
        "VulnerabilityID": finding.identifier,
        "PkgID": f"{finding.package}@{finding.installed}",
        "PkgName": finding.package,
        **({"PkgPath": finding.path} if finding.path else {}),
        "InstalledVersion": finding.installed,
        "FixedVersion": finding.fixed,
        "Status": "fixed" if finding.fixed else "affected",
        "Severity": finding.severity,
        "SeveritySource": finding.severity_source,
        "Title": finding.title,
        "PrimaryURL": finding.link,
        "DataSource": {"URL": finding.source},
    }


def _sarif(report: Report) -> dict[str, Any]:
    return {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [
            {
                "tool": {"driver": {"name": report.scanner, "rules": []}},
                "properties": {"dataSources": [str(at) for at in report.sources], "unchecked": report.unchecked},
                "results": [
                    {
                        "ruleId": finding.identifier,
                        "level": _LEVELS.get(finding.severity, "note"),
                        "message": {
                            "text": f"{finding.package} {finding.installed}: {finding.title} "
                            f"(fixed in: {finding.fixed or 'nothing yet'})"
                        },
                        "locations": [
                            {"physicalLocation": {"artifactLocation": {"uri": finding.path or report.artifact}}}
                        ],
                    }
                    for finding in report.findings
                ],
            }
        ],
    }


def _table(report: Report) -> str:
    lines = [f"{report.artifact}: {len(report.findings)} findings, by {report.scanner}"]
    rows = [
        (target.type, found.package, found.identifier, found.severity, found.installed, found.fixed, found.title)
        for target in report.targets
        for found in target.findings
    ]
    if rows:
        cells = [_HEADS, *(tuple(_plain(cell) for cell in row) for row in rows)]
        widths = [max(len(row[column]) for row in cells) + 2 for column in range(len(_HEADS))]
        lines += [
            "".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
    lines += [f"compared with: {source}" for source in report.sources]
    lines += [f"NOT CHECKED: {line}" for line in report.unchecked]
    return "\n".join(lines) + "\n"


def _plain(cell: str) -> str:
    """What an image says of itself is printed on a terminal."""
    return "".join(mark if mark.isprintable() else "?" for mark in cell)[:_WIDEST]
