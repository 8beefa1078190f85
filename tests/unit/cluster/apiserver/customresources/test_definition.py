"""What a CustomResourceDefinition means, and when it is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from seatrial.cluster.apiserver.customresources import definition

NOW = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:01:00Z"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {"color": {"type": "string"}, "size": {"type": "object"}}},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    },
}


def version(name: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"name": name, "served": True, "storage": False, "schema": {"openAPIV3Schema": SCHEMA}, **fields}


def widgets(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [version(storage=True)],
            **spec,
        },
    }
    definition.default(found)
    return copy.deepcopy(found)


def established(**spec: Any) -> dict[str, Any]:
    found = widgets(**spec)
    found["status"] = definition.status(found, {}, NOW)
    return found


def fields(crd: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    return [cause.field for cause in definition.validate(crd, old)]


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {found["type"]: (found["status"], found["reason"]) for found in status["conditions"]}


def test_names_that_follow_from_the_kind_are_filled_in() -> None:
    spec = widgets(preserveUnknownFields=False)["spec"]
    assert (spec["names"]["singular"], spec["names"]["listKind"]) == ("widget", "WidgetList")
    assert spec["conversion"] == {"strategy": "None"}
    assert "preserveUnknownFields" not in spec


def test_defaulting_an_empty_definition_does_no_harm() -> None:
    crd: dict[str, Any] = {}
    definition.default(crd)
    assert fields(crd)[:2] == ["spec.group", "spec.scope"]


def test_a_plain_definition_is_valid() -> None:
    assert definition.validate(widgets(), None) == []
    assert definition.validate(established(), established()) == []


# Status


def test_a_definition_without_conflicts_is_established_at_once() -> None:
    status = established()["status"]
    assert conditions(status) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert status["acceptedNames"] == widgets()["spec"]["names"]
    assert status["storedVersions"] == ["v1"]
    assert status["conditions"][0]["lastTransitionTime"] == NOW


@pytest.mark.parametrize(
    ("name", "reason"),
    [("widgets", "PluralConflict"), ("wd", "ShortNamesConflict"), ("Widget", "KindConflict")],
)
def test_a_name_that_is_taken_is_not_accepted(name: str, reason: str) -> None:
    status = definition.status(widgets(), {name: "gadgets"}, NOW)
    assert conditions(status) == {"NamesAccepted": ("False", reason), "Established": ("False", "NotAccepted")}
    assert status["conditions"][0]["message"] == f'"{name}" is already in use by gadgets'


def test_an_established_definition_stays_so_and_keeps_the_names_it_had() -> None:
    crd = established()
    crd["spec"]["names"]["shortNames"] = ["gd"]
    status = definition.status(crd, {"gd": "gadgets"}, LATER)
    assert conditions(status)["Established"][0] == "True"
    assert conditions(status)["NamesAccepted"] == ("False", "ShortNamesConflict")
    assert status["acceptedNames"]["shortNames"] == ["wd"]


def test_transition_times_move_only_with_the_status() -> None:
    crd = established()
    assert definition.status(crd, {}, LATER) == crd["status"]


def test_every_storage_version_is_remembered() -> None:
    crd = established()
    crd["spec"]["versions"] = [version("v1"), version("v2", storage=True)]
    crd["status"] = definition.status(crd, {}, LATER)
    assert crd["status"]["storedVersions"] == ["v1", "v2"]
    crd["spec"]["versions"] = [version("v2", storage=True)]
    assert fields(crd) == ["status.storedVersions[0]"]


# Resources


def test_each_served_version_is_a_resource_the_preferred_first() -> None:
    versions = [version("v1beta1"), version("v2", served=False), version("v1", storage=True)]
    found = definition.resources(established(versions=versions))
    assert [resource.api_version for resource in found] == ["example.com/v1", "example.com/v1beta1"]
    first = found[0]
    assert (first.plural, first.kind, first.singular, first.list_name) == ("widgets", "Widget", "widget", "WidgetList")
    assert (first.short_names, first.categories, first.namespaced) == (("wd",), ("all",), True)
    assert first.subresources == ()


def test_subresources_are_those_the_version_declares() -> None:
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    crd = established(versions=[version(storage=True, subresources={"status": {}, "scale": scale})])
    resource = definition.resources(crd)[0]
    assert [(sub.name, sub.group, sub.version, sub.kind) for sub in resource.subresources] == [
        ("scale", "autoscaling", "v1", "Scale"),
        ("status", "example.com", "v1", "Widget"),
    ]
    assert definition.scale_paths(crd, "v1") == (".spec.replicas", ".status.replicas", "")


def test_without_columns_the_age_is_shown() -> None:
    assert [column["name"] for column in definition.printer_columns(widgets(), "v1")] == ["Age"]
    columns = [{"name": "Color", "type": "string", "jsonPath": ".spec.color"}]
    crd = widgets(versions=[version(storage=True, additionalPrinterColumns=columns)])
    assert definition.printer_columns(crd, "v1") == columns


def test_selectable_fields_are_paths_without_the_leading_dot() -> None:
    crd = widgets(versions=[version(storage=True, selectableFields=[{"jsonPath": ".spec.color"}])])
    assert definition.validate(crd, None) == []
    assert definition.selectable_fields(crd, "v1") == ["spec.color"]


# Validation


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"group": ""}, "spec.group"),
        ({"group": "Example.com"}, "spec.group"),
        ({"scope": ""}, "spec.scope"),
        ({"scope": "Global"}, "spec.scope"),
        ({"names": {"plural": "widgets"}}, "spec.names.kind"),
        ({"names": {"plural": "widgets", "kind": "Wid get"}}, "spec.names.kind"),
        ({"names": {"plural": "widgets", "kind": "Widget", "listKind": "Widget"}}, "spec.names.listKind"),
        ({"names": {"plural": "widgets", "kind": "Widget", "shortNames": ["W"]}}, "spec.names.shortNames[0]"),
        ({"names": {"plural": "gadgets", "kind": "Gadget"}}, "metadata.name"),
        ({"versions": []}, "spec.versions"),
        ({"versions": [version()]}, "spec.versions"),
        ({"versions": [version(storage=True), version("v2", storage=True)]}, "spec.versions"),
        ({"versions": [version(storage=True), version()]}, "spec.versions"),
        ({"versions": [version(storage=True, served=False)]}, "spec.versions"),
        ({"versions": [version("1", storage=True)]}, "spec.versions[0].name"),
        ({"versions": [version(storage=True, schema=None)]}, "spec.versions[0].schema.openAPIV3Schema"),
        (
            {"versions": [version(storage=True, schema={"openAPIV3Schema": {}})]},
            "spec.versions[0].schema.openAPIV3Schema.type",
        ),
        ({"conversion": {"strategy": "Webhook"}}, "spec.conversion.strategy"),
        ({"conversion": {"strategy": "Magic"}}, "spec.conversion.strategy"),
        ({"preserveUnknownFields": True}, "spec.preserveUnknownFields"),
    ],
)
def test_a_broken_rule_names_the_field(spec: dict[str, Any], field: str) -> None:
    assert field in fields(widgets(**spec))


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({"deprecationWarning": "old"}, "deprecationWarning"),
        ({"deprecated": True, "deprecationWarning": "a\nb"}, "deprecationWarning"),
        (
            {"subresources": {"scale": {"statusReplicasPath": ".status.n"}}},
            "subresources.scale.specReplicasPath",
        ),
        (
            {"subresources": {"scale": {"specReplicasPath": ".status.n", "statusReplicasPath": ".status.n"}}},
            "subresources.scale.specReplicasPath",
        ),
        ({"additionalPrinterColumns": [{"type": "string", "jsonPath": ".a"}]}, "additionalPrinterColumns[0].name"),
        (
            {"additionalPrinterColumns": [{"name": "A", "type": "text", "jsonPath": ".a"}]},
            "additionalPrinterColumns[0].type",
        ),
        (
            {"additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".a["}]},
            "additionalPrinterColumns[0].jsonPath",
        ),
        ({"selectableFields": [{"jsonPath": ".spec.nothing"}]}, "selectableFields[0].jsonPath"),
        ({"selectableFields": [{"jsonPath": ".spec.size"}]}, "selectableFields[0].jsonPath"),
        ({"selectableFields": [{"jsonPath": ".metadata.name"}]}, "selectableFields[0].jsonPath"),
        ({"selectableFields": [{"jsonPath": ".spec.color"}] * 2}, "selectableFields[1].jsonPath"),
        (
            {
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {**SCHEMA, "anyOf": [{"required": ["spec"]}]}},
            },
            "schema.openAPIV3Schema.anyOf",
        ),
    ],
)
def test_a_broken_rule_of_a_version_names_the_field(declared: dict[str, Any], field: str) -> None:
    assert fields(widgets(versions=[version(storage=True, **declared)])) == [f"spec.versions[0].{field}"]


def test_what_identifies_the_resource_cannot_change() -> None:
    old = established()
    new = established(scope="Cluster", group="example.org")
    new["metadata"]["name"] = "widgets.example.org"
    new["spec"]["names"]["kind"] = "Gizmo"
    assert fields(new, old) == ["spec.group", "spec.scope", "spec.names.kind"]


def test_before_it_is_established_the_scope_may_change() -> None:
    old = widgets()
    old["status"] = definition.status(old, {"widgets": "others"}, NOW)
    assert fields(widgets(scope="Cluster"), old) == []


@pytest.mark.parametrize(
    ("annotation", "valid"),
    [(None, False), ("because", False), ("unapproved, an experiment", True), ("https://github.com/x/y/pull/1", True)],
)
def test_groups_of_the_project_need_an_approval(annotation: str | None, valid: bool) -> None:
    crd = widgets(group="example.k8s.io")
    crd["metadata"]["name"] = "widgets.example.k8s.io"
    if annotation is not None:
        crd["metadata"]["annotations"] = {"api-approved.kubernetes.io": annotation}
    assert (definition.validate(crd, None) == []) is valid
