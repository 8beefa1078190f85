"""The pods of a Job: from its template, tracked, and in an indexed Job with their index everywhere. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers.job import failurepolicy, spec
from seatrial.cluster.controllers.job.survey import (
    INDEX_FAILURES,
    INDEX_IGNORED,
    ignored_index_failures,
    index_failures,
)
from seatrial.cluster.controllers.template import pod_from
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_VARIABLE = "JOB_COMPLETION_INDEX"
_LONGEST_PREFIX = 58
"""The server adds five characters, and a pod's name should be a DNS label."""


def pod(job: Object, index: int | None = None, predecessor: Object | None = None) -> Object:
    """`predecessor`: the failed pod of that index, whose count of failures goes on."""
    made = pod_from(job["spec"]["template"], job)
    meta = made["metadata"]
    meta["finalizers"] = [*(name for name in meta.get("finalizers") or [] if name != spec.FINALIZER), spec.FINALIZER]
    if index is not None:
        _give_index(made, job, index)
        if spec.backoff_limit_per_index(job) is not None:
            meta["annotations"].update(_failures(job, predecessor))
    return made


def _give_index(made: Object, job: Object, index: int) -> None:
    meta = made["metadata"]
    meta["annotations"] = {**(meta.get("annotations") or {}), spec.INDEX: str(index)}
    meta["labels"] = {**(meta.get("labels") or {}), spec.INDEX: str(index)}
    ending = f"-{index}-"
    meta["generateName"] = objects.name(job)[: _LONGEST_PREFIX - len(ending)] + ending
    made["spec"]["hostname"] = f"{objects.name(job)}-{index}"
    for group in ("initContainers", "containers"):
        for container in made["spec"].get(group) or []:
            _give_variable(container)


def _give_variable(container: dict[str, Any]) -> None:
    given = container.get("env") or []
    if all(variable.get("name") != _VARIABLE for variable in given):
        source = {"fieldRef": {"fieldPath": f"metadata.annotations['{spec.INDEX}']"}}
        container["env"] = [*given, {"name": _VARIABLE, "valueFrom": source}]


def _failures(job: Object, predecessor: Object | None) -> dict[str, str]:
    if predecessor is None:
        return {INDEX_FAILURES: "0"}
    counts = failurepolicy.judge(job, predecessor).counts
    failures = index_failures(predecessor) + counts
    ignored = ignored_index_failures(predecessor) + (not counts)
    found = {INDEX_FAILURES: str(failures)}
    return {**found, INDEX_IGNORED: str(ignored)} if ignored else found
