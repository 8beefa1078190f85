from __future__ import annotations

from typing import Any

import pytest

from seatrial.kube.model.objects import Object, clone
from seatrial.kube.model.patch.apply import managed
from seatrial.kube.model.schema.builtin import type_for
from seatrial.kube.model.schema.types import Type
from seatrial.kube.model.status import StatusError

TEXT = Type("scalar", scalar="string")
NUMBER = Type("scalar", scalar="integer")
RULE = Type("struct", fields={"name": TEXT, "weight": NUMBER})
WIDGET = Type(
    "struct",
    fields={
        "apiVersion": TEXT,
        "kind": TEXT,
        "metadata": Type("struct", fields={"name": TEXT, "uid": TEXT, "labels": Type("map", element=TEXT)}),
        "spec": Type(
            "struct",
            fields={
                "size": NUMBER,
                "color": TEXT,
                "rules": Type("list", element=RULE, list_type="map", list_keys=("name",)),
                "tags": Type("list", element=TEXT, list_type="set"),
                "args": Type("list", element=TEXT),
                "free": Type("any", preserve_unknown=True),
                "nullable": Type("scalar", scalar="string", nullable=True),
            },
        ),
        "status": Type("struct", fields={"ready": Type("scalar", scalar="boolean")}),
    },
)
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"


def widget(**spec: Any) -> Object:
    return {"apiVersion": "seatrial.dev/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}


def apply(
    live: Object | None, config: Object, manager: str = "one", *, force: bool = False, now: str = EARLY
) -> Object:
    return managed.apply(live, config, WIDGET, manager=manager, force=force, subresource="", now=now)


def update(live: Object | None, new: Object, manager: str = "edit", subresource: str = "", now: str = LATE) -> Object:
    return managed.updated(live, clone(new), WIDGET, manager=manager, subresource=subresource, now=now)


def stored(**spec: Any) -> Object:
    """A widget somebody created, as it lies in the store."""
    obj = update(None, widget(**spec), "creator", now=EARLY)
    obj["metadata"]["uid"] = "1"
    return obj


def entries(obj: Object) -> list[Object]:
    found: list[Object] = obj["metadata"].get("managedFields", [])
    return found


def fields(obj: Object, manager: str) -> Any:
    return next(entry["fieldsV1"] for entry in entries(obj) if entry["manager"] == manager)


def test_an_entry_says_who_how_when_and_what() -> None:
    assert entries(apply(None, widget(size=1))) == [
        {
            "manager": "one",
            "operation": "Apply",
            "apiVersion": "seatrial.dev/v1",
            "time": EARLY,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:size": {}}},
        }
    ]


def test_whoever_creates_a_custom_object_owns_its_structs_too() -> None:
    assert fields(stored(size=1), "creator") == {"f:spec": {".": {}, "f:size": {}}}


def test_schemaless_parts_are_granular_maps_with_atomic_lists() -> None:
    obj = apply(None, widget(free={"a": {"b": 1, "c": [1, {"d": 2}]}}))
    assert fields(obj, "one") == {"f:spec": {"f:free": {"f:a": {".": {}, "f:b": {}, "f:c": {}}}}}


def test_a_schemaless_value_may_change_its_form() -> None:
    live = stored(free={"a": {"b": 1}})
    assert fields(update(live, widget(free={"a": "text"})), "edit") == {"f:spec": {"f:free": {"f:a": {}}}}


def test_an_apply_that_says_nothing_new_changes_nothing() -> None:
    live = apply(None, widget(size=1, rules=[{"name": "a"}]))
    assert apply(live, widget(size=1, rules=[{"name": "a"}]), now=LATE) == live


def test_the_time_moves_with_the_fields() -> None:
    live = apply(None, widget(size=1))
    again = apply(live, widget(size=1, color="red"), now=LATE)
    assert [entry["time"] for entry in entries(again)] == [LATE]


def test_an_update_that_changes_nothing_changes_no_owner() -> None:
    live = stored(size=1)
    assert update(live, live) == live
    unaware = clone(live)
    del unaware["metadata"]["managedFields"]
    assert update(live, unaware) == live


def test_an_update_of_a_removed_field_owns_nothing() -> None:
    live = stored(size=1, color="red")
    after = update(live, {**live, "spec": {"size": 1}})
    assert [entry["manager"] for entry in entries(after)] == ["creator"]
    assert fields(after, "creator") == {"f:spec": {".": {}, "f:size": {}}}


def test_null_in_a_configuration_removes_the_value_unless_the_schema_allows_null() -> None:
    live = stored(size=1, nullable="x")
    after = apply(live, widget(size=None, nullable=None), force=True)
    assert after["spec"] == {"nullable": None}


def test_nulls_inside_new_parts_are_dropped() -> None:
    after = apply(None, widget(rules=[{"name": "a", "weight": None}]))
    assert after["spec"] == {"rules": [{"name": "a"}]}


def test_server_written_metadata_survives_an_exported_manifest() -> None:
    live = stored(size=1)
    config = widget(color="red")
    config["metadata"]["uid"] = None
    assert apply(live, config)["metadata"]["uid"] == "1"


def test_a_sub_resource_is_another_owner() -> None:
    live = stored(size=1)
    after = update(live, {**live, "status": {"ready": True}}, "creator", "status")
    assert [(entry["manager"], entry.get("subresource")) for entry in entries(after)] == [
        ("creator", None),
        ("creator", "status"),
    ]


def test_conflicts_name_manager_version_and_field() -> None:
    with pytest.raises(StatusError) as refused:
        apply(stored(size=1), widget(size=2))
    assert refused.value.to_object() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Apply failed with 1 conflict: conflict with "creator" using seatrial.dev/v1: .spec.size',
        "reason": "Conflict",
        "details": {
            "causes": [
                {
                    "reason": "FieldManagerConflict",
                    "message": 'conflict with "creator" using seatrial.dev/v1',
                    "field": ".spec.size",
                }
            ]
        },
        "code": 409,
    }


