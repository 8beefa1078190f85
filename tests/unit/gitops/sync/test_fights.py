"""Fields that somebody keeps setting back."""

from __future__ import annotations

from seatrial.gitops.sync.fights import Fights
from seatrial.kube.model.objects import Object, Ref

REF = Ref("apps", "Deployment", "default", "web")
PATH = ("spec", "replicas")
LIVE: Object = {
    "metadata": {
        "managedFields": [
            {"manager": "argocd-controller", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:paused": {}}}},
            {"manager": "scaler", "time": "2026-01-01T00:00:01Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        ]
    }
}


def test_repairs_of_one_field_within_the_window_are_a_fight() -> None:
    fights = Fights(rounds=3, window=60)
    for now in (0.0, 10.0):
        fights.repaired(REF, [PATH], LIVE, now)
    assert fights.going_on(10.0) == []
    fights.repaired(REF, [PATH], LIVE, 20.0)
    (fight,) = fights.going_on(20.0)
    assert (fight.ref, fight.field, fight.manager) == (REF, "spec.replicas", "scaler")


def test_repairs_far_apart_or_of_different_fields_are_none() -> None:
    fights = Fights(rounds=3, window=60)
    for turn in range(9):
        fights.repaired(REF, [("spec", f"field{turn}")], LIVE, float(turn))
        fights.repaired(REF, [PATH], LIVE, turn * 40.0)
    assert fights.going_on(320.0) == []


def test_a_truce_ends() -> None:
    fights = Fights(rounds=1, window=60, truce=300)
    fights.repaired(REF, [PATH], LIVE, 0.0)
    assert fights.going_on(299.0)
    assert not fights.going_on(300.0)


def test_a_new_manifest_ends_the_count() -> None:
    fights = Fights(rounds=1)
    fights.repaired(REF, [PATH], LIVE, 0.0)
    fights.forget(REF)
    assert not fights.going_on(1.0)
