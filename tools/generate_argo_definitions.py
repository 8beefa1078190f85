"""Make the CustomResourceDefinitions of Application and AppProject from those of the Argo CD version we follow.

Only facts are taken: names, types, required fields, formats, printer columns. Descriptions are left behind.
Run: `python tools/generate_argo_definitions.py` (needs `go`, which finds or fetches the module).
"""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import yaml

MODULE, VERSION = "github.com/argoproj/argo-cd/v3", "v3.6.1"
KINDS = ("application", "appproject")
TARGET = Path(__file__).parents[1] / "src/seatrial/gitops/api/data"


def module_archive() -> Path:
    """The module as Go's proxy packs it: readable also where the Go at hand is too old to build it."""
    command = ["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"]
    found = json.loads(subprocess.run(command, check=False, capture_output=True).stdout)
    if not found.get("Zip") or not found.get("Sum"):
        raise SystemExit(f"{MODULE}@{VERSION}: {found.get('Error', 'not found')}")
    return Path(found["Zip"])


def undescribed(schema: Any) -> Any:
    """A schema without its prose. A field *called* description stays: it is a key of `properties`."""
    if isinstance(schema, list):
        return [undescribed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "description"}
    properties = kept.pop("properties", None)
    kept = {key: undescribed(value) for key, value in kept.items()}
    if properties is not None:
        kept["properties"] = {name: undescribed(value) for name, value in properties.items()}
    return kept


def definition(read: dict[str, Any]) -> dict[str, Any]:
    spec = read["spec"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": read["metadata"]["name"], "labels": read["metadata"]["labels"]},
        "spec": {
            "group": spec["group"],
            "scope": spec["scope"],
            "names": spec["names"],
            "versions": [undescribed(version) for version in spec["versions"]],
        },
    }


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    with zipfile.ZipFile(module_archive()) as archive:
        for kind in KINDS:
            read = yaml.safe_load(archive.read(f"{MODULE}@{VERSION}/manifests/crds/{kind}-crd.yaml"))
            made = json.dumps(definition(read), separators=(",", ":"), sort_keys=True) + "\n"
            (TARGET / f"{kind}.json").write_text(made, encoding="utf-8")
            print(f"{kind}.json: {len(made)} bytes, of {MODULE}@{VERSION}")


if __name__ == "__main__":
    main()
