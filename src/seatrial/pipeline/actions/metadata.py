"""docker/metadata-action: tags and labels of an image from what the run knows of its commit."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import orjson

from seatrial.base.clock import SystemClock, rfc3339
from seatrial.pipeline.actions.step import StepFailed

if TYPE_CHECKING:
    from seatrial.pipeline.actions.step import Step

_DEFAULTS = ["type=schedule", "type=ref,event=branch", "type=ref,event=tag", "type=ref,event=pr"]
_VERSION = re.compile(r"v?(?P<version>(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)(?P<rest>[-+].*)?)")
_KNOWN = ("ref", "sha", "raw", "semver", "pep440", "edge", "match", "schedule")


def metadata_main(step: Step) -> None:
    images = [_image(line) for line in step.lines("images")]
    flavor = dict(line.split("=", 1) for line in step.lines("flavor") if "=" in line)
    found: list[tuple[int, str, bool]] = []
    for line in step.lines("tags") or _DEFAULTS:
        rule = _rule(line)
        if rule.get("enable", "true") == "true":
            found += [
                (_priority(rule), _dressed(tag, rule, flavor), is_version) for tag, is_version in _tags(step, rule)
            ]
    found.sort(key=lambda each: -each[0])
    names = list(dict.fromkeys(tag for _, tag, _ in found))
    latest = flavor.get("latest", "auto")
    if latest == "true" or (latest == "auto" and any(is_version for *_, is_version in found)):
        names.append(f"{flavor.get('prefix', '') if flavor.get('prefixLatest') == 'true' else ''}latest")
    tags = [f"{image}:{name}" for image in images for name in names]
    labels = _labels(step, names[0] if names else "")
    step.output("version", names[0] if names else "")
    step.output("tags", (step.text("sep-tags") or "\n").join(tags))
    step.output("labels", (step.text("sep-labels") or "\n").join(f"{key}={value}" for key, value in labels.items()))
    step.output("json", orjson.dumps({"tags": tags, "labels": labels}).decode())
    step.say("\n".join(tags) or "no tags")


def _image(line: str) -> str:
    return dict(part.split("=", 1) for part in line.split(",") if "=" in part).get("name", line.split(",")[0]).lower()


def _rule(line: str) -> dict[str, str]:
    (parts,) = csv.reader([line])
    rule = dict(part.split("=", 1) for part in parts if "=" in part)
    if "type" not in rule and len(parts) == 1:
        rule = {"type": "raw", "value": parts[0]}
    if rule.get("type") not in _KNOWN:
        raise StepFailed(f"tags: '{line}': expected type= one of {', '.join(_KNOWN)}")
    return rule


def _priority(rule: dict[str, str]) -> int:
    usual = {
        "schedule": 1000,
        "semver": 900,
        "pep440": 900,
        "match": 800,
        "edge": 700,
        "ref": 600,
        "raw": 200,
        "sha": 100,
    }
    return int(rule.get("priority", usual[rule["type"]]))


def _tags(step: Step, rule: dict[str, str]) -> list[tuple[str, bool]]:
    """Each with whether it is that of a release."""
    ref, sha = step.environment.get("GITHUB_REF", ""), step.environment.get("GITHUB_SHA", "")
    branch, tag = _after(ref, "refs/heads/"), _after(ref, "refs/tags/")
    kind = rule["type"]
    if kind == "raw":
        return [(rule["value"], False)]
    if kind == "sha":
        return [(f"{rule.get('prefix', 'sha-')}{sha if rule.get('format') == 'long' else sha[:7]}", False)]
    if kind == "ref":
        wanted = {"branch": branch, "tag": tag, "pr": ""}.get(rule.get("event", ""), "")
        return [(_clean(wanted), bool(tag))] if wanted else []
    if kind == "edge":
        return [("edge", False)] if branch == (rule.get("branch") or _default_branch(step)) else []
    if kind == "match":
        found = re.search(rule.get("pattern", "").strip("/"), tag) if tag else None
        return [(found[int(rule.get("group", 0))], True)] if found else []
    if kind in ("semver", "pep440"):
        version = _VERSION.fullmatch(rule.get("value") or tag)
        return [(_filled(rule.get("pattern", "{{version}}"), version), not version["rest"])] if version else []
    return []


def _default_branch(step: Step) -> str:
    try:
        event = orjson.loads(open(step.variable("GITHUB_EVENT_PATH"), "rb").read())  # noqa: SIM115
        return str(event["repository"]["default_branch"])
    except (OSError, ValueError, KeyError, TypeError):
        return "main"


def _filled(pattern: str, version: re.Match[str]) -> str:
    return re.sub(r"\{\{\s*(version|major|minor|patch|raw)\s*\}\}", lambda found: version[_GROUPS[found[1]]], pattern)


_GROUPS: dict[str, str | int] = {"version": "version", "major": "major", "minor": "minor", "patch": "patch", "raw": 0}


def _dressed(tag: str, rule: dict[str, str], flavor: dict[str, str]) -> str:
    prefix = "" if rule["type"] == "sha" else rule.get("prefix", flavor.get("prefix", ""))
    return _clean(f"{prefix}{tag}{rule.get('suffix', flavor.get('suffix', ''))}")


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text).lstrip(".-")[:128]


def _after(ref: str, start: str) -> str:
    return ref[len(start) :] if ref.startswith(start) else ""


def _labels(step: Step, version: str) -> dict[str, str]:
    where = f"{step.environment.get('GITHUB_SERVER_URL', '')}/{step.environment.get('GITHUB_REPOSITORY', '')}"
    made = {
        "org.opencontainers.image.title": step.environment.get("GITHUB_REPOSITORY", "").partition("/")[2],
        "org.opencontainers.image.url": where,
        "org.opencontainers.image.source": where,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.created": rfc3339(SystemClock().time()),
        "org.opencontainers.image.revision": step.environment.get("GITHUB_SHA", ""),
    }
    return made | dict(line.split("=", 1) for line in step.lines("labels") if "=" in line)
