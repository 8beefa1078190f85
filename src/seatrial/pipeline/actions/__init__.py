"""Stand-ins for the actions that need GitHub or Docker: the same inputs and outputs, done on this machine.

`definitions/OWNER/REPO/action.yml` is what act reads. Its JavaScript is two lines that start this package with our own
Python (`__main__`), so that a workflow may use them at any ref, and no Node is needed (`bin/node`).
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
DEFINITIONS = HERE / "definitions"
BIN = HERE / "bin"
"""First on the PATH of a run: `node` for machines that have none."""


def stand_ins() -> dict[str, Path]:
    """`owner/repo`, in lower case, of every action that is done here."""
    return {f"{owner.name}/{folder.name}": folder for owner in DEFINITIONS.iterdir() for folder in owner.iterdir()}
