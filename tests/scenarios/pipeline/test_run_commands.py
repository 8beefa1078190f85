"""`seatrial run ...` against a live API and runs that really run."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scenarios.pipeline.conftest import CommandLine

FAILING = """
- name: Fine
  run: echo all is well
- name: Broken
  run: echo it broke; exit 3
"""


async def test_runs_are_listed_and_viewed(command_line: CommandLine) -> None:
    cli = command_line
    assert await cli("run", "list") == ""
    await cli("run", "view", code=1)
    commit = await cli.yard.workflow(FAILING)
    await cli.yard.ended()
    (line,) = (await cli("run", "list", "-L", "5", "-b", "main", "-w", "ci.yml", "-s", "failure")).splitlines()
    assert line.split("\t")[:7] == ["completed", "failure", "change", "CI", "main", "push", "1"]
    assert await cli("run", "list", "-b", "other") == ""
    assert await cli("run", "list", "-o", "name") == "shop-1\n"
    found = json.loads(await cli("run", "list", "--json", "databaseId,headSha,conclusion"))
    assert found == [{"databaseId": 1, "headSha": commit, "conclusion": "failure"}]
    assert await cli("run", "list", "--json", "databaseId", "-q", ".[0].databaseId") == "1\n"
    assert "Unknown JSON field" in cli.said or await cli("run", "list", "--json", "nonsense", code=2) == ""
    shown = await cli("run", "view", "1")
    assert "X main CI · 1" in shown
    assert "  X Broken" in shown
    assert "Process completed with exit code 3." in shown
    assert json.loads(await cli("run", "view", "1", "--json", "jobs"))["jobs"][0]["steps"][1]["name"] == "Fine"
    assert "Fine" in await cli("run", "view", "--job", "1001")
    await cli("run", "view", "1", "--exit-status", code=1)
    heads, row = (await cli.kubectl("get", "plr", "-n", "argocd")).splitlines()
    assert heads.split() == ["NAME", "STATUS", "CONCLUSION", "EVENT", "BRANCH", "COMMIT", "AGE"]
    assert row.split()[:6] == ["shop-1", "completed", "failure", "push", "main", commit]
    await cli("run", "view", "99", code=1)
    assert "could not find any workflow run with ID 99" in cli.said


async def test_the_log_of_what_failed_is_told_apart(command_line: CommandLine) -> None:
    cli = command_line
    await cli.yard.workflow(FAILING)
    await cli.yard.ended()
    log = await cli("run", "view", "1", "--log")
    assert "all is well" in log
    assert "it broke" in log
    failed = await cli("run", "view", "1", "--log-failed")
    assert "all is well" not in failed
    assert "it broke" in failed
    assert await cli("run", "view", "1", "--log", "--job", "1001") == log


async def test_a_run_is_watched_rerun_and_cancelled(command_line: CommandLine) -> None:
    cli = command_line
    await cli.yard.workflow("- run: echo started; sleep $(( 2 + 400 * (GITHUB_RUN_ATTEMPT - 1) ))")
    await cli.yard.printed(1, "started")
    watched, log = await asyncio.gather(cli("run", "watch", "1", "--exit-status"), cli("run", "view", "1", "--log"))
    assert watched.splitlines()[-1] == "✓ Run CI (1) completed with 'success'"
    assert "started" in log
    assert "already completed" in await cli("run", "watch", "1")
    await cli("run", "cancel", "1", code=1)
    assert await cli("run", "rerun", "1") == "✓ Requested rerun of run 1\n"
    await cli.yard.printed(1, "started")
    await cli("run", "rerun", "1", code=1)
    assert await cli("run", "cancel", "1") == "✓ Request to cancel workflow 1 submitted.\n"
    run = await cli.yard.ended(1, attempt=2)
    assert run.conclusion == "cancelled"
    assert "started" in await cli("run", "view", "1", "--log", "--attempt", "1")
