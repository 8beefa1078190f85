"""The shells of steps, which stand before the machine's own on the PATH of a run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from seatrial.pipeline import workflow

SHELLS = Path(workflow.__file__).parent / "shells"


def run(name: str, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SHELLS / name), *arguments], env={"PATH": path}, capture_output=True, text=True, timeout=10, check=False
    )


@pytest.mark.parametrize("name", ["bash", "sh"])
def test_it_is_the_machines_own_with_its_exit_code(name: str) -> None:
    done = run(name, f"{SHELLS}:/usr/bin:/bin", "-c", 'echo "$0 $1"; exit 3', "a b", "c")
    assert (done.returncode, done.stdout) == (3, "a b c\n")


def test_bash_is_bash(tmp_path: Path) -> None:
    script = tmp_path / "act" / "workflow" / "0.sh"
    script.parent.mkdir(parents=True)
    script.write_text("set -o pipefail; echo $BASH_VERSION; false | true")
    done = run("bash", f"{SHELLS}:/usr/bin:/bin", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script))
    assert done.returncode == 1 and done.stdout.strip()


def test_a_machine_without_one_is_told_and_not_asked_forever() -> None:
    done = run("bash", str(SHELLS), "-c", "true")
    assert done.returncode == 127 and "bash: not found in PATH" in done.stderr
