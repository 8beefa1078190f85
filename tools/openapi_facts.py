"""Reads what `/openapi` needs beyond the packaged definitions: gnostic's protobuf form, and upstream's defaults."""

from __future__ import annotations

import json
import re
from typing import Any

import go_modules

_MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^ +(repeated )?([\w.]+) (\w+) = (\d+);", re.MULTILINE)
ANY_KEY = "*"
"""Stands for every key that is not a field: such a message is a map."""
EXTENSION = "x-"
"""Stands for every key that starts so."""


def gnostic() -> dict[str, Any]:
    """Message -> JSON key -> [field number, type, repeated], for every message of OpenAPIv2.proto."""
    folder = go_modules.directory("github.com/google/gnostic-models", go_modules.GNOSTIC)
    text = (folder / "openapiv2/OpenAPIv2.proto").read_text(encoding="utf-8")
    return {
        "gnostic": go_modules.GNOSTIC,
        "messages": {name: _fields(body) for name, body in _MESSAGE.findall(text)},
    }


def _fields(body: str) -> dict[str, list[Any]]:
    return {
        _json_key(name, kind): [int(number), kind, bool(repeated)]
        for repeated, kind, name, number in _FIELD.findall(body)
    }


def _json_key(name: str, kind: str) -> str:
    if kind.startswith("Named"):
        return EXTENSION if name == "vendor_extension" else ANY_KEY
    if name == "_ref":
        return "$ref"
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def defaults() -> dict[str, Any]:
    """Definition -> property -> default, where stable types have one that is not simply the zero value."""
    folder = go_modules.directory("k8s.io/kubernetes", go_modules.KUBERNETES) / "api/openapi-spec/v3"
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.json")):
        schemas = json.loads(file.read_text(encoding="utf-8")).get("components", {}).get("schemas", {})
        for name, schema in schemas.items():
            given = {
                key: node["default"]
                for key, node in schema.get("properties", {}).items()
                if node.get("default") and "$ref" not in node
            }
            if given and re.search(r"\.v\d+\.\w+$", name):
                found[name] = given
    return {"kubernetes": go_modules.KUBERNETES, "defaults": dict(sorted(found.items()))}