def test_conflicts_with_a_status_writer_name_the_sub_resource() -> None:
    live = stored(size=1)
    live = update(live, {**live, "status": {"ready": True}}, "operator", "status")
    config = {**widget(), "status": {"ready": False}}
    with pytest.raises(StatusError, match=r'"operator" with subresource "status" using seatrial.dev/v1'):
        apply(live, config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (widget(rules=[{"name": "a"}, {"name": "a"}]), 'rules: duplicate entries for key [name="a"]'),
        (widget(rules=[{"weight": 1}]), "rules: element 0: associative list with keys"),
        (widget(rules=["a"]), "rules: element 0: associative list with keys may not have non-map"),
        (widget(tags=["a", "a"]), 'tags: duplicate entries for key [="a"]'),
        (widget(tags=[None]), "tags: element 0"),
        (widget(tags="a"), "tags: expected list, got string"),
        (widget(rules=[{"name": "a", "weigth": 1}]), 'rules[name="a"].weigth: field not declared in schema'),
        (widget(size=True), "size: expected numeric (int or float), got boolean"),
        ({**widget(), "spec": []}, "spec: expected map, got list"),
        ({**widget(), "metadata": {"name": "w", "managedFields": []}}, "metadata.managedFields must be nil"),
        ({**widget(), "metadata": []}, "metadata must be an object"),
    ],
)
def test_configurations_that_cannot_be_merged_are_a_400(config: Object, message: str) -> None:
    with pytest.raises(StatusError) as refused:
        apply(None, config)
    assert refused.value.code == 400
    assert message in refused.value.message


def test_an_object_whose_lists_break_the_schema_keeps_its_owners() -> None:
    live = stored(rules=[{"name": "a"}])
    after = update(live, {**live, "spec": {"rules": ["broken"], "size": 2}})
    assert entries(after) == entries(live)


