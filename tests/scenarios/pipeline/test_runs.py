from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.gitops.api.repositories import Repositories
from seatrial.kube.model import resources
from seatrial.pipeline.api import names
from seatrial.pipeline.controller import Retention

if TYPE_CHECKING:
    from pytest import MonkeyPatch
    from tests.scenarios.pipeline.conftest import Yard


async def test_a_push_becomes_a_run_that_succeeds(yard: Yard) -> None:
    commit = await yard.workflow(
        """
        - uses: actions/checkout@v4
        - name: Greet
          run: |
            echo "hello from $(git rev-parse HEAD)"
            echo "::warning file=app.py,line=3::mind the gap"
            echo "## It went well" >> "$GITHUB_STEP_SUMMARY"
        - run: "false"
          continue-on-error: true
        - run: echo never
          if: ${{ false }}
        """
    )
    run = await yard.ended()
    assert (run.conclusion, run.commit, run.branch, run.event) == ("success", commit, "main", "push")
    assert run.recorded["decision"]["kind"] == "code"
    (job,) = run.jobs
    assert [(step["name"], step["conclusion"]) for step in job["steps"]] == [
        ("Set up job", "success"),
        ("Run actions/checkout@v4", "success"),
        ("Greet", "success"),
        ("Run false", "success"),
        ("Run echo never", "skipped"),
        ("Complete job", "success"),
    ]
    assert run.recorded["annotations"][0] == {
        "level": "warning", "message": "mind the gap", "path": "app.py", "line": 3, "job": "build", "step": "Greet",
    }  # fmt: skip
    assert run.recorded["summary"] == "## It went well\n"
    assert "build\tGreet\t" in await yard.log()
    assert f"hello from {commit}" in await yard.log()
    assert run.status == names.COMPLETED


async def test_a_step_that_fails_fails_the_run_and_what_needs_it_is_skipped(yard: Yard) -> None:
    await yard.commit(
        {
            ".github/workflows/ci.yml": """
                name: CI
                on: push
                jobs:
                  test:
                    strategy: {fail-fast: false, matrix: {part: [one, two]}}
                    runs-on: ubuntu-latest
                    steps:
                      - run: test ${{ matrix.part }} = one
                      - run: echo not reached
                  deploy:
                    needs: test
                    runs-on: ubuntu-latest
                    steps: [{run: echo deploy}]
                """,
            "app.py": "1",
        }
    )
    run = await yard.ended()
    assert run.conclusion == "failure"
    assert {job["name"]: job["conclusion"] for job in run.jobs} == {
        "test (one)": "success",
        "test (two)": "failure",
        "deploy": "skipped",
    }
    failed = next(job for job in run.jobs if job["name"] == "test (two)")
    assert [step["conclusion"] for step in failed["steps"][1:3]] == ["failure", "skipped"]


async def test_what_a_failing_step_says_last_is_in_the_log(yard: Yard) -> None:
    await yard.workflow(
        "- run: seq 1 900; echo it broke; exit 3\n"
        "- if: always()\n  shell: sh\n  run: seq 1 900; echo this too; exit 1\n"
    )
    run = await yard.ended()
    assert run.conclusion == "failure"
    assert "it broke" in await yard.log() and "this too" in await yard.log()


