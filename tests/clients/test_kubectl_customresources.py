"""Custom resources from end to end: a definition, its objects, and every kubectl command that meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFINITION = (Path(__file__).parent / "manifests" / "boats.yaml").read_text()


def definition(group: str) -> str:
    return DEFINITION.replace("GROUP", group)


@pytest.fixture(scope="module")
def group(shared_kubectl: Any) -> Iterator[str]:
    """The API group of a definition that is established."""
    name = f"{shared_kubectl.namespace}.example.com"
    shared_kubectl.apply(definition(name))
    shared_kubectl("wait", f"crd/boats.{name}", "--for=condition=Established", "--timeout=20s")
    yield name
    shared_kubectl("delete", "crd", f"boats.{name}", "--ignore-not-found")


@pytest.fixture
def boat(group: str) -> Callable[..., str]:
    """`boat(name, **spec)`: a manifest."""

    def make(name: str = "ada", version: str = "v1", **spec: Any) -> str:
        metadata = {"name": name}
        return json.dumps({"apiVersion": f"{group}/{version}", "kind": "Boat", "metadata": metadata, "spec": spec})

    return make


# The definition


def test_a_definition_appears_everywhere_and_goes_everywhere(kubectl: Any) -> None:
    group = f"{kubectl.namespace}.example.com"
    name = f"boats.{group}"
    assert kubectl.apply(definition(group)) == f"customresourcedefinition.apiextensions.k8s.io/{name} created\n"
    assert kubectl("wait", f"crd/{name}", "--for=condition=Established", "--timeout=20s").endswith("condition met\n")
    [row] = kubectl.rows("crd", name)
    assert (row["SCOPE"], row["VERSIONS"]) == ("Namespaced", "v1(storage),v1beta1")
    listed = kubectl("api-resources", f"--api-group={group}", "-o", "wide", "--no-headers").split()
    assert listed[:5] == ["boats", "bo", f"{group}/v1", "true", "Boat"]
    assert listed[-1] == "all,fleet"
    assert f"{group}/v1\n" in kubectl("api-versions")
    boat = json.dumps({"apiVersion": f"{group}/v1", "kind": "Boat", "metadata": {"name": "x"}, "spec": {"length": 3}})
    kubectl("create", "-f", "-", stdin=boat)

    assert kubectl("delete", "crd", name) == f'customresourcedefinition.apiextensions.k8s.io "{name}" deleted\n'
    assert kubectl("api-resources", f"--api-group={group}", "--no-headers") == ""
    assert "the server could not find the requested resource" in (
        kubectl.fails("get", "--raw", f"/apis/{group}/v1/namespaces/{kubectl.namespace}/boats")
    )
    kubectl.apply(definition(group))
    kubectl("wait", f"crd/{name}", "--for=condition=Established", "--timeout=20s")
    assert kubectl("get", name, "-o", "name") == ""  # the objects went with the definition
    kubectl("delete", "crd", name)


def test_a_definition_that_is_none(kubectl: Any) -> None:
    wrong = definition("sea.example.com").replace("boats.sea", "ships.sea").replace("type: integer, min", "min")
    refused = kubectl.fails("create", "-f", "-", stdin=wrong)
    assert 'metadata.name: Invalid value: "ships.sea.example.com": must be spec.names.plural+"."+spec.group' in refused
    assert (
        "schema.openAPIV3Schema.properties[spec].properties[length].type: Required value: "
        "must not be empty for specified object fields"
    ) in refused


# Objects


def test_apply_and_get_with_printer_columns(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    assert kubectl.apply(boat(length=12, berth="A7")) == f"boat.{group}/ada created\n"
    assert kubectl.apply(boat(length=12, berth="A7")) == f"boat.{group}/ada unchanged\n"
    resource = f"boats.{group}"
    lines = kubectl("get", resource).splitlines()
    assert lines[0].split() == ["NAME", "LENGTH", "CREW", "STATE", "AGE"]
    [row] = kubectl.rows(resource, "-o", "wide")
    assert (row["LENGTH"], row["CREW"], row["STATE"], row["BERTH"]) == ("12", "2", "", "A7")
    assert row["AGE"].endswith("s")
    assert kubectl("get", "all", "-o", "name") == f"boat.{group}/ada\n"
    assert kubectl("get", f"boat.{group}", "ada", "-o", "jsonpath={.spec.crew}") == "2"  # the default


def test_what_the_schema_forbids(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    refused = kubectl.fails("apply", "-f", "-", stdin=boat(length=0, berth="7x", sail="spinnaker"))
    assert refused.splitlines() == [
        'The Boat "ada" is invalid: ',
        "* spec.berth: Invalid value: \"7x\": spec.berth in body should match '^[A-Z][0-9]+$'",
        "* spec.length: Invalid value: 0: spec.length in body should be greater than or equal to 1",
        '* spec.sail: Unsupported value: "spinnaker": supported values: "main", "jib"',
    ]
    wrong = kubectl.fails("apply", "-f", "-", stdin=boat(length="long"))
    assert wrong == (
        'The Boat "ada" is invalid: spec.length: Invalid value: "string": '
        'spec.length in body must be of type integer: "string"\n'
    )
    assert kubectl.fails("apply", "-f", "-", stdin=boat(crew=2)) == (
        'The Boat "ada" is invalid: spec.length: Required value\n'
    )
    unknown = kubectl.fails("apply", "-f", "-", stdin=boat(length=1, lenght=1))
    assert (
        'Boat in version "v1" cannot be handled as a Boat: strict decoding error: unknown field "spec.lenght"'
        in unknown
    )
    twice = kubectl.fails("apply", "-f", "-", stdin=boat(length=1, masts=[{"name": "fore"}, {"name": "fore"}]))
    assert 'spec.masts[1]: Duplicate value: {"name":"fore"}' in twice


def test_unknown_fields_are_pruned_but_where_they_are_kept(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    manifest = boat(length=1, colour="red", cargo={"tea": {"chests": 3}})
    done = kubectl.result("create", "--validate=warn", "-f", "-", stdin=manifest)
    assert done.stderr == 'Warning: unknown field "spec.colour"\n'
    assert kubectl.json("get", f"boat.{group}", "ada")["spec"] == {
        "cargo": {"tea": {"chests": 3}},
        "crew": 2,
        "length": 1,
    }


def test_patches(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    kubectl.apply(boat(length=12, masts=[{"name": "fore", "height": 9}]))
    resource = f"boat.{group}"
    assert (
        kubectl("patch", resource, "ada", "--type=merge", "-p", '{"spec": {"crew": 3}}') == f"{resource}/ada patched\n"
    )
    kubectl("patch", resource, "ada", "--type=json", "-p", '[{"op": "add", "path": "/spec/sail", "value": "jib"}]')
    spec = kubectl.json("get", resource, "ada")["spec"]
    assert (spec["crew"], spec["sail"]) == (3, "jib")
    assert "application/strategic-merge-patch+json is not supported by" in (
        kubectl.fails("patch", resource, "ada", "-p", '{"spec": {"crew": 4}}')
    )
    below = kubectl.fails("patch", resource, "ada", "--type=merge", "-p", '{"spec": {"crew": -1}}')
    assert "spec.crew: Invalid value: -1: spec.crew in body should be greater than or equal to 0" in below
    kubectl("label", resource, "ada", "sea=north")
    assert kubectl("get", resource, "-l", "sea=north", "-o", "name") == f"{resource}/ada\n"


def test_server_side_apply_merges_lists_by_key(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    kubectl.apply(boat(length=12, masts=[{"name": "fore", "height": 9}]), "--server-side", "--field-manager=rigger")
    kubectl.apply(boat(length=12, masts=[{"name": "main", "height": 12}]), "--server-side", "--field-manager=mate")
    masts = kubectl.json("get", f"boat.{group}", "ada")["spec"]["masts"]
    assert masts == [{"name": "fore", "height": 9}, {"name": "main", "height": 12}]
    refused = kubectl.fails(
        *("apply", "--server-side", "--field-manager=mate", "-f", "-"),
        stdin=boat(length=12, masts=[{"name": "fore", "height": 5}]),
    )
    assert 'conflict with "rigger": .spec.masts[name="fore"].height' in refused


def test_status_is_written_apart(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    kubectl.apply(boat(length=12))
    resource = f"boat.{group}"
    kubectl("patch", resource, "ada", "--type=merge", "-p", '{"status": {"state": "sunk"}}')
    assert "status" not in kubectl.json("get", resource, "ada")
    both = '{"status": {"state": "afloat"}, "spec": {"length": 99}}'
    kubectl("patch", resource, "ada", "--subresource=status", "--type=merge", "-p", both)
    found = kubectl.json("get", resource, "ada")
    assert (found["status"]["state"], found["spec"]["length"]) == ("afloat", 12)
    assert found["metadata"]["generation"] == 1
    assert kubectl("wait", f"{resource}/ada", "--for=jsonpath={.status.state}=afloat", "--timeout=20s")


def test_scale(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    kubectl.apply(boat(length=12))
    resource = f"boat.{group}"
    assert kubectl("scale", resource, "ada", "--replicas=5") == f"{resource}/ada scaled\n"
    status = '{"status": {"crew": 4, "selector": "boat=ada"}}'
    kubectl("patch", resource, "ada", "--subresource=status", "--type=merge", "-p", status)
    scale = kubectl.json("get", resource, "ada", "--subresource=scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        "Scale",
        {"replicas": 5},
        {"replicas": 4, "selector": "boat=ada"},
    )
    assert kubectl("get", resource, "ada", "-o", "jsonpath={.spec.crew}") == "5"


def test_explain(kubectl: Any, group: str) -> None:
    text = kubectl("explain", f"boats.{group}")
    assert text.startswith(f"GROUP:      {group}\nKIND:       Boat\nVERSION:    v1\n")
    assert "A boat in the harbour." in text
    assert "  spec\t<Object> -required-\n    What the boat should be.\n" in text
    field = kubectl("explain", f"boats.{group}.spec.length")
    assert "FIELD: length <integer>" in field
    assert "Metres from bow to stern." in field
    assert "  sail\t<string>\n  enum: main, jib\n" in kubectl("explain", f"boats.{group}.spec")


def test_diff_describe_and_watch(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    kubectl.apply(boat(length=12))
    resource = f"boat.{group}"
    different = kubectl.result("diff", "-f", "-", stdin=boat(length=13))
    assert (different.returncode, "+  length: 13" in different.stdout) == (1, True)
    described = kubectl("describe", resource, "ada")
    assert f"API Version:  {group}/v1\nKind:         Boat\n" in described
    assert "Spec:\n  Crew:    2\n  Length:  12\n" in described
    with kubectl.running("get", resource, "-w", "--no-headers") as watch:
        watch.until(len)
        kubectl.apply(boat(length=13))
        lines = watch.until(lambda lines: len(lines) == 2)
    assert [line.split()[:3] for line in lines] == [["ada", "12", "2"], ["ada", "13", "2"]]


def test_select_by_the_fields_the_definition_names(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    kubectl.apply(boat("ada", length=12, berth="A7"))
    kubectl.apply(boat("bob", length=12, berth="B1"))
    chosen = ("get", f"boat.{group}", "-o", "name", "--field-selector")
    assert kubectl(*chosen, "spec.berth=B1") == f"boat.{group}/bob\n"
    assert "field label not supported: spec.length" in kubectl.fails(*chosen, "spec.length=12")


def test_every_version_shows_the_same_object(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    kubectl.apply(boat(length=12))
    done = kubectl.result("get", f"boats.v1beta1.{group}", "ada", "-o", "json")
    assert done.stderr == "Warning: the old boats are rotten, use v1\n"
    old, new = json.loads(done.stdout), kubectl.json("get", f"boats.v1.{group}", "ada")
    assert old["apiVersion"] == f"{group}/v1beta1"
    assert old["metadata"]["uid"] == new["metadata"]["uid"]
    assert old["spec"] == new["spec"]


def test_owners_and_deletion(kubectl: Any, group: str, boat: Callable[..., str]) -> None:
    kubectl.apply(boat(length=12))
    uid = kubectl("get", f"boat.{group}", "ada", "-o", "jsonpath={.metadata.uid}")
    owner = {"apiVersion": f"{group}/v1", "kind": "Boat", "name": "ada", "uid": uid}
    kubectl("create", "configmap", "log")
    kubectl("patch", "configmap", "log", "-p", json.dumps({"metadata": {"ownerReferences": [owner]}}))
    deleted = kubectl("delete", f"boat.{group}", "--all")
    assert deleted == f'boat.{group} "ada" deleted from {kubectl.namespace} namespace\n'
    kubectl("wait", "--for=delete", "configmap/log", "--timeout=20s")
