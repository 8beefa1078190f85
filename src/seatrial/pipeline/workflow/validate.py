"""What `act` says against a workflow before it runs."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from seatrial.pipeline.workflow.file import WorkflowInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECONDS = 30.0
_PLACED = re.compile(r"Line: (\d+) Column (\d+): ")
_YAML = re.compile(r"yaml: line (\d+): (.*)")
_LONGEST = 500


async def validate(act: Path, source: Path, workflow: str, environment: Mapping[str, str]) -> None:
    """Raises WorkflowInvalid."""
    process = await asyncio.create_subprocess_exec(
        str(act), "--validate", "--workflows", str(source / workflow), "--directory", str(source),
        cwd=source.parent, env=dict(environment), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        raise WorkflowInvalid(workflow, f"checking it took longer than {_SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise problem(workflow, output.decode(errors="replace"))


def problem(workflow: str, said: str) -> WorkflowInvalid:
    """The innermost complaint of the first line that has a place."""
    for line in said.splitlines():
        places = list(_PLACED.finditer(line))
        if places:
            last = places[-1]
            return WorkflowInvalid(workflow, line[last.end() :][:_LONGEST], int(last[1]), int(last[2]))
        if (found := _YAML.search(line)) is not None:
            return WorkflowInvalid(workflow, found[2][:_LONGEST], int(found[1]), 1)
    telling = [line.removeprefix("Error: ") for line in said.splitlines() if line.startswith("Error:")]
    return WorkflowInvalid(workflow, (telling or ["act does not accept it"])[0][:_LONGEST])
