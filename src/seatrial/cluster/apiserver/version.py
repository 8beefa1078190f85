"""What `/version` answers: the Kubernetes version whose API this is."""

from __future__ import annotations

import platform

import seatrial

MAJOR, MINOR, PATCH = 1, 37, 2
KUBERNETES = f"v{MAJOR}.{MINOR}.{PATCH}"

INFO: dict[str, str] = {
    "major": str(MAJOR),
    "minor": str(MINOR),
    "emulationMajor": str(MAJOR),
    "emulationMinor": str(MINOR),
    "minCompatibilityMajor": str(MAJOR),
    "minCompatibilityMinor": str(MINOR),
    "gitVersion": f"{KUBERNETES}+seatrial.{seatrial.__version__}",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "",
    "goVersion": "",
    "compiler": f"cpython{platform.python_version()}",
    "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
}
