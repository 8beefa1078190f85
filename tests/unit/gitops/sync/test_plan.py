"""Rules 2, 3, 4 and 10 of the sync pipeline, and the laws of the order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.gitops.api import names
from seatrial.gitops.sync import hooks
from seatrial.gitops.sync.options import Options, parse
from seatrial.gitops.sync.order import order_key
from seatrial.gitops.sync.plan import Plan, groups, owner_of, plan, tracking_id
from seatrial.gitops.sync.tasks import Inputs
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

API_VERSIONS = {
    "Deployment": "apps/v1", "Job": "batch/v1", "Role": "rbac.authorization.k8s.io/v1", "Widget": "example.com/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1", "Ingress": "networking.k8s.io/v1",
}  # fmt: skip
CLUSTERED = {"Namespace", "CustomResourceDefinition"}


def thing(kind: str, name: str, wave: int | None = None, namespace: str = "default", **annotations: str) -> Object:
    metadata: Object = {"name": name, "annotations": dict(annotations)}
    if kind not in CLUSTERED:
        metadata["namespace"] = namespace
    if wave is not None:
        metadata["annotations"][names.SYNC_WAVE] = str(wave)
    return {"apiVersion": API_VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata}


def hook(name: str, phase: str, wave: int | None = None, **annotations: str) -> Object:
    return thing("ConfigMap", name, wave, **{names.HOOK: phase, **annotations})


def planned(*targets: Object, live: tuple[Object, ...] = (), **fields: Any) -> Plan:
    managed = {objects.ref(obj): obj for obj in live}
    options = fields.pop("options", Options())
    return plan(Inputs(targets, managed, lambda ref, _: managed.get(ref), options, **fields))


def names_of(made: Plan) -> list[str]:
    return [task.ref.name for task in made.tasks]


def option(*written: str, **fields: Any) -> Options:
    return Options(settings=parse(written), **fields)


def test_the_order_is_phase_wave_kind_name() -> None:
    made = planned(
        hook("post", "PostSync", -9), thing("Deployment", "web"), thing("ConfigMap", "b"), thing("ConfigMap", "a"),
        thing("Widget", "last"), thing("ConfigMap", "early", -1), hook("pre", "PreSync", 9), hook("f", "SyncFail"),
    )  # fmt: skip
    assert names_of(made) == ["pre", "early", "a", "b", "web", "last", "post", "f"]


def test_a_namespace_moves_before_the_first_that_lives_in_it() -> None:
    made = planned(thing("Namespace", "shop", 5), thing("ConfigMap", "a", -1, "shop"), thing("ConfigMap", "b", -2))
    assert names_of(made) == ["b", "shop", "a"]
    assert [task.wave for task in made.tasks] == [-2, -1, -1]


def test_a_namespace_takes_over_the_phase_of_a_hook_that_lives_in_it() -> None:
    pre = thing("ConfigMap", "pre", None, "shop", **{names.HOOK: "PreSync"})
    made = planned(thing("Namespace", "shop"), pre)
    assert [(task.ref.name, task.phase) for task in made.tasks] == [("shop", "PreSync"), ("pre", "PreSync")]


def test_a_definition_moves_before_its_first_object() -> None:
    definition = thing("CustomResourceDefinition", "widgets.example.com", 3)
    definition["spec"] = {"group": "example.com", "names": {"kind": "Widget"}}
    made = planned(thing("Widget", "w", 1), definition, thing("ConfigMap", "a"))
    assert names_of(made) == ["a", "widgets.example.com", "w"]


@pytest.mark.parametrize(
    ("annotations", "phases"),
    [
        ({}, ("Sync",)),
        ({names.HOOK: "PreSync"}, ("PreSync",)),
        ({names.HOOK: " PreSync , PostSync,PreSync"}, ("PreSync", "PostSync")),
        ({names.HOOK: "Skip"}, ()),
        ({names.HOOK: "Skip,PreSync"}, ("PreSync",)),
        ({names.HOOK: "Sometime"}, ()),
        ({names.HELM_HOOK: "pre-install,pre-upgrade"}, ("PreSync",)),
        ({names.HELM_HOOK: "post-upgrade"}, ("PostSync",)),
        ({names.HELM_HOOK: "pre-delete,post-delete"}, ("PreDelete", "PostDelete")),
        ({names.HELM_HOOK: "test"}, ()),
        ({names.HELM_HOOK: "pre-rollback"}, ()),
        ({names.HELM_HOOK: "crd-install"}, ("Sync",)),
        ({names.HOOK: "Sync", names.HELM_HOOK: "pre-install"}, ("Sync",)),
        ({names.HOOK: "Sometime", names.HELM_HOOK: "pre-install"}, ()),
    ],
)
def test_the_phases_of_an_object(annotations: dict[str, str], phases: tuple[str, ...]) -> None:
    assert hooks.phases(thing("Job", "x", None, **annotations)) == phases


@pytest.mark.parametrize(
    ("annotations", "wave"),
    [
        ({}, 0),
        ({names.SYNC_WAVE: "-3"}, -3),
        ({names.HELM_HOOK_WEIGHT: "7"}, 7),
        ({names.SYNC_WAVE: "1", names.HELM_HOOK_WEIGHT: "7"}, 1),
        ({names.SYNC_WAVE: "one", names.HELM_HOOK_WEIGHT: "7"}, 7),
        ({names.SYNC_WAVE: "one"}, 0),
    ],
)
def test_the_wave_of_an_object(annotations: dict[str, str], wave: int) -> None:
    assert hooks.wave(thing("Job", "x", None, **annotations)) == wave


def test_delete_policies_of_argo_and_helm_come_together() -> None:
    both = {names.HOOK_DELETE_POLICY: "HookFailed", names.HELM_HOOK_DELETE_POLICY: "hook-succeeded,odd"}
    assert hooks.delete_policies(hook("x", "PreSync", None, **both)) == {"HookFailed", "HookSucceeded"}
    assert hooks.delete_policies(hook("x", "PreSync")) == {"BeforeHookCreation"}


def test_generated_names_are_the_same_each_time() -> None:
    target = hook("", "PreSync,PostSync")
    target["metadata"] |= {"generateName": "Job-", "name": ""}
    made = planned(target, revision="0123456789ab", started=1700000000.9)
    assert names_of(made) == ["Job-0123456-presync-1700000000", "Job-0123456-postsync-1700000000"]


def test_the_waves_of_prunes_are_mirrored_among_themselves() -> None:
    live = tuple(thing("ConfigMap", name, wave) for name, wave in (("a", -1), ("b", 0), ("c", 5)))
    made = planned(live=live)
    assert [(task.ref.name, task.wave) for task in made.tasks] == [("c", -1), ("b", 0), ("a", 5)]


def test_prune_last_is_one_wave_after_the_last() -> None:
    live = (thing("ConfigMap", "old", 0, **{names.SYNC_OPTIONS: "PruneLast=true"}), thing("ConfigMap", "soon", 0))
    made = planned(thing("ConfigMap", "new", 4), live=live)
    assert [(task.ref.name, task.wave) for task in made.tasks] == [("soon", 0), ("new", 4), ("old", 5)]
    made = planned(thing("ConfigMap", "new"), live=live, options=option("PruneLast=true"))
    assert {task.wave for task in made.tasks if task.prunes} == {1}


def test_hooks_owned_and_skipped_objects_are_not_pruned() -> None:
    owned = thing("ConfigMap", "owned")
    owned["metadata"]["ownerReferences"] = [{"kind": "Deployment", "name": "x", "uid": "1"}]
    assert names_of(planned(live=(owned, hook("h", "PreSync"), hook("s", "Skip")))) == []


def test_a_selection_keeps_the_rest_from_being_pruned_or_applied() -> None:
    selected = Options.of({"sync": {"resources": [{"kind": "ConfigMap", "name": "b"}]}})
    made = planned(thing("ConfigMap", "a"), thing("ConfigMap", "b"), hook("h", "PreSync"),
                   live=(thing("ConfigMap", "c"),), options=selected)  # fmt: skip
    assert names_of(made) == ["b"]


def test_an_excluding_selection() -> None:
    entry = {"kind": "ConfigMap", "name": "b", "exclude": True}
    made = planned(
        thing("ConfigMap", "a"), thing("ConfigMap", "b"), options=Options.of({"sync": {"resources": [entry]}})
    )
    assert names_of(made) == ["a"]


def test_create_namespace_is_a_task_only_while_something_is_to_do() -> None:
    asked: dict[str, Any] = {"options": option("CreateNamespace=true"), "namespace": "shop"}
    made = planned(**asked)
    assert [(task.ref.name, task.phase, task.makes_namespace) for task in made.tasks] == [("shop", "PreSync", True)]
    shop = thing("Namespace", "shop")
    assert planned(**asked, live=(shop,)).tasks[0].prunes  # tracked, and not in the manifests
    found = plan(Inputs((), {}, lambda _ref, _version: shop, option("CreateNamespace=true"), namespace="shop"))
    assert found.tasks == ()


def test_the_operation_s_sync_options_stand_for_the_application_s() -> None:
    assert Options.of({"sync": {"syncOptions": ["PruneLast=true"]}}, ["Replace=true"]).settings == {"PruneLast": "true"}
    assert Options.of({"sync": {}}, ["Replace=true"]).settings == {"Replace": "true"}


def test_the_resource_beats_the_application() -> None:
    options = option("ServerSideApply=false", "Prune=false")
    assert not options.is_server_side(thing("ConfigMap", "a"))
    assert options.is_server_side(thing("ConfigMap", "a", None, **{names.SYNC_OPTIONS: "ServerSideApply=true"}))
    assert (
        options.setting("Prune", thing("ConfigMap", "a", None, **{names.SYNC_OPTIONS: "x=y, Prune=confirm"}))
        == "confirm"
    )


def test_an_object_is_its_application_s_only_by_an_id_of_its_own() -> None:
    mine = thing("ConfigMap", "a")
    mine["metadata"]["annotations"][names.TRACKING_ID] = tracking_id(mine, "app")
    assert owner_of(mine) == "app"
    mine["metadata"]["name"] = "copy"
    assert owner_of(mine) == ""


# laws

KINDS = st.sampled_from(["Namespace", "ConfigMap", "Deployment", "Widget", "Job", "Role", "Ingress"])
THINGS = st.builds(thing, KINDS, st.sampled_from("abcdef"), st.integers(-2, 2), st.sampled_from(["a", "b", "default"]))
HOOKS = st.builds(hook, st.sampled_from("uvwxyz"), st.sampled_from(["PreSync", "Sync", "PostSync", "SyncFail"]))
SETS = st.lists(st.one_of(THINGS, HOOKS), max_size=12, unique_by=objects.ref)


@given(SETS, SETS, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_the_manifests(
    targets: list[Object], live: list[Object], shuffle: Any
) -> None:
    first = planned(*targets, live=tuple(live))
    shuffle.shuffle(targets)
    shuffle.shuffle(live)
    assert planned(*targets, live=tuple(live)).tasks == first.tasks


@given(SETS)
def test_nothing_comes_before_its_namespace(targets: list[Object]) -> None:
    made = planned(*targets).tasks
    for place, task in enumerate(made):
        later = [other.ref.name for other in made[place:] if other.ref.kind == "Namespace"]
        assert task.ref.namespace not in later


@given(SETS, SETS)
def test_phases_and_waves_only_go_up(targets: list[Object], live: list[Object]) -> None:
    made = planned(*targets, live=tuple(live))
    keys = [order_key(task)[:2] for task in made.tasks]
    assert keys == sorted(keys)
    assert len(made.steps) == len(set(made.steps))


@given(SETS, SETS)
def test_every_object_is_applied_or_pruned_and_nothing_both(targets: list[Object], live: list[Object]) -> None:
    made = planned(*targets, live=tuple(live)).tasks
    applied = {task.ref for task in made if not task.prunes}
    pruned = {task.ref for task in made if task.prunes}
    assert applied == {objects.ref(target) for target in targets}
    assert not applied & pruned
    assert pruned <= {objects.ref(obj) for obj in live}


@given(SETS)
def test_groups_are_the_tasks_in_their_order(targets: list[Object]) -> None:
    made = planned(*targets).tasks
    assert [task for group in groups(made) for task in group] == list(made)
    assert all(len({task.ref.kind for task in group}) == 1 for group in groups(made))
