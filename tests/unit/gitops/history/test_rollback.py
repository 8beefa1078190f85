"""History entries, and the way back to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.gitops.api import names
from seatrial.gitops.api.application import Application
from seatrial.gitops.history import entries, rollback

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

SOURCE = {"repoURL": "https://example.com/r.git"}


def state(phase: str = "Succeeded", **sync: Any) -> Object:
    return {
        "operation": {"sync": sync, "initiatedBy": {"username": "ann"}},
        "phase": phase,
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:05Z",
        "syncResult": {"revision": "r9", "source": SOURCE, "resources": []},
    }


def application(**annotations: str) -> Application:
    history = [{"id": number, "revision": f"r{number}", "source": SOURCE} for number in range(3)]
    status = {"history": history, "sync": {"revision": "r2"}}
    spec = {"syncPolicy": {"automated": {}, "syncOptions": ["PruneLast=true"]}}
    shown = {key.replace("_", "-"): value for key, value in annotations.items()}
    return Application({"metadata": {"name": "app", "annotations": shown}, "spec": spec, "status": status})


def test_an_entry_is_what_argo_cd_writes() -> None:
    assert entries.appended([], state(), 10) == [
        {
            "id": 0,
            "revision": "r9",
            "deployStartedAt": "2026-01-01T00:00:00Z",
            "deployedAt": "2026-01-01T00:00:05Z",
            "initiatedBy": {"username": "ann"},
            "source": SOURCE,
        }
    ]


def test_ids_go_on_and_old_entries_fall_off() -> None:
    history: list[Object] = []
    for _ in range(5):
        history = entries.appended(history, state(), 3)
    assert [entry["id"] for entry in history] == [2, 3, 4]


@pytest.mark.parametrize("made", [state("Failed"), state(dryRun=True), state(resources=[{"name": "a"}])])
def test_only_whole_deployments_are_recorded(made: Object) -> None:
    assert entries.appended([], made, 10) == []


def test_no_history_is_kept_with_a_limit_of_none() -> None:
    assert entries.appended([{"id": 1}], state(), 0) == []


def test_a_rollback_runs_no_hooks_and_pins_what_it_leaves() -> None:
    back = rollback.plan(application(), 0, username="ann")
    assert back.operation == {
        "sync": {
            "revision": "r0",
            "source": SOURCE,
            "syncStrategy": {"apply": {}},
            "prune": False,
            "syncOptions": ["PruneLast=true"],
        },
        "info": [{"name": "seatrial.dev/rollback", "value": "0"}],
        "initiatedBy": {"username": "ann"},
    }
    assert back.annotations == {names.SKIPPED_REVISION: "r2"}
    assert rollback.entry_of(back.operation) == 0


def test_without_an_id_it_is_the_deployment_before() -> None:
    assert rollback.plan(application()).operation["sync"]["revision"] == "r1"


def test_a_dry_run_pins_nothing() -> None:
    assert rollback.plan(application(), 0, dry_run=True).annotations == {}


def test_an_unknown_id_is_refused_with_those_there_are() -> None:
    with pytest.raises(entries.UnknownEntry, match="there are 0, 1, 2"):
        rollback.plan(application(), 7)


def test_a_deleted_or_busy_application_is_not_rolled_back() -> None:
    app = application()
    app.object["operation"] = {"sync": {}}
    with pytest.raises(rollback.RollbackRefused):
        rollback.plan(app, 0)
    app = application()
    app.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    with pytest.raises(rollback.RollbackRefused):
        rollback.plan(app, 0)


def test_the_pin_is_over_when_something_newer_arrives() -> None:
    pinned = Application({"metadata": {"annotations": {names.SKIPPED_REVISION: "r1, r2"}}})
    assert rollback.skipped(pinned) == ("r1", "r2")
    assert not rollback.is_pin_over(pinned, ["r2"])
    assert rollback.is_pin_over(pinned, ["r3"])
    assert not rollback.is_pin_over(application(), ["r3"])
