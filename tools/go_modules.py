"""Where the Go modules are that the generators read: found in, or fetched into, Go's module cache."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

KUBERNETES = "v1.37.2"
STAGING = "v0.37.2"
GNOSTIC = "v0.7.1"


@cache
def directory(module: str, version: str) -> Path:
    """The unpacked source of `module` at `version`. Needs the `go` command."""
    found = subprocess.run(["go", "mod", "download", "-json", f"{module}@{version}"], check=True, capture_output=True)
    return Path(json.loads(found.stdout)["Dir"])
