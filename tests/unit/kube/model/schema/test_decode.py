"""Pruning and type checks, with the messages the API server's users know."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.kube.model.schema import builtin, decode
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.model.schema.types import Type

REGEX = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def type_of(api_version: str, kind: str) -> Type:
    found = builtin.type_for(api_version, kind)
    assert found is not None
    return found


POD = type_of("v1", "Pod")
DEPLOYMENT = type_of("apps/v1", "Deployment")


def pod(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "nginx", **container}]},
    }


def deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def refusal(obj: dict[str, Any], type: Type) -> str:
    with pytest.raises(StatusError) as raised:
        decode.check_types(obj, type, obj["kind"])
    assert (raised.value.code, raised.value.reason) == (400, "BadRequest")
    prefix = f'{obj["kind"]} in version "v1" cannot be handled as a {obj["kind"]}: '
    assert raised.value.message.startswith(prefix)
    return raised.value.message.removeprefix(prefix)


@pytest.mark.parametrize("clean", [lambda obj: decode.clean(obj, POD, "Pod"), lambda obj: decode.prune(obj, POD)])
class TestPruning:
    def test_a_right_object_stays_as_it_is(self, clean: Any) -> None:
        obj = pod()
        assert clean(obj) == []
        assert obj == pod()

    def test_unknown_fields_go_and_are_named_with_their_path(self, clean: Any) -> None:
        obj = pod(imagePullPolice="Always", env=[{"name": "A"}, {"name": "B", "vlaue": "1"}])
        obj["spec"]["foo"] = {"bar": 1}
        assert sorted(clean(obj)) == [
            'unknown field "spec.containers[0].env[1].vlaue"',
            'unknown field "spec.containers[0].imagePullPolice"',
            'unknown field "spec.foo"',
        ]
        assert obj == pod(env=[{"name": "A"}, {"name": "B"}])

    def test_null_means_unset(self, clean: Any) -> None:
        obj = pod(command=None, resources=None, stdin=None)
        obj["metadata"]["creationTimestamp"] = None
        obj["status"] = None
        assert clean(obj) == []
        assert obj == pod()

    def test_any_json_is_kept_whole(self, clean: Any) -> None:
        entry = {"manager": "m", "fieldsV1": {"f:spec": {"f:x": {}, "k:{}": None}}}
        obj = pod()
        obj["metadata"]["managedFields"] = [copy.deepcopy(entry)]
        assert clean(obj) == []
        assert obj["metadata"]["managedFields"] == [entry]

    def test_a_hostile_number_of_unknown_fields_is_reported_in_part(self, clean: Any) -> None:
        obj = pod(**{f"field{number}": 1 for number in range(500)})
        assert len(clean(obj)) == decode.MAX_PROBLEMS
        assert obj == pod()


def test_check_types_leaves_unknown_fields_to_prune() -> None:
    obj = pod(foo=1)
    decode.check_types(obj, POD, "Pod")
    assert decode.prune(obj, POD) == ['unknown field "spec.containers[0].foo"']


def test_null_in_a_map_of_strings_is_an_empty_string() -> None:
    obj = pod()
    obj["metadata"]["labels"] = {"a": None}
    decode.clean(obj, POD, "Pod")
    assert obj["metadata"]["labels"] == {"a": ""}


def test_prune_survives_values_of_wrong_types() -> None:
    obj: dict[str, Any] = {
        "metadata": [],
        "spec": {"containers": {"a": 1}, "volumes": [1, "x", [None]]},
        "status": 3,
    }
    assert decode.prune(obj, POD) == []


@pytest.mark.parametrize(
    ("obj", "type", "message"),
    [
        (
            deployment(replicas="3"),
            DEPLOYMENT,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(replicas=1.5),
            DEPLOYMENT,
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(replicas=2**31),
            DEPLOYMENT,
            "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(paused="yes"),
            DEPLOYMENT,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            pod(image=1),
            POD,
            "json: cannot unmarshal number into Go struct field Container.spec.containers.image of type string",
        ),
        (
            pod(command="sh"),
            POD,
            "json: cannot unmarshal string into Go struct field Container.spec.containers.command of type []string",
        ),
        (
            {"apiVersion": "v1", "kind": "Pod", "spec": []},
            POD,
            "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec",
        ),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": True}}},
            POD,
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            pod(ports={}),
            POD,
            "json: cannot unmarshal object into Go struct field Container.spec.containers.ports"
            " of type []v1.ContainerPort",
        ),
        (
            pod(livenessProbe={"httpGet": {"port": 1.5}}),
            POD,
            "json: cannot unmarshal number 1.5 into Go struct field HTTPGetAction.spec.containers.livenessProbe"
            ".httpGet.port of type int32",
        ),
        (pod(resources={"limits": {"cpu": "much"}}), POD, REGEX),
        (pod(resources={"limits": {"cpu": True}}), POD, REGEX),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"creationTimestamp": "yesterday"}},
            POD,
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
        ),
        (
            {"apiVersion": "v1", "kind": "Secret", "data": {"a": "YWJj?"}},
            type_of("v1", "Secret"),
            "illegal base64 data at input byte 4",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_the_words_of_the_api_server(obj: dict[str, Any], type: Type, message: str) -> None:
    assert refusal(obj, type) == message


@pytest.mark.parametrize("clean", [decode.clean, decode.check_types])
def test_quantities_and_times_are_spelled_as_the_api_prints_them(clean: Any) -> None:
    obj = pod(resources={"limits": {"cpu": 2, "memory": "1024Mi"}, "requests": {"cpu": "0.5", "memory": "1Gi"}})
    obj["metadata"]["creationTimestamp"] = "2026-01-01T01:00:00.5+01:00"
    clean(obj, POD, "Pod")
    assert obj["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert obj["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "2", "memory": "1Gi"},
        "requests": {"cpu": "500m", "memory": "1Gi"},
    }


def test_micro_times_have_six_digits() -> None:
    lease: dict[str, Any] = {"kind": "Lease", "spec": {"renewTime": "2026-01-01T00:00:00.25Z"}}
    decode.clean(lease, type_of("coordination.k8s.io/v1", "Lease"), "Lease")
    assert lease["spec"]["renewTime"] == "2026-01-01T00:00:00.250000Z"


def test_a_deeply_nested_schema_is_refused_and_not_a_crash() -> None:
    schema: dict[str, Any] = {}
    for _ in range(2000):
        schema = {"properties": {"x": schema}}
    crd = {
        "kind": "CustomResourceDefinition",
        "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]},
    }
    type = type_of("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    with pytest.raises(StatusError, match="nested too deeply"):
        decode.clean(crd, type, "CustomResourceDefinition")
    with pytest.raises(StatusError, match="nested too deeply"):
        decode.prune(crd, type)


def test_the_metadata_of_a_custom_resource_is_checked_like_any() -> None:
    obj: dict[str, Any] = {"apiVersion": "example.com/v1", "metadata": {"name": "a", "labels": {"x": 1}}, "spec": 1}
    with pytest.raises(StatusError) as raised:
        decode.check_metadata(obj, "Widget")
    assert raised.value.message == (
        'Widget in version "v1" cannot be handled as a Widget: json: cannot unmarshal number into Go struct field '
        "ObjectMeta.metadata.labels of type string"
    )
    obj["metadata"] = {"name": "a", "generation": None, "color": "red"}
    decode.check_metadata(obj, "Widget")
    assert obj["metadata"] == {"name": "a", "color": "red"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def podlike(type: Type, depth: int) -> st.SearchStrategy[Any]:
    """Values that follow the schema for a while, and then anything."""
    if depth == 0 or type.shape in ("scalar", "any"):
        return JSON
    if type.element is not None:
        inner = podlike(type.element, depth - 1)
        return JSON | (st.lists(inner, max_size=2) if type.shape == "list" else st.dictionaries(st.text(), inner))
    names = st.sampled_from(sorted(type.fields)[:12] or ["x"]) | st.text(max_size=3)
    known = {name: podlike(child, depth - 1) for name, child in sorted(type.fields.items())[:12]}
    return st.lists(names, max_size=4, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({name: known.get(name, JSON) for name in chosen})
    )


PODS = st.fixed_dictionaries({"spec": podlike(POD.fields["spec"], 4), "metadata": podlike(POD.fields["metadata"], 3)})


@given(PODS)
def test_pruning_twice_changes_nothing_more(obj: dict[str, Any]) -> None:
    decode.prune(obj, POD)
    once = copy.deepcopy(obj)
    assert decode.prune(obj, POD) == []
    assert obj == once


@given(PODS)
def test_what_clean_accepts_it_accepts_again_unchanged(obj: dict[str, Any]) -> None:
    try:
        decode.clean(obj, POD, "Pod")
    except StatusError as error:
        assert error.code == 400
        return
    once = copy.deepcopy(obj)
    assert decode.clean(obj, POD, "Pod") == []
    assert obj == once
