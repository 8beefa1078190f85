"""Refusals before an operation is set (2.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.gitops.api.application import Application
from seatrial.gitops.sync.request import Refused, check_sync, check_terminate

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def application(phase: str = "", automated: bool = True, **fields: Any) -> Application:
    spec: Object = {"source": {"repoURL": "https://example.com/r.git", "targetRevision": "main"}}
    if automated:
        spec["syncPolicy"] = {"automated": {}}
    status = {"operationState": {"phase": phase}} if phase else {}
    return Application({"metadata": {"name": "app"}, "spec": spec, "status": status, **fields})


@pytest.mark.parametrize(
    ("app", "sync"),
    [
        (application(operation={"sync": {}}), {}),
        (application("Running"), {}),
        (application(metadata={"name": "app", "deletionTimestamp": "2026-01-01T00:00:00Z"}), {}),
        (application(), {"revision": "other"}),
        (application(), {"manifests": ["{}"]}),
    ],
    ids=["set", "running", "deleting", "another revision", "local manifests"],
)
def test_a_sync_is_refused(app: Application, sync: Object) -> None:
    with pytest.raises(Refused):
        check_sync(app, sync)


@pytest.mark.parametrize(
    ("app", "sync"),
    [
        (application(), {}),
        (application("Failed"), {"revision": "main"}),
        (application(), {"revision": "other", "dryRun": True}),
        (application(automated=False), {"revision": "other"}),
        (application(), {"manifests": ["{}"], "dryRun": True}),
    ],
    ids=["plain", "the target", "dry run", "by hand", "local dry run"],
)
def test_a_sync_is_let_through(app: Application, sync: Object) -> None:
    check_sync(app, sync)


def test_only_what_runs_can_be_terminated() -> None:
    check_terminate(application("Running"))
    with pytest.raises(Refused, match="no operation is in progress"):
        check_terminate(application("Succeeded"))
