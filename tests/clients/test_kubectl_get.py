"""kubectl get: every form of output, every way to choose, pages, and what it says of what is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFESTS = Path(__file__).parent / "manifests"
PODS = """
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Pod, metadata: {name: ada, annotations: {depth: "3"}, labels: {sea: north, rank: one}},
     spec: {containers: [{name: c, image: boat:1}]}}
  - {apiVersion: v1, kind: Pod, metadata: {name: bob, annotations: {depth: "1"}, labels: {sea: south, rank: two}},
     spec: {containers: [{name: c, image: boat:2}, {name: d, image: log:1}]}}
  - {apiVersion: v1, kind: Pod, metadata: {name: cyd, annotations: {depth: "2"}, labels: {sea: south}},
     spec: {restartPolicy: Never, containers: [{name: c, image: boat:3}]}}
"""


@pytest.fixture(scope="module")
def boats(shared_kubectl: Any) -> Any:
    """Three pods: two run, the third has completed."""
    shared_kubectl("create", "-f", "-", stdin=PODS)
    shared_kubectl("wait", "pod/ada", "pod/bob", "--for=condition=Ready", "--timeout=20s")
    shared_kubectl("wait", "pod/cyd", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20s")
    return shared_kubectl


def names(kubectl: Any, *arguments: str) -> list[str]:
    return [name.split("/")[1] for name in kubectl("get", "pods", "-o", "name", *arguments).split()]


# Forms of output


def test_table(boats: Any) -> None:
    lines = boats("get", "pods").splitlines()
    assert lines[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [line.split()[:4] for line in lines[1:]] == [
        ["ada", "1/1", "Running", "0"],
        ["bob", "2/2", "Running", "0"],
        ["cyd", "0/1", "Completed", "0"],
    ]


def test_wide_table(boats: Any) -> None:
    [row] = boats.rows("pod", "ada", "-o", "wide")
    assert row["IP"].startswith("10.244.")
    assert (row["NODE"], row["NOMINATED NODE"], row["READINESS GATES"]) == ("seatrial", "<none>", "<none>")


def test_json_and_yaml(boats: Any) -> None:
    one = boats.json("get", "pod", "ada")
    assert (one["apiVersion"], one["kind"], one["metadata"]["name"]) == ("v1", "Pod", "ada")
    assert "managedFields" not in one["metadata"]
    listed = boats.json("get", "pods")
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("List", ["ada", "bob", "cyd"])
    assert {item["kind"] for item in listed["items"]} == {"Pod"}
    assert yaml.safe_load(boats("get", "pod", "ada", "-o", "yaml")) == one
    assert 'name: "ada"' in boats("get", "pod", "ada", "-o", "kyaml")


def test_jsonpath(boats: Any) -> None:
    template = '{range .items[*]}{.metadata.name}={.spec.containers[*].image}{"\\n"}{end}'
    assert boats("get", "pods", "-o", f"jsonpath={template}").splitlines() == [
        "ada=boat:1",
        "bob=boat:2 log:1",
        "cyd=boat:3",
    ]
    chosen = '{.items[?(@.metadata.labels.sea=="south")].metadata.name}'
    assert json.loads(boats("get", "pods", "-o", f"jsonpath-as-json={chosen}")) == ["bob", "cyd"]


def test_custom_columns(boats: Any) -> None:
    columns = "custom-columns=BOAT:.metadata.name,IMAGES:.spec.containers[*].image,NONE:.spec.nope"
    assert [line.split() for line in boats("get", "pods", "-o", columns).splitlines()] == [
        ["BOAT", "IMAGES", "NONE"],
        ["ada", "boat:1", "<none>"],
        ["bob", "boat:2,log:1", "<none>"],
        ["cyd", "boat:3", "<none>"],
    ]


def test_go_template(boats: Any) -> None:
    template = "{{range .items}}{{.metadata.name}}:{{len .spec.containers}} {{end}}"
    assert boats("get", "pods", "-o", f"go-template={template}") == "ada:1 bob:2 cyd:1 "


def test_names(boats: Any) -> None:
    assert boats("get", "pods", "-o", "name") == "pod/ada\npod/bob\npod/cyd\n"


def test_labels_shown_and_as_columns(boats: Any) -> None:
    assert boats.rows("pod", "ada", "--show-labels")[0]["LABELS"] == "rank=one,sea=north"
    shown = [(row["NAME"], row["SEA"], row["RANK"]) for row in boats.rows("pods", "-L", "sea,rank")]
    assert shown == [("ada", "north", "one"), ("bob", "south", "two"), ("cyd", "south", "")]


def test_kind_shown_and_headers_left_out(boats: Any) -> None:
    assert boats("get", "pod", "ada", "--show-kind", "--no-headers").split()[0] == "pod/ada"


def test_printed_by_the_client_when_asked(boats: Any) -> None:
    lines = boats("get", "pods", "--server-print=false").splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "ada", "bob", "cyd"]
    assert lines[0].split() == ["NAME", "AGE"]


def test_sorted(boats: Any) -> None:
    assert names(boats, "--sort-by={.metadata.annotations.depth}") == ["bob", "cyd", "ada"]
    assert [row["NAME"] for row in boats.rows("pods", "--sort-by=.metadata.annotations.depth")] == ["bob", "cyd", "ada"]


# Choosing


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("sea=south", ["bob", "cyd"]),
        ("sea!=south", ["ada"]),
        ("sea in (north,south),rank", ["ada", "bob"]),
        ("rank notin (one)", ["bob", "cyd"]),
        ("!rank", ["cyd"]),
        ("sea=west", []),
    ],
)
def test_label_selectors(boats: Any, selector: str, expected: list[str]) -> None:
    assert names(boats, "-l", selector) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=ada", ["ada"]),
        ("metadata.name!=ada", ["bob", "cyd"]),
        ("status.phase=Succeeded", ["cyd"]),
        ("spec.nodeName=seatrial,status.phase!=Succeeded", ["ada", "bob"]),
        ("spec.restartPolicy=Never", ["cyd"]),
    ],
)
def test_field_selectors(boats: Any, selector: str, expected: list[str]) -> None:
    assert names(boats, "--field-selector", selector) == expected


def test_selectors_that_are_none(kubectl: Any) -> None:
    assert "(BadRequest)" in kubectl.fails("get", "pods", "-l", "sea in (")
    unknown = kubectl.fails("get", "pods", "--field-selector=spec.colour=red")
    assert "field label not supported: spec.colour" in unknown


def test_all_namespaces(boats: Any) -> None:
    rows = [row for row in boats.rows("pods", "-A") if row["NAMESPACE"] == boats.namespace]
    assert [row["NAME"] for row in rows] == ["ada", "bob", "cyd"]


def test_several_kinds_and_names(boats: Any) -> None:
    assert boats("get", "pod/ada", "configmap/kube-root-ca.crt", "-o", "name") == (
        "pod/ada\nconfigmap/kube-root-ca.crt\n"
    )
    text = boats("get", "pods,configmaps")
    assert "pod/ada " in text
    assert "configmap/kube-root-ca.crt " in text


def test_all(kubectl: Any) -> None:
    kubectl("create", "-f", str(MANIFESTS / "web.yaml"))
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    kubectl("expose", "deployment", "web")
    found = [name.split("/")[0] for name in kubectl("get", "all", "-o", "name").split()]
    assert found == ["pod", "pod", "service", "deployment.apps", "replicaset.apps"]


def test_by_file(boats: Any) -> None:
    assert boats("get", "-f", "-", "-o", "name", stdin=PODS) == "pod/ada\npod/bob\npod/cyd\n"


def test_what_is_not_there(kubectl: Any) -> None:
    assert kubectl.result("get", "pods").stderr == f"No resources found in {kubectl.namespace} namespace.\n"
    assert kubectl.fails("get", "pod", "ada") == 'Error from server (NotFound): pods "ada" not found\n'
    assert kubectl("get", "pod", "ada", "--ignore-not-found") == ""
    assert kubectl.fails("get", "pods,services", "ada").splitlines() == [
        'Error from server (NotFound): pods "ada" not found',
        'Error from server (NotFound): services "ada" not found',
    ]


def test_deprecated_kinds_warn(kubectl: Any) -> None:
    assert kubectl.result("get", "endpoints").stderr.startswith(
        "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n"
    )


# Pages


def test_a_list_in_pages(kubectl: Any) -> None:
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{n:02}"}} for n in range(12)]
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    done = kubectl.result("get", "configmaps", "--chunk-size=5", "-o", "name", "-v=6")
    assert done.stdout.split() == [f"configmap/c{n:02}" for n in range(12)] + ["configmap/kube-root-ca.crt"]
    asked = [line for line in done.stderr.splitlines() if "/configmaps?" in line]
    assert len(asked) == 3
    assert sum("limit=5" in line for line in asked) == 3
    assert sum("continue=" in line for line in asked) == 2


def test_a_page_says_how_much_is_left(kubectl: Any) -> None:
    for name in ("a", "b"):
        kubectl("create", "configmap", name)
    path = f"/api/v1/namespaces/{kubectl.namespace}/configmaps"
    page = json.loads(kubectl("get", "--raw", f"{path}?limit=1"))
    assert [item["metadata"]["name"] for item in page["items"]] == ["a"]
    assert page["metadata"]["remainingItemCount"] == 2
    kubectl("delete", "configmap", "b")
    rest = json.loads(kubectl("get", "--raw", f"{path}?limit=5&continue={page['metadata']['continue']}"))
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "kube-root-ca.crt"]  # as of the first page
    assert rest["metadata"]["resourceVersion"] == page["metadata"]["resourceVersion"]