def test_duplicates_that_were_stored_are_replaced_by_an_apply() -> None:
    live = stored(rules=[{"name": "a", "weight": 1}, {"name": "a", "weight": 2}, {"name": "b"}])
    after = apply(live, widget(rules=[{"name": "a", "weight": 3}]), force=True)
    assert after["spec"]["rules"] == [{"name": "a", "weight": 3}, {"name": "b"}]


@pytest.mark.parametrize("reset", [[], [{}]])
def test_a_client_can_make_everybody_forgotten(reset: list[Any]) -> None:
    live = stored(size=1)
    new = clone(live)
    new["metadata"]["managedFields"] = reset
    new["spec"]["size"] = 2
    after = update(live, new)
    assert "managedFields" not in after["metadata"]
    assert "managedFields" not in update(after, {**after, "spec": {"size": 3}})["metadata"]


def test_the_first_apply_to_an_object_nobody_tracked_meets_its_values() -> None:
    live = {**widget(size=1), "metadata": {"name": "w", "uid": "1"}}
    with pytest.raises(StatusError, match="before-first-apply"):
        apply(live, widget(size=2))
    after = apply(live, widget(size=2), force=True)
    assert [entry["manager"] for entry in entries(after)] == ["one", "before-first-apply"]


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        ["text"],
        [{"manager": "x", "operation": "Delete", "apiVersion": "v1", "fieldsType": "FieldsV1"}],
        [{"manager": "x", "operation": "Apply", "apiVersion": "", "fieldsType": "FieldsV1"}],
        [{"manager": "x", "operation": "Apply", "apiVersion": "v1"}],
        [{"manager": 7, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1"}],
        [{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"x": {}}}],
    ],
)
def test_owners_a_client_garbled_are_ignored(broken: Any) -> None:
    live = stored(size=1)
    new = clone(live)
    new["metadata"]["managedFields"] = broken
    assert update(live, new) == live


def test_a_patch_of_the_owners_alone_is_honoured() -> None:
    """What kubectl does when it takes an object from client-side to server-side apply."""
    live = stored(size=1)
    new = clone(live)
    new["metadata"]["managedFields"][0] |= {"manager": "kubectl", "operation": "Apply"}
    after = update(live, new)
    assert [(entry["manager"], entry["operation"]) for entry in entries(after)] == [("kubectl", "Apply")]
    assert entries(after) == entries(new)


def test_a_sub_resource_write_cannot_change_the_owners() -> None:
    live = stored(size=1)
    new = clone(live)
    new["metadata"]["managedFields"] = [{}]
    assert entries(update(live, new, subresource="status")) == entries(live)


def test_too_many_updaters_become_ancient() -> None:
    obj = stored(free={})
    for number in range(12):
        spec = {"free": {**obj["spec"]["free"], f"f{number}": 1}}
        obj = update(obj, {**obj, "spec": spec}, f"m{number:02}", now=f"2026-01-01T00:00:{number + 1:02}Z")
    assert [entry["manager"] for entry in entries(obj)] == ["ancient-changes", *(f"m{n:02}" for n in range(3, 12))]
    assert fields(obj, "ancient-changes")["f:spec"]["f:free"].keys() == {".", "f:f0", "f:f1", "f:f2"}


def test_live_objects_are_never_changed() -> None:
    live = apply(stored(size=1, rules=[{"name": "a", "weight": 1}]), widget(rules=[{"name": "b"}]))
    before = clone(live)
    apply(live, widget(rules=[{"name": "b", "weight": 5}], size=2), force=True)
    update(live, {**live, "spec": {"size": 3}})
    assert live == before


def test_structs_typed_clients_write_out_empty_have_no_owner() -> None:
    deployment = type_for("apps/v1", "Deployment")
    assert deployment is not None
    container = {"name": "c", "image": "i"}
    config = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    live = managed.apply(None, config, deployment, manager="one", force=False, subresource="", now=EARLY)
    new = clone(live) | {"status": {}}
    new["spec"]["strategy"] = {}
    new["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    after = managed.updated(live, new, deployment, manager="two", subresource="", now=LATE)
    assert entries(after) == entries(live)
