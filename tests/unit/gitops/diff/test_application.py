"""Targets, pairs and what they make of an Application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.gitops.api.application import Application
from seatrial.gitops.api.settings import KindFilter, Settings
from seatrial.gitops.diff.application import Comparison, conclude, pair
from seatrial.gitops.diff.compare import Difference
from seatrial.gitops.diff.targets import track
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object, Ref

ID = "argocd.argoproj.io/tracking-id"


def application(**spec: Any) -> Application:
    destination = {"namespace": "shop"}
    return Application(
        {"metadata": {"name": "app", "namespace": "argocd"}, "spec": {"destination": destination, **spec}}
    )


def config(name: str, value: str = "", namespace: str = "", **annotations: str) -> Object:
    metadata: Object = {"name": name, "annotations": {f"argocd.argoproj.io/{k}": v for k, v in annotations.items()}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"v": value}}


def scope(_version: str, kind: str) -> bool | None:
    return {"ConfigMap": True, "ClusterRole": False}.get(kind)


def tracked(*manifests: Object) -> tuple[Object, ...]:
    return track(manifests, application(), scope).objects


def compared(
    targets: Iterable[Object], live: Iterable[Object], states: dict[str, str] | None = None, **spec: Any
) -> Comparison:
    by_ref: dict[Ref, Object] = {objects.ref(obj): obj for obj in live}
    mine = {ref: obj for ref, obj in by_ref.items() if objects.annotations(obj).get(ID, "").startswith("app:")}
    pairs = pair(targets, mine, lambda ref, _version: by_ref.get(ref), "app")
    differences = {
        each.ref: Difference((states or {}).get(each.ref.name, "Synced"), message="why")  # type: ignore[arg-type]
        for each in pairs
        if each.is_comparable
    }
    return conclude(pairs, differences, application(**spec))


def states(comparison: Comparison) -> dict[str, str | None]:
    return {resource.pair.ref.name: resource.status for resource in comparison.resources}


def test_targets_get_the_namespace_of_the_destination_and_a_tracking_id() -> None:
    manifest = config("a")
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "r", "namespace": "x"},
    }
    one, other, elsewhere = tracked(manifest, role, config("b", namespace="own"))
    assert (one["metadata"]["namespace"], one["metadata"]["annotations"][ID]) == ("shop", "app:/ConfigMap:shop/a")
    assert "namespace" not in other["metadata"]
    assert other["metadata"]["annotations"][ID] == "app:rbac.authorization.k8s.io/ClusterRole:shop/r"
    assert elsewhere["metadata"]["annotations"][ID] == "app:/ConfigMap:own/b"
    assert manifest == config("a")


def test_a_definition_among_the_manifests_says_the_scope_of_its_kind() -> None:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "d"},
        "spec": {"group": "e.com", "scope": "Cluster", "names": {"kind": "Big"}},
    }
    big = {"apiVersion": "e.com/v1", "kind": "Big", "metadata": {"name": "b"}}
    assert "namespace" not in tracked(big, definition)[0]["metadata"]


def test_of_two_of_the_same_name_the_last_wins_with_a_warning() -> None:
    found = track([config("a", "1"), config("b"), config("a", "2", "shop")], application(), scope)
    assert [(objects.name(obj), obj["data"]["v"]) for obj in found.objects] == [("b", ""), ("a", "2")]
    assert [condition.type for condition in found.conditions] == ["RepeatedResourceWarning"]


def test_excluded_kinds_are_left_out_with_a_warning() -> None:
    rules = Settings(exclusions=(KindFilter(kinds=("ConfigMap",)),))
    found = track([config("a")], application(), scope, rules)
    assert found.objects == ()
    assert [condition.type for condition in found.conditions] == ["ExcludedResourceWarning"]


def test_strings_of_secrets_are_sent_as_data() -> None:
    (made,) = tracked({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert (made["data"], "stringData" in made) == ({"a": "Yg=="}, False)


def test_equal_is_synced_modified_missing_and_extra_are_not() -> None:
    targets = tracked(config("same"), config("changed"), config("missing"))
    (extra,) = tracked(config("extra"))
    found = compared(targets, [*targets[:2], extra], {"changed": "OutOfSync"})
    assert states(found) == {"same": "Synced", "changed": "OutOfSync", "missing": "OutOfSync", "extra": "OutOfSync"}
    assert found.status == "OutOfSync"
    assert [resource.pair.ref.name for resource in found.resources if resource.requires_pruning] == ["extra"]
    assert compared(targets, targets).status == "Synced"


def test_what_could_not_be_compared_makes_the_whole_unknown() -> None:
    targets = tracked(config("a"), config("b"))
    found = compared(targets, targets, {"a": "Unknown", "b": "OutOfSync"})
    assert found.status == "Unknown"
    assert [(condition.type, condition.message) for condition in found.conditions] == [("ComparisonError", "why")]


def test_without_manifests_or_live_objects_nothing_is_known() -> None:
    assert conclude([], {}, application(), failed=True).status == "Unknown"


def test_a_copied_tracking_id_makes_nobody_own_the_object() -> None:
    (origin,) = tracked(config("origin"))
    copied = objects.clone(origin)
    copied["metadata"]["name"] = "copy"
    found = compared([origin], [origin, copied])
    assert (found.status, states(found)["copy"]) == ("Synced", None)
    assert not any(resource.requires_pruning for resource in found.resources)


def test_a_dependent_with_its_owners_tracking_id_is_not_among_the_resources() -> None:
    (child,) = tracked(config("child"))
    child["metadata"]["ownerReferences"] = [{"uid": "1"}]
    assert compared([], [child]).resources == ()


def test_hooks_and_skipped_objects_have_no_status() -> None:
    targets = tracked(config("hook", hook="PreSync"), config("skip", hook="Skip"))
    found = compared(targets, [])
    assert (found.status, states(found)) == ("Synced", {"hook": None, "skip": None})


def test_an_extraneous_object_may_be_there() -> None:
    (extra,) = tracked(config("extra", **{"compare-options": "IgnoreExtraneous"}))
    found = compared([], [extra])
    assert (found.status, states(found)) == ("Synced", {"extra": "OutOfSync"})


def test_an_object_of_two_applications_is_told() -> None:
    (target,) = tracked(config("a"))
    live = objects.clone(target)
    live["metadata"]["annotations"][ID] = "other_second:/ConfigMap:shop/a"
    found = compared([target], [live])
    assert [condition.type for condition in found.conditions] == ["SharedResourceWarning"]
    assert "other/second" in found.conditions[0].message


def test_pruning_may_need_a_confirmation() -> None:
    (extra,) = tracked(config("extra", **{"sync-options": "Prune=confirm"}))
    (plain,) = tracked(config("plain"))
    assert compared([], [extra]).resources[0].requires_confirmation
    assert not compared([], [plain]).resources[0].requires_confirmation
    everywhere = {"syncOptions": ["Delete=confirm"]}
    assert compared([], [plain], syncPolicy=everywhere).resources[0].requires_confirmation


def test_the_entry_of_the_status_is_as_argo_cd_writes_it() -> None:
    (extra,) = tracked(config("extra"))
    assert compared([], [extra]).resources[0].to_json() == {
        "version": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "extra", "status": "OutOfSync",
        "requiresPruning": True,
    }  # fmt: skip
