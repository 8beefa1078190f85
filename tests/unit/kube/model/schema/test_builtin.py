"""The schema of built-in kinds, checked against facts of Kubernetes 1.37."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.kube.model.schema import builtin

if TYPE_CHECKING:
    from seatrial.kube.model.schema.types import Type


def node(api_version: str, kind: str, path: str) -> Type:
    """Walk `spec.containers.[].name`; `[]` steps into a list's or map's element."""
    found = builtin.type_for(api_version, kind)
    assert found is not None
    for step in path.split("."):
        child = found.element if step == "[]" else found.fields[step]
        assert child is not None
        found = child
    return found


def test_a_kind_kubernetes_lacks_has_no_type() -> None:
    assert builtin.type_for("example.com/v1", "Widget") is None


def test_the_same_kind_gives_the_same_type() -> None:
    assert builtin.type_for("apps/v1", "Deployment") is builtin.type_for("apps/v1", "Deployment")


def test_delete_options_exist_in_every_group() -> None:
    assert builtin.type_for("apps/v1", "DeleteOptions") is builtin.type_for("v1", "DeleteOptions")


def test_containers_merge_by_name() -> None:
    containers = node("v1", "Pod", "spec.containers")
    assert (containers.shape, containers.list_type, containers.list_keys) == ("list", "map", ("name",))
    assert (containers.merge_key, containers.patch_strategy) == ("name", frozenset({"merge"}))


@pytest.mark.parametrize(
    ("api_version", "kind", "path"),
    [
        ("v1", "Pod", "spec.containers.[].ports.[].protocol"),
        ("apps/v1", "Deployment", "spec.template.spec.initContainers.[].ports.[].protocol"),
        ("v1", "Service", "spec.ports.[].protocol"),
    ],
)
def test_a_port_key_without_protocol_means_tcp(api_version: str, kind: str, path: str) -> None:
    protocol = node(api_version, kind, path)
    assert protocol.has_default
    assert protocol.default == "TCP"


@pytest.mark.parametrize(
    ("path", "scalar", "format_"),
    [
        ("metadata.creationTimestamp", "string", "date-time"),
        ("metadata.generation", "integer", "int64"),
        ("spec.containers.[].resources.limits.[]", "quantity", ""),
        ("spec.containers.[].livenessProbe.httpGet.port", "int-or-string", ""),
        ("spec.hostNetwork", "boolean", ""),
    ],
)
def test_scalars_keep_type_and_format(path: str, scalar: str, format_: str) -> None:
    found = node("v1", "Pod", path)
    assert (found.shape, found.scalar, found.format) == ("scalar", scalar, format_)


def test_managed_fields_are_any_json() -> None:
    assert node("v1", "Pod", "metadata.managedFields.[].fieldsV1").shape == "any"


def test_raw_extensions_keep_what_they_hold() -> None:
    data = node("apps/v1", "ControllerRevision", "data")
    assert data.shape == "any"
    assert data.preserve_unknown


def test_a_strategy_on_a_reference_belongs_to_that_field_only() -> None:
    strategy = node("apps/v1", "Deployment", "spec.strategy")
    assert strategy.patch_strategy == {"retainKeys"}
    assert strategy.fields is builtin.type_named(strategy.name).fields
    assert not builtin.type_named(strategy.name).patch_strategy


def test_atomic_is_read_from_definition_and_field() -> None:
    assert node("apps/v1", "Deployment", "spec.selector").atomic
    assert node("v1", "PersistentVolume", "spec.claimRef").atomic
    assert node("v1", "Pod", "spec.nodeSelector").atomic


def test_a_schema_holds_itself() -> None:
    root = node("apiextensions.k8s.io/v1", "CustomResourceDefinition", "spec.versions.[].schema.openAPIV3Schema")
    assert root.fields["properties"].element is root


def test_a_type_shows_itself_in_one_word() -> None:
    assert repr(builtin.type_for("v1", "Pod")) == "Type(io.k8s.api.core.v1.Pod)"
