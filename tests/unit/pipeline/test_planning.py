from __future__ import annotations

from seatrial.pipeline.gitserver.repositories import NO_COMMIT, Push
from seatrial.pipeline.planning import plan, run_object, spec_of
from seatrial.pipeline.workflow.commits import Commit

PUSH = Push("My_Shop", "refs/heads/main", NO_COMMIT, "1" * 40, "ann")
COMMIT = Commit("1" * 40, "Fix it\n\nbody", "Ann")
ALL = b"name: All\non: push\nconcurrency: ${{ github.workflow }}-${{ github.ref_name }}\njobs: {a: {}}"
SOME = b"name: Some\non: {push: {paths: ['helm/**']}}\njobs: {a: {}}"


def chosen(paths: list[str], commit: Commit = COMMIT, **files: bytes) -> tuple[list[str], str]:
    found = plan(PUSH, commit, {f"{name}.yml": content for name, content in files.items()}, paths)
    return [each.path for each in found.chosen], found.reason


def test_code_runs_every_workflow_that_wants_it() -> None:
    assert chosen(["a.py"], all=ALL, some=SOME) == (["all.yml"], "")


def test_a_change_of_manifests_runs_only_workflows_that_name_them() -> None:
    assert chosen(["helm/x/templates/a.yaml"], all=ALL) == ([], "SyncOnly")
    assert chosen(["helm/x/templates/a.yaml"], some=SOME) == (["some.yml"], "")


def test_documents_run_nothing() -> None:
    assert chosen(["README.md"], all=ALL) == ([], "PushIgnored")


def test_a_commit_that_says_so_runs_nothing() -> None:
    assert chosen(["a.py"], Commit("1" * 40, "bump [skip ci]", "A"), all=ALL) == ([], "SkipCI")


def test_a_broken_workflow_becomes_a_run_that_says_so() -> None:
    found = plan(PUSH, COMMIT, {"ci.yml": b"on: ["}, ["a.py"])
    spec = spec_of(found.chosen[0], PUSH, COMMIT, found.decision, 3, 1)
    assert spec["problem"]["path"] == "ci.yml"
    assert spec["problem"]["line"] == 1


def test_a_run_carries_all_that_is_needed_to_carry_it_out() -> None:
    found = plan(PUSH, COMMIT, {"all.yml": ALL}, ["a.py"])
    spec = spec_of(found.chosen[0], PUSH, COMMIT, found.decision, 3, 2)
    assert spec["concurrency"]["group"] == "All-main"
    assert (spec["title"], spec["branch"], spec["id"], spec["number"]) == ("Fix it", "main", 3, 2)
    made = run_object("argocd", spec)
    assert made["metadata"]["name"] == "my-shop-3"