async def test_each_run_has_a_clean_clone_and_a_scrubbed_environment(yard: Yard, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_HOST", "leaked")
    (yard.directory / "work").mkdir(exist_ok=True)
    await yard.git("init", "-q", "-b", "main")
    await yard.workflow(
        """
        - uses: actions/checkout@v4
        - run: |
            env | sort
            sleep 0.3
            ls "$HOME/.."
            git status --short --ignored
            cat ignored
        """,
        **{".gitignore": "ignored\n", "sub/file": "x"},
    )
    (yard.work / "dirt").write_text("of the working copy")
    run = await yard.ended()
    log = await yard.log()
    assert run.conclusion == "failure"  # there is no file `ignored`
    assert "OF_THE_HOST" not in log
    assert "GITHUB_REPOSITORY=seatrial/shop" in log
    assert f"GITHUB_SHA={run.commit}" in log
    assert "?? dirt" not in log
    assert "event.json" in log
    assert "secrets.yml" not in log


async def test_a_step_may_push_with_the_token_of_its_run(yard: Yard) -> None:
    await yard.workflow(
        """
        - uses: actions/checkout@v4
        - run: |
            git config --get-regexp 'http.*' || true
            git -c user.name=bot -c user.email=bot@example.com commit -q --allow-empty -m "bump [skip ci]"
            git push
        """
    )
    run = await yard.ended()
    log = await yard.log()
    assert run.conclusion == "success", log
    assert "Bearer ***" in log
    assert "[skip ci]" in await yard.event("SkipCI")
    assert [push.ref for push in yard.pushes] == ["refs/heads/main"] * 2
    assert len(await yard.runs()) == 1


async def test_secrets_are_masked_whole_in_lines_and_in_base64(yard: Yard) -> None:
    secret = "correct-horse-battery-staple"
    lines = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA7\nq83vEjRWeJCrze8S\n-----END KEY-----"
    await yard.secret(PASSWORD=secret, KEY=lines)
    await yard.workflow(
        """
        - name: Print
          env: {P: "${{ secrets.PASSWORD }}", K: "${{ secrets.KEY }}"}
          run: |
            echo "plain $P"
            echo "$P" | fold -w 7
            printf '%s' "$P" | base64
            printf 'user:%s' "$P" | base64 -w 12
            echo "$K"
            echo "::error::it was $P"
            echo "sum $P" >> "$GITHUB_STEP_SUMMARY"
            echo "::add-mask::made-up-later"
            echo "made-up-later"
            echo "the end"
        """
    )
    run = await yard.ended()
    shown = await yard.log() + repr(run.object)
    assert "the end" in shown
    for piece in ("correct-horse", "correct", "-horse-", "battery", "staple", "MIIEow", "q83vEj", "made-up-later"):
        assert piece not in shown
    encoded = b64encode(secret.encode()).decode()
    assert encoded[:8] not in shown
    assert encoded[8:20] not in shown
    other = b64encode(f"user:{secret}".encode()).decode()
    assert not any(other[place : place + 8] in shown for place in range(8, len(other) - 8, 4))


async def test_a_run_is_cancelled_with_everything_it_started(yard: Yard) -> None:
    await yard.workflow(
        """
        - run: |
            (setsid nohup sleep 300 >/dev/null 2>&1 &)
            (env -i setsid nohup sleep 301 >/dev/null 2>&1 &)
            trap '' TERM
            echo started
            sleep 300 & wait; sleep 300
        """
    )
    await yard.printed(1, "started")
    await yard.patch(1, {"cancel": 1})
    run = await yard.ended()
    assert run.conclusion == "cancelled"
    assert [job["conclusion"] for job in run.jobs] == ["cancelled"]
    assert yard.leftovers() == []
    assert sleeping(300, 301) == []


async def test_a_daemon_does_not_outlive_a_run_that_succeeds(yard: Yard) -> None:
    await yard.workflow(
        """
        - run: |
            (setsid nohup sleep 310 >/dev/null 2>&1 &)
            (env -i setsid nohup sh -c 'sleep 311 & sleep 312' >/dev/null 2>&1 &)
            sleep 0.2
        """
    )
    assert (await yard.ended()).conclusion == "success"
    assert sleeping(310, 311, 312) == []


async def test_a_job_has_its_time(yard: Yard) -> None:
    await yard.workflow("- run: sleep 300", job="timeout-minutes: 0.01")
    run = await yard.ended()
    assert run.conclusion == "timed_out"
    assert run.jobs[0]["conclusion"] == "timed_out"
    assert "maximum execution time" in run.recorded["annotations"][0]["message"]


async def test_a_syntax_error_is_told_with_file_and_line(yard: Yard) -> None:
    await yard.commit({".github/workflows/ci.yml": "on: push\njobs:\n  a:\n    runs-on: x\n   steps: [\n", "a.py": "1"})
    run = await yard.ended()
    assert run.conclusion == "startup_failure"
    assert run.recorded["annotations"][0]["path"] == ".github/workflows/ci.yml"
    assert run.recorded["annotations"][0]["line"] == 5
    assert run.recorded["message"].startswith(".github/workflows/ci.yml:5:")


async def test_a_key_that_does_not_exist_is_told_with_file_and_line(yard: Yard) -> None:
    await yard.workflow("- run: echo\n  nonsense: 1")
    run = await yard.ended()
    assert run.conclusion == "startup_failure"
    annotation = run.recorded["annotations"][0]
    assert (annotation["path"], annotation["line"]) == (".github/workflows/ci.yml", 8)
    assert "nonsense" in annotation["message"]


async def test_a_run_whose_runner_is_killed_says_so_and_leaves_nothing(yard: Yard) -> None:
    await yard.workflow("- run: (setsid nohup sleep 320 >/dev/null 2>&1 &); echo started; sleep 321")
    await yard.printed(1, "started")
    (warden,) = [int(pid) for pid, line in processes() if "warden.py" in line and str(yard.directory) in line]
    os.kill(warden, signal.SIGKILL)
    run = await yard.ended()
    assert (run.conclusion, run.recorded["reason"]) == ("failure", names.RUNNER_LOST)
    assert yard.leftovers() == []
    assert sleeping(320, 321) == []


async def test_a_run_under_way_when_the_controller_ended_is_marked_and_the_queue_goes_on(yard: Yard) -> None:
    await yard.stop()
    await yard.start(parallel=1)
    await yard.workflow("- run: echo started; test -e /nonexistent || sleep ${{ github.run_number == 1 && 330 || 0 }}")
    await yard.workflow("- run: echo second")
    await yard.printed(1, "started")
    await yard.stop()
    assert yard.leftovers() == []
    await yard.start(parallel=1)
    run = await yard.ended(1)
    assert (run.conclusion, run.recorded["reason"]) == ("failure", names.RUNNER_LOST)
    assert (await yard.ended(2)).conclusion == "success"


async def test_a_push_that_nobody_heard_of_is_run_at_the_next_start(yard: Yard) -> None:
    await yard.commit({"README.md": "x"})
    await yard.event("PushIgnored")
    await yard.stop()
    (yard.work / ".github/workflows").mkdir(parents=True)
    (yard.work / ".github/workflows/ci.yml").write_text(
        "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}"
    )
    await yard.git("add", "-A")
    await yard.git("commit", "-q", "-m", "while away")
    await yard.git("push", "-q", str(yard.directory / "data/git/shop.git"), "HEAD:main")
    await yard.start()
    assert (await yard.ended()).conclusion == "success"


async def test_a_rerun_is_another_attempt(yard: Yard) -> None:
    await yard.workflow("- run: echo attempt $GITHUB_RUN_ATTEMPT")
    await yard.ended()
    await yard.patch(1, {"attempt": 2})
    run = await yard.ended(1, attempt=2)
    assert run.conclusion == "success"
    assert "attempt 2" in await yard.log()
    assert "attempt 1" in await yard.log(query="?attempt=1")


async def test_pushes_at_once_become_runs_of_their_own(yard: Yard) -> None:
    await yard.workflow("- run: echo on $GITHUB_REF_NAME")
    refs = [f"topic{number}" for number in range(4)]
    for ref in refs:
        await yard.git("commit", "-q", "--allow-empty", "-m", ref)
        (yard.work / "app.py").write_text(ref)
        await yard.git("commit", "-q", "-am", ref)
        await yard.git("branch", ref)
    await asyncio.gather(*(yard.git("push", "-q", yard.url, ref) for ref in refs))
    runs = [await yard.ended(id) for id in range(1, 6)]
    assert sorted(run.branch for run in runs[1:]) == refs
    assert {run.conclusion for run in runs} == {"success"}


async def test_one_concurrency_group_runs_one_and_keeps_the_newest_waiting(yard: Yard) -> None:
    head = "on: push\nconcurrency: deploy-${{ github.ref }}"
    await yard.workflow("- run: echo started; sleep 340", head=head)
    await yard.printed(1, "started")
    await yard.workflow("- run: echo two", head=head)
    await yard.workflow("- run: echo three", head=head)
    second = await yard.ended(2)
    assert (second.conclusion, second.recorded["reason"]) == ("cancelled", "Superseded")
    assert [run.status for run in await yard.runs()] == ["in_progress", "completed", "queued"]
    await yard.patch(1, {"cancel": 1})
    assert (await yard.ended(3)).conclusion == "success"


async def test_cancel_in_progress_ends_the_run_before(yard: Yard) -> None:
    head = "on: push\nconcurrency: {group: '${{ github.workflow }}', cancel-in-progress: true}"
    await yard.workflow("- run: echo started; sleep 350", head=head)
    await yard.printed(1, "started")
    await yard.workflow("- run: echo two", head=head)
    assert (await yard.ended(2)).conclusion == "success"
    assert (await yard.ended(1)).conclusion == "cancelled"


async def test_a_commit_that_says_so_and_a_change_of_documents_run_nothing(yard: Yard) -> None:
    await yard.workflow("- run: echo")
    await yard.ended()
    await yard.commit({"app.py": "2"}, message="fix\n\n[skip ci]")
    assert "[skip ci]" in await yard.event("SkipCI")
    await yard.commit({"docs/guide.md": "words"})
    assert "nothing" in await yard.event("PushIgnored")
    await yard.commit({"helm/shop/values.yaml": "tag: 2"})
    assert "sync" in await yard.event("SyncOnly")
    assert len(await yard.runs()) == 1


async def test_a_workflow_is_dispatched_by_creating_a_run(yard: Yard) -> None:
    await yard.workflow("- run: echo hello ${{ inputs.who }}", head="on: {workflow_dispatch: {inputs: {who: {}}}}")
    spec = {"repository": "shop", "workflow": "ci.yml", "event": "workflow_dispatch", "inputs": {"who": "world"}}
    await yard.create("by-hand", spec)
    run = await yard.ended()
    assert (run.conclusion, run.workflow) == ("success", ".github/workflows/ci.yml")
    assert "hello world" in await yard.log(name="by-hand")


async def test_the_log_is_streamed_while_the_run_goes_on(yard: Yard) -> None:
    await yard.workflow("- run: echo first; sleep 1; echo last")
    await yard.until_run(1, lambda run: run.status == "in_progress", "runs")
    log = await yard.log(query="?follow=1")
    assert log.index("first") < log.index("last")


async def test_an_action_may_be_taken_from_this_machine(yard: Yard) -> None:
    folder = yard.directory / "actions" / "greet"
    folder.mkdir(parents=True)
    (folder / "action.yml").write_text(
        "name: greet\ninputs: {who: {}}\noutputs: {said: {value: '${{ steps.it.outputs.said }}'}}\n"
        "runs:\n  using: composite\n  steps:\n    - id: it\n      shell: bash\n"
        "      run: echo said=hello-${{ inputs.who }} >> $GITHUB_OUTPUT\n"
    )
    await yard.stop()
    await yard.start(local_actions={"acme/greet@v1": folder})
    await yard.workflow(
        """
        - uses: acme/greet@v1
          id: greet
          with: {who: ann}
        - run: echo "it said ${{ steps.greet.outputs.said }}"
        """
    )
    run = await yard.ended()
    assert run.conclusion == "success", run.object
    assert "it said hello-ann" in await yard.log()
    assert [step["name"] for step in run.jobs[0]["steps"]][1:3] == [
        "Run acme/greet@v1",
        'Run echo "it said ${{ steps.greet.outputs.said }}"',
    ]


async def test_a_job_that_may_fail_fails_no_run(yard: Yard) -> None:
    await yard.workflow("- run: exit 1", job="continue-on-error: true")
    run = await yard.ended()
    assert (run.conclusion, run.jobs[0]["conclusion"]) == ("success", "failure")


async def test_what_act_itself_says_is_on_the_run(yard: Yard) -> None:
    await yard.workflow("- run: echo hi\n  shell: nosuch {0}", job="if: ${{ github.ref }}")
    run = await yard.ended()
    assert run.conclusion == "failure"
    assert run.recorded["annotations"][0]["message"] == "Cannot find: nosuch in PATH"
    await yard.workflow("- run: echo", job="if: ${{ fromJSON('{') }}")
    run = await yard.ended(2)
    assert run.recorded["reason"] == "ActFailed"
    assert "Error in if-expression" in run.recorded["message"]
    assert "docker" not in run.recorded["message"]


async def test_the_token_of_a_run_is_sent_to_no_stranger(yard: Yard) -> None:
    """act would send it to where it takes actions from."""
    await yard.stop()
    await yard.start(environment={"PATH": os.environ["PATH"], "HTTPS_PROXY": "http://127.0.0.1:9"})
    await yard.workflow("- uses: nobody/nothing/deep@v1\n- uses: ./.github/own\n- run: echo")
    run = await yard.ended()
    assert run.conclusion == "failure"
    assert "https://github.com/nobody/nothing" in await yard.log()


async def test_the_gitops_engine_finds_the_credentials_of_every_repository(yard: Yard) -> None:
    secrets = await yard.client.list(resources.for_kind("v1", "Secret"), names.CONTROL_NAMESPACE)
    found = Repositories.of(secrets.items).find(yard.engine.clone_url("shop"))
    assert found is not None
    assert (found.username, found.password, found.problem) == ("ann", "the-token-of-ann", "")


async def test_a_job_for_another_system_fails_and_says_why(yard: Yard) -> None:
    text = "on: push\njobs: {a: {runs-on: windows-latest, steps: [{run: echo}]}}\n"
    await yard.commit({".github/workflows/ci.yml": text, "a.py": "1"})
    run = await yard.ended()
    assert run.conclusion == "failure"
    assert "windows-latest" in run.recorded["annotations"][0]["message"]


async def test_old_runs_go_with_their_logs(yard: Yard) -> None:
    await yard.stop()
    await yard.start(retention=Retention(runs=1))
    await yard.workflow("- run: echo one")
    await yard.ended(1)
    await yard.workflow("- run: echo two")
    await yard.ended(2)

    async def check() -> bool:
        return [run.id for run in await yard.runs()] == [2] and not (yard.directory / "data/runs/shop-1").exists()

    await yard.until(check, "run 1 is gone")


def processes() -> list[tuple[str, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found.append((entry.name, (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()))
    return found


def sleeping(*seconds: int) -> list[str]:
    wanted = {f"sleep {number} " for number in seconds}
    return [line for _, line in processes() if line in wanted]
