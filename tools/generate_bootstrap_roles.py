"""Make `bootstrap.json`, the default RBAC objects, from the policy files of the Kubernetes version we follow.

Run: `python tools/generate_bootstrap_roles.py` (needs `go`, which finds or fetches the module).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

MODULE = "k8s.io/kubernetes@v1.37.2"
SOURCE = "plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata"
FILES = (
    "cluster-roles.yaml",
    "controller-roles.yaml",
    "cluster-role-bindings.yaml",
    "controller-role-bindings.yaml",
    "namespace-roles.yaml",
    "namespace-role-bindings.yaml",
)
TARGET = Path(__file__).parents[1] / "src/seatrial/cluster/apiserver/auth/data/bootstrap.json"
API_VERSION = "rbac.authorization.k8s.io/v1"
COMMON = {
    "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
}


def module_directory() -> Path:
    found = subprocess.run(["go", "mod", "download", "-json", MODULE], check=True, capture_output=True)
    return Path(json.loads(found.stdout)["Dir"])


def compact(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without what all of them have in common; the loader puts it back."""
    if obj.pop("apiVersion") != API_VERSION:
        raise SystemExit(f"{obj['kind']} {obj['metadata']['name']} is not of {API_VERSION}")
    metadata = obj["metadata"]
    for key, common in COMMON.items():
        left = metadata.pop(key)
        for name, value in common.items():
            if left.pop(name) != value:
                raise SystemExit(f"{obj['kind']} {metadata['name']} differs from the others in {key} {name}")
        if left:
            metadata[key] = left
    return {key: value for key, value in obj.items() if value is not None}


def main() -> None:
    source = module_directory() / SOURCE
    found = [
        compact(obj) for name in FILES for obj in yaml.safe_load((source / name).read_text(encoding="utf-8"))["items"]
    ]
    lines = [json.dumps(obj, separators=(",", ":"), sort_keys=True) for obj in found]
    TARGET.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    print(f"{TARGET.name}: {len(found)} objects of {MODULE}")


if __name__ == "__main__":
    main()
