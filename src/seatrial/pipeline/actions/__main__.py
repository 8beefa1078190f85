"""`python -m seatrial.pipeline.actions NAME PHASE`: what a stand-in's JavaScript starts; 1 is a failed step."""

from __future__ import annotations

import importlib
import os
import sys

from seatrial.base.errors import SeatrialError
from seatrial.pipeline.actions.step import Step

_MODULES = {
    "setup-python": "setup_python",
    "cache": "caching",
    "upload-artifact": "artifacts",
    "download-artifact": "artifacts",
    "login": "registries",
    "setup-buildx": "registries",
    "metadata": "metadata",
    "build-push": "building",
    "trivy": "scanning",
    "paths-filter": "changes",
}


def main() -> int:
    name, phase = sys.argv[1:3]
    step = Step(os.environ)
    module = importlib.import_module(f"seatrial.pipeline.actions.{_MODULES[name]}")
    work = getattr(module, f"{name}_{phase}".replace("-", "_"))
    try:
        return int(work(step) or 0)
    except SeatrialError as error:
        step.error(error.message)
    except OSError as error:
        step.error(f"{error.filename or name}: {error.strerror or error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
