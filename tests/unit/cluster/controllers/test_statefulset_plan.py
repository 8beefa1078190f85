"""What a StatefulSet does next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.base.clock import parse_time
from seatrial.cluster.controllers.statefulset import identity, plan
from seatrial.cluster.controllers.statefulset.status import status_of

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

NOW = parse_time("2026-01-01T01:00:00Z")
OLD, NEW = "db-old", "db-new"


def stateful_set(replicas: int = 3, **spec: Any) -> Object:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}}
    return {
        "metadata": {"name": "db", "namespace": "default", "uid": "set", "generation": 1},
        "spec": {"replicas": replicas, "serviceName": "db", "updateStrategy": rolling, **spec},
        "status": {},
    }


def pod(
    ordinal: int, revision: str = NEW, *, ready: bool = True, phase: str = "Running", going: bool = False
) -> Object:
    meta: Object = {"name": f"db-{ordinal}", "uid": f"pod-{ordinal}", "labels": {"controller-revision-hash": revision}}
    if going:
        meta["deletionTimestamp"] = "2026-01-01T00:59:00Z"
    since = "2026-01-01T00:59:00Z"
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}
    return {"metadata": meta, "spec": {}, "status": {"phase": phase, "conditions": [condition]}}


def steps(found: Object, pods: list[Object]) -> tuple[list[int], list[str]]:
    view = plan.View(found, pods, OLD, NEW, NOW)
    decided = plan.steps(view)
    return [create.ordinal for create in decided.create], [p["metadata"]["name"] for p in decided.delete]


PARALLEL = {"podManagementPolicy": "Parallel"}


def test_ordered_makes_one_pod_at_a_time_lowest_first() -> None:
    assert steps(stateful_set(3), []) == ([0], [])
    assert steps(stateful_set(3), [pod(0)]) == ([1], [])
    assert steps(stateful_set(3), [pod(0), pod(2)]) == ([1], [])


@pytest.mark.parametrize("obstacle", [{"ready": False}, {"going": True}, {"phase": "Pending"}])
def test_ordered_waits_for_every_predecessor(obstacle: Any) -> None:
    assert steps(stateful_set(3), [pod(0, **obstacle)]) == ([], [])


def test_ordered_waits_until_the_predecessor_has_been_ready_long_enough() -> None:
    assert steps(stateful_set(2, minReadySeconds=61), [pod(0)]) == ([], [])
    assert steps(stateful_set(2, minReadySeconds=60), [pod(0)]) == ([1], [])


def test_parallel_makes_all_at_once() -> None:
    assert steps(stateful_set(3, **PARALLEL), [pod(1, ready=False)]) == ([0, 2], [])


def test_ordinals_begin_where_the_spec_says() -> None:
    assert steps(stateful_set(2, ordinals={"start": 5}, **PARALLEL), [pod(0)]) == ([5, 6], ["db-0"])


def test_scaling_down_takes_the_last_pod_first_and_one_at_a_time() -> None:
    assert steps(stateful_set(1), [pod(0), pod(1), pod(2)]) == ([], ["db-2"])
    assert steps(stateful_set(1), [pod(0), pod(1), pod(2, going=True)]) == ([], [])
    assert steps(stateful_set(1, **PARALLEL), [pod(0), pod(1), pod(2)]) == ([], ["db-2", "db-1"])


def test_scaling_down_waits_for_an_unavailable_pod_below_but_removes_the_broken_one() -> None:
    assert steps(stateful_set(1), [pod(0, ready=False), pod(1)]) == ([], [])
    assert steps(stateful_set(1), [pod(0), pod(1), pod(2, ready=False)]) == ([], ["db-2"])
    assert steps(stateful_set(1), [pod(0), pod(1, ready=False), pod(2, ready=False)]) == ([], [])


def test_a_finished_pod_is_deleted_to_be_made_anew() -> None:
    assert steps(stateful_set(2), [pod(0, phase="Failed", ready=False), pod(1)]) == ([], ["db-0"])
    assert steps(stateful_set(2), [pod(0), pod(1, phase="Succeeded", ready=False)]) == ([], ["db-1"])
    assert steps(stateful_set(2), [pod(0, phase="Failed", ready=False, going=True), pod(1)]) == ([], [])


def test_an_update_goes_from_the_last_place_down() -> None:
    assert steps(stateful_set(3), [pod(0, OLD), pod(1, OLD), pod(2, OLD)]) == ([], ["db-2"])
    assert steps(stateful_set(3), [pod(0, OLD), pod(1, OLD), pod(2)]) == ([], ["db-1"])
    assert steps(stateful_set(3), [pod(0, OLD), pod(1, OLD), pod(2, ready=False)]) == ([], [])
    assert steps(stateful_set(3), [pod(0), pod(1), pod(2)]) == ([], [])


def test_an_update_stops_at_the_partition() -> None:
    halfway = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}
    assert steps(stateful_set(3, **halfway), [pod(0, OLD), pod(1, OLD), pod(2, OLD)]) == ([], ["db-2"])
    assert steps(stateful_set(3, **halfway), [pod(0, OLD), pod(1, OLD), pod(2)]) == ([], [])


def test_below_the_partition_pods_are_made_from_the_old_revision() -> None:
    halfway = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, **PARALLEL}
    made = plan.steps(plan.View(stateful_set(3, **halfway), [], OLD, NEW, NOW)).create
    assert [create.revision for create in made] == [OLD, OLD, NEW]


def test_on_delete_replaces_nothing_by_itself() -> None:
    by_hand = {"updateStrategy": {"type": "OnDelete"}}
    assert steps(stateful_set(2, **by_hand), [pod(0, OLD), pod(1, OLD)]) == ([], [])
    made = plan.steps(plan.View(stateful_set(2, **by_hand), [pod(0, OLD)], OLD, NEW, NOW)).create
    assert [create.revision for create in made] == [NEW]


@pytest.mark.parametrize(
    ("value", "replicas", "expected"), [(None, 5, 1), (3, 5, 3), ("50%", 5, 2), ("10%", 5, 1), ("100%", 5, 5)]
)
def test_max_unavailable_rounds_down_but_is_at_least_one(value: Any, replicas: int, expected: int) -> None:
    found = stateful_set(replicas, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": value}})
    assert plan.max_unavailable(found) == expected


def test_max_unavailable_updates_several_at_once() -> None:
    two = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}}
    assert steps(stateful_set(4, **two), [pod(n, OLD) for n in range(4)]) == ([], ["db-3", "db-2"])


def test_a_parallel_update_replaces_broken_outdated_pods_besides_the_budget() -> None:
    pods = [pod(0, OLD, ready=False), pod(1, OLD), pod(2, OLD)]
    assert steps(stateful_set(3, **PARALLEL), pods) == ([], ["db-0"])


def test_a_set_being_deleted_does_nothing() -> None:
    leaving = stateful_set(3)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert steps(leaving, []) == ([], [])


def test_the_status_counts_by_revision_and_completes_an_update() -> None:
    found = stateful_set(2)
    half = status_of(plan.View(found, [pod(0, OLD), pod(1)], OLD, NEW, NOW), 0)
    assert (half["currentReplicas"], half["updatedReplicas"], half["currentRevision"]) == (1, 1, OLD)
    done = status_of(plan.View(found, [pod(0), pod(1)], OLD, NEW, NOW), 0)
    assert (done["currentReplicas"], done["updatedReplicas"], done["currentRevision"]) == (2, 2, NEW)
    waiting = status_of(plan.View(found, [pod(0), pod(1, ready=False)], OLD, NEW, NOW), 0)
    assert (waiting["readyReplicas"], waiting["availableReplicas"], waiting["currentRevision"]) == (1, 1, OLD)


# identity


def test_a_pod_has_its_name_index_host_and_claims() -> None:
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]
    found = {"apiVersion": "apps/v1", "kind": "StatefulSet", **stateful_set(1, volumeClaimTemplates=claims)}
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"volumes": [{"name": "tmp"}, {"name": "data"}]}}
    made = identity.pod_for(found, template, 4, NEW)
    assert made["metadata"]["name"] == made["spec"]["hostname"] == "db-4"
    assert made["spec"]["subdomain"] == "db"
    assert made["metadata"]["labels"] == {
        "app": "db",
        "statefulset.kubernetes.io/pod-name": "db-4",
        "apps.kubernetes.io/pod-index": "4",
        "controller-revision-hash": NEW,
    }
    assert made["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-4"}},
        {"name": "tmp"},
    ]


@pytest.mark.parametrize(
    ("name", "expected"), [("db-0", 0), ("db-12", 12), ("db-01", None), ("db2-1", None), ("db", None)]
)
def test_only_well_formed_names_have_an_ordinal(name: str, expected: int | None) -> None:
    assert identity.ordinal_of(stateful_set(), {"metadata": {"name": name}}) == expected


@pytest.mark.parametrize(
    ("deleted", "scaled", "ordinal", "owner"),
    [
        ("Retain", "Retain", 0, None),
        ("Delete", "Retain", 0, "StatefulSet"),
        ("Delete", "Retain", 9, "StatefulSet"),
        ("Retain", "Delete", 0, None),
        ("Retain", "Delete", 9, "Pod"),
        ("Delete", "Delete", 0, "StatefulSet"),
        ("Delete", "Delete", 9, "Pod"),
    ],
)
def test_the_retention_policy_decides_who_owns_a_claim(
    deleted: str, scaled: str, ordinal: int, owner: str | None
) -> None:
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    found = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        **stateful_set(persistentVolumeClaimRetentionPolicy=policy),
    }
    stale = {"kind": "StatefulSet", "name": "db", "uid": "earlier"}
    claim = {"metadata": {"name": f"data-db-{ordinal}", "ownerReferences": [stale]}}
    owners = identity.claim_owners(found, claim, pod(ordinal), ordinal)
    assert [reference["kind"] for reference in owners] == ([owner] if owner else [])


def test_a_claim_somebody_else_controls_is_left_to_them() -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    foreign = {"kind": "Database", "name": "x", "uid": "x", "controller": True}
    claim = {"metadata": {"name": "data-db-0", "ownerReferences": [foreign]}}
    found = stateful_set(persistentVolumeClaimRetentionPolicy=policy)
    assert identity.claim_owners(found, claim, pod(0), 0) == [foreign]


@settings(max_examples=100, deadline=None)
@given(
    replicas=st.integers(0, 6),
    before=st.integers(0, 6),
    policy=st.sampled_from(["OrderedReady", "Parallel"]),
    most=st.integers(1, 4),
    broken=st.sets(st.integers(0, 5)),
)
def test_any_set_of_pods_ends_complete_and_updated(
    replicas: int, before: int, policy: str, most: int, broken: set[int]
) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most}}
    found = stateful_set(replicas, podManagementPolicy=policy, updateStrategy=rolling)
    pods = {n: pod(n, OLD, ready=n not in broken) for n in range(before)}
    for _ in range(60):
        decided = plan.steps(plan.View(found, list(pods.values()), OLD, NEW, NOW))
        if policy == "OrderedReady":
            available = sum(n in pods and n not in broken for n in range(replicas))
            updating = [p for p in decided.delete if identity.ordinal_of(found, p) in range(replicas)]
            assert not updating or replicas - available + len(updating) <= most
        for gone in decided.delete:
            del pods[identity.ordinal_of(found, gone) or 0]
        for create in decided.create:
            pods[create.ordinal] = pod(create.ordinal, create.revision)
            broken.discard(create.ordinal)
        if not decided.delete and not decided.create:
            broken.clear()  # nothing moves: whoever is broken gets well
            for n in pods:
                pods[n] = pod(n, plan.revision_of(pods[n]))
    assert sorted(pods) == list(range(replicas))
    assert {plan.revision_of(p) for p in pods.values()} <= {NEW}
