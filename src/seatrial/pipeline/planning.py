"""From a push to what is to run: the change decided on, the workflows chosen, the runs as written. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.pipeline.api import names
from seatrial.pipeline.api.run import branch_of
from seatrial.pipeline.decision import Decision, Kind, decide
from seatrial.pipeline.workflow import expressions, triggers
from seatrial.pipeline.workflow.file import Workflow, WorkflowInvalid, parse
from seatrial.pipeline.workflow.skip import mark_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seatrial.kube.model.objects import Object
    from seatrial.pipeline.gitserver.repositories import Push
    from seatrial.pipeline.workflow.commits import Commit

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Chosen:
    """One workflow that is to run; `problem`: it cannot be read, and the run says so."""

    path: str
    workflow: Workflow | None = None
    problem: WorkflowInvalid | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    decision: Decision
    chosen: tuple[Chosen, ...] = ()
    reason: str = ""
    """Why nothing runs: a word, and in the decision's reason the rest."""


def plan(push: Push, commit: Commit, files: Mapping[str, bytes], paths: Sequence[str]) -> Plan:
    """`files`: the workflows of the commit; `paths`: what the push changed."""
    answers: list[tuple[Chosen, triggers.Answer]] = []
    broken: list[Chosen] = []
    for path, content in sorted(files.items()):
        try:
            workflow = parse(path, content)
        except WorkflowInvalid as error:
            broken.append(Chosen(path, problem=error))
        else:
            answers.append((Chosen(path, workflow), triggers.on_push(workflow, push.ref, paths)))
    asked = next((answer.reason for _, answer in answers if answer.starts and answer.by_paths), "")
    decision = decide(paths, asked)
    if mark := mark_in(commit.message):
        return Plan(Decision(decision.kind, f"{decision.reason}, but the commit says {mark}: no CI"), (), "SkipCI")
    chosen = tuple(
        each for each, answer in answers if answer.starts and (answer.by_paths or decision.kind is Kind.CODE)
    )
    if chosen or broken:
        return Plan(decision, (*broken, *chosen))
    return Plan(*_nothing(decision, [answer.reason for _, answer in answers]))


def _nothing(decision: Decision, reasons: Sequence[str]) -> tuple[Decision, tuple[Chosen, ...], str]:
    if decision.kind in (Kind.CONFIG, Kind.MANIFEST):
        return decision, (), "SyncOnly"
    if decision.kind is Kind.OTHER:
        return decision, (), "PushIgnored"
    why = "; ".join(reasons) or "the commit has no workflow"
    return Decision(decision.kind, f"{decision.reason}, but {why}"), (), "NoWorkflow"


def spec_of(chosen: Chosen, push: Push, commit: Commit, decision: Decision, id: int, number: int) -> Object:
    """`.spec` of the run of a push."""
    made: Object = {
        "repository": push.repository,
        "workflow": chosen.path,
        "workflowName": chosen.workflow.name if chosen.workflow is not None else chosen.path,
        "event": "push",
        "ref": push.ref,
        "branch": branch_of(push.ref),
        "commit": push.after,
        "before": push.before,
        "actor": push.actor,
        "title": commit.title,
        "id": id,
        "number": number,
        "attempt": 1,
        "decision": decision.to_json(),
    }
    problem = chosen.problem.to_json() if chosen.problem is not None else None
    if chosen.workflow is not None and chosen.workflow.concurrency is not None:
        try:
            made["concurrency"] = concurrency(chosen.workflow, made)
        except expressions.ExpressionUnknown as error:
            line = chosen.workflow.lines.get("concurrency", 1)
            problem = WorkflowInvalid(chosen.path, f"concurrency: {error.message}", line, 1).to_json()
    return {**made, "problem": problem} if problem else made


def concurrency(workflow: Workflow, spec: Object) -> Object:
    """The group with its expressions evaluated. Raises ExpressionUnknown."""
    contexts = {"github": _github(spec), "inputs": spec.get("inputs") or {}}
    given = workflow.concurrency
    if not isinstance(given, dict):
        return {"group": expressions.text_of(str(given), contexts)}
    cancels = expressions.truth_of(given.get("cancel-in-progress") or False, contexts)
    return {"group": expressions.text_of(str(given.get("group") or ""), contexts), "cancelInProgress": cancels}


def _github(spec: Object) -> dict[str, Any]:
    ref = str(spec.get("ref") or "")
    return {
        "workflow": spec.get("workflowName"),
        "ref": ref,
        "ref_name": branch_of(ref),
        "ref_type": "tag" if ref.startswith("refs/tags/") else "branch",
        "sha": spec.get("commit"),
        "event_name": spec.get("event"),
        "actor": spec.get("actor"),
        "repository": spec.get("repository"),
        "run_id": str(spec.get("id") or ""),
        "run_number": str(spec.get("number") or ""),
        "head_ref": "",
        "base_ref": "",
        "event": {"ref": ref, "before": spec.get("before"), "after": spec.get("commit")},
    }


def run_object(namespace: str, spec: Object) -> Object:
    repository = str(spec["repository"])
    stem = re.sub(r"[^a-z0-9.-]+", "-", repository.lower()).strip("-.") or "run"
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {
            "name": f"{stem[:_LONGEST_NAME]}-{spec['id']}",
            "namespace": namespace,
            "labels": {names.REPOSITORY: repository[:63].rstrip("._-")},
        },
        "spec": spec,
    }
