"""PipelineRun as a resource of an API server: its definition, and how it gets there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.kube.model import resources
from seatrial.kube.model.resources import Resource
from seatrial.kube.model.status import StatusError
from seatrial.pipeline.api import names

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

RUNS = Resource(
    names.GROUP, names.VERSION, names.KIND, "pipelineruns", namespaced=True,
    singular="pipelinerun", short_names=("plr",),
)  # fmt: skip

_MANAGER = "seatrial-install"
_DEFINITIONS = resources.for_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
_NAMESPACES = resources.for_kind("v1", "Namespace")
_TEXT: Object = {"type": "string"}
_NUMBER: Object = {"type": "integer", "format": "int64"}
_FLAG: Object = {"type": "boolean"}
_TIME: Object = {"type": "string", "format": "date-time"}
_COLUMNS = (
    ("Status", "string", ".status.status"),
    ("Conclusion", "string", ".status.conclusion"),
    ("Event", "string", ".spec.event"),
    ("Branch", "string", ".spec.branch"),
    ("Commit", "string", ".spec.commit"),
    ("Age", "date", ".metadata.creationTimestamp"),
)


async def bootstrap(client: Client, namespace: str = names.CONTROL_NAMESPACE) -> None:
    """The definition and the control namespace; may be done again at any time. Raises StatusError."""
    await client.apply(_DEFINITIONS, definition(), force=True, field_manager=_MANAGER)
    control: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    try:
        await client.create(_NAMESPACES, control)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise


def definition() -> Object:
    """The CustomResourceDefinition `pipelineruns.seatrial.dev`."""
    version: Object = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path} for name, kind, path in _COLUMNS
        ],
        "schema": {
            "openAPIV3Schema": _object(
                "spec", apiVersion=_TEXT, kind=_TEXT, metadata={"type": "object"}, spec=_spec(), status=_status()
            )
        },
    }  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{RUNS.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": RUNS.plural,
                "singular": RUNS.singular,
                "kind": names.KIND,
                "listKind": RUNS.list_name,
                "shortNames": list(RUNS.short_names),
            },
            "versions": [version],
        },
    }


def _object(*required: str, **properties: Object) -> Object:
    made: Object = {"type": "object", "properties": properties}
    return {**made, "required": list(required)} if required else made


def _list(items: Object) -> Object:
    return {"type": "array", "items": items}


def _spec() -> Object:
    at_least_one = {**_NUMBER, "minimum": 1}
    return _object(
        "repository", "workflow",
        repository={"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"},
        workflow={"type": "string", "minLength": 1},
        workflowName=_TEXT,
        event={"type": "string", "enum": ["push", "workflow_dispatch"], "default": "push"},
        ref=_TEXT, branch=_TEXT, commit=_TEXT, before=_TEXT, actor=_TEXT, title=_TEXT,
        inputs={"type": "object", "additionalProperties": _TEXT},
        id=_NUMBER, number=_NUMBER,
        attempt={**at_least_one, "default": 1},
        cancel=_NUMBER,
        decision=_decision(),
        problem=_problem(),
        concurrency=_object("group", group=_TEXT, cancelInProgress=_FLAG),
    )  # fmt: skip


def _decision() -> Object:
    return _object(kind={"type": "string", "enum": ["code", "config", "manifest", "other"]}, reason=_TEXT)


def _problem() -> Object:
    return _object(message=_TEXT, path=_TEXT, line=_NUMBER, column=_NUMBER)


def _status() -> Object:
    timing: Object = {
        "status": {"type": "string", "enum": [names.QUEUED, names.IN_PROGRESS, names.COMPLETED]},
        "conclusion": {"type": "string", "enum": list(names.CONCLUSIONS)},
        "startedAt": _TIME,
        "completedAt": _TIME,
    }
    step = _object("name", name=_TEXT, number=_NUMBER, **timing)
    job = _object("name", name=_TEXT, key=_TEXT, id=_NUMBER, steps=_list(step), **timing)
    annotation = _object(level=_TEXT, title=_TEXT, job=_TEXT, step=_TEXT, **_problem()["properties"])
    return _object(
        attempt=_NUMBER, reason=_TEXT, message=_TEXT, summary=_TEXT, logURL=_TEXT, runner=_TEXT,
        queuedAt=_TIME,
        jobs=_list(job),
        annotations=_list(annotation),
        artifacts=_list(_object(name=_TEXT, size=_NUMBER)),
        decision=_decision(),
        **timing,
    )  # fmt: skip
