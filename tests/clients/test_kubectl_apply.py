"""kubectl apply, client-side and server-side, with what belongs to it: conflicts, dry runs, prune, diff, -k."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parent / "manifests"
WEB = (MANIFESTS / "web.yaml").read_text()
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def image(kubectl: Any) -> str:
    """The image of the Deployment `web`, as stored."""
    found: str = kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    return found


def managers(kubectl: Any, resource: str) -> set[tuple[str, str]]:
    metadata = kubectl.json("get", resource, "--show-managed-fields")["metadata"]
    return {(entry["manager"], entry["operation"]) for entry in metadata["managedFields"]}


def settings(name: str, **data: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


# Client-side


def test_apply_creates_then_leaves_alone_then_changes(kubectl: Any) -> None:
    assert kubectl.apply(WEB) == "deployment.apps/web created\n"
    assert kubectl.apply(WEB) == "deployment.apps/web unchanged\n"
    assert kubectl.apply(WEB.replace("nginx:1", "nginx:2")) == "deployment.apps/web configured\n"
    assert image(kubectl) == "nginx:2"


def test_apply_removes_what_it_added_and_keeps_what_others_added(kubectl: Any) -> None:
    kubectl.apply(settings("s", depth="3", width="4"))
    kubectl("patch", "configmap", "s", "-p", '{"data": {"height": "5"}}')
    kubectl.apply(settings("s", depth="6"))
    assert kubectl.json("get", "configmap", "s")["data"] == {"depth": "6", "height": "5"}


def test_apply_merges_lists_of_containers_by_name(kubectl: Any) -> None:
    kubectl.apply(WEB)
    sidecar = '{"spec":{"template":{"spec":{"containers":[{"name":"log","image":"log:1"}]}}}}'
    kubectl("patch", "deployment", "web", "-p", sidecar)
    kubectl.apply(WEB.replace("nginx:1", "nginx:2"))
    containers = kubectl.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert {found["name"]: found["image"] for found in containers} == {"log": "log:1", "server": "nginx:2"}


def test_apply_over_an_object_made_otherwise_warns(kubectl: Any) -> None:
    kubectl("create", "-f", str(MANIFESTS / "web.yaml"))
    done = kubectl.result("apply", "-f", str(MANIFESTS / "web.yaml"))
    assert "is missing the kubectl.kubernetes.io/last-applied-configuration annotation" in done.stderr
    assert done.stdout == "deployment.apps/web configured\n"


def test_dry_runs_change_nothing(kubectl: Any) -> None:
    kubectl.apply(WEB)
    changed = WEB.replace("nginx:1", "nginx:2")
    assert kubectl.apply(changed, "--dry-run=client") == "deployment.apps/web configured (dry run)\n"
    assert kubectl.apply(changed, "--dry-run=server") == "deployment.apps/web configured (server dry run)\n"
    shown = kubectl.apply(changed, "--dry-run=server", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert shown == "nginx:2"
    assert image(kubectl) == "nginx:1"


def test_dry_run_finds_what_the_server_would_refuse(kubectl: Any) -> None:
    kubectl.apply(WEB)
    refused = kubectl.fails("apply", "--dry-run=server", "-f", "-", stdin=WEB.replace("{app: web}", "{app: other}"))
    assert 'The Deployment "web" is invalid: spec.selector: Invalid value' in refused
    assert "field is immutable" in refused


def test_last_applied_can_be_read_edited_and_set(kubectl: Any, tmp_path: Path) -> None:
    kubectl.apply(WEB)
    assert (
        yaml.safe_load(kubectl("apply", "view-last-applied", "deployment/web"))["spec"] == yaml.safe_load(WEB)["spec"]
    )
    file = tmp_path / "web.yaml"
    file.write_text(WEB.replace("nginx:1", "nginx:2"))
    assert kubectl("apply", "set-last-applied", "-f", str(file)) == "deployment.apps/web configured\n"
    assert "image: nginx:2" in kubectl("apply", "view-last-applied", "deployment/web")
    assert image(kubectl) == "nginx:1"  # only the annotation was written


# Server-side


def test_server_side_apply_says_who_owns_what(kubectl: Any) -> None:
    assert kubectl.apply(WEB, "--server-side") == "deployment.apps/web serverside-applied\n"
    assert ("kubectl", "Apply") in managers(kubectl, "deployment/web")
    metadata = kubectl.json("get", "deployment", "web", "--show-managed-fields")["metadata"]
    assert LAST_APPLIED not in metadata.get("annotations", {})
    [owned] = [entry["fieldsV1"] for entry in metadata["managedFields"] if entry["operation"] == "Apply"]
    container = owned["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"server"}']
    assert set(container) == {".", "f:image", "f:name", "f:ports"}
    assert "managedFields" not in kubectl.json("get", "deployment", "web")["metadata"]


def test_server_side_apply_takes_over_from_client_side(kubectl: Any) -> None:
    kubectl.apply(settings("s", depth="3", width="4"))
    kubectl.apply(settings("s", depth="3"), "--server-side")
    assert kubectl.json("get", "configmap", "s")["data"] == {"depth": "3"}
    assert managers(kubectl, "configmap/s") == {("kubectl", "Apply"), ("kubectl-last-applied", "Apply")}


def test_server_side_conflict_names_field_and_owner(kubectl: Any) -> None:
    kubectl.apply(WEB, "--server-side")
    changed = WEB.replace("nginx:1", "nginx:2")
    refused = kubectl.fails("apply", "--server-side", "--field-manager=pirate", "-f", "-", stdin=changed)
    assert refused.startswith(
        'error: Apply failed with 1 conflict: conflict with "kubectl": '
        '.spec.template.spec.containers[name="server"].image\n'
    )
    assert "`--force-conflicts`" in refused
    assert image(kubectl) == "nginx:1"


def test_server_side_forced_the_field_changes_hands(kubectl: Any) -> None:
    kubectl.apply(WEB, "--server-side")
    changed = WEB.replace("nginx:1", "nginx:2")
    kubectl.apply(changed, "--server-side", "--field-manager=pirate", "--force-conflicts")
    assert image(kubectl) == "nginx:2"
    refused = kubectl.fails("apply", "--server-side", "-f", "-", stdin=WEB)
    assert 'conflict with "pirate": .spec.template.spec.containers[name="server"].image' in refused


def test_server_side_two_owners_of_the_same_value_agree(kubectl: Any) -> None:
    kubectl.apply(settings("s", depth="3"), "--server-side")
    kubectl.apply(settings("s", depth="3", width="4"), "--server-side", "--field-manager=mate")
    kubectl.apply(settings("s"), "--server-side")
    assert kubectl.json("get", "configmap", "s")["data"] == {"depth": "3", "width": "4"}
    kubectl.apply(settings("s"), "--server-side", "--field-manager=mate")
    assert "data" not in kubectl.json("get", "configmap", "s")


def test_server_side_conflict_with_an_ordinary_write(kubectl: Any) -> None:
    kubectl.apply(settings("s", depth="3"), "--server-side")
    kubectl("patch", "configmap", "s", "-p", '{"data": {"depth": "9"}}')
    refused = kubectl.fails("apply", "--server-side", "-f", "-", stdin=settings("s", depth="3"))
    assert 'conflict with "kubectl-patch" using v1: .data.depth' in refused


def test_server_side_dry_run(kubectl: Any) -> None:
    shown = kubectl.apply(WEB, "--server-side", "--dry-run=server")
    assert shown == "deployment.apps/web serverside-applied (server dry run)\n"
    assert "not found" in kubectl.fails("get", "deployment", "web")


# diff


def test_diff_shows_what_would_change(kubectl: Any) -> None:
    kubectl.apply(WEB)
    assert kubectl("diff", "-f", "-", stdin=WEB) == ""
    done = kubectl.result(
        "diff", "-f", "-", stdin=WEB.replace("nginx:1", "nginx:2").replace("replicas: 2", "replicas: 4")
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "-      - image: nginx:1" in lines
    assert "+      - image: nginx:2" in lines
    assert "-  replicas: 2" in lines
    assert "+  replicas: 4" in lines


def test_diff_of_a_new_object_and_server_side(kubectl: Any) -> None:
    new = kubectl.result("diff", "-f", "-", stdin=WEB)
    assert new.returncode == 1
    assert "+  progressDeadlineSeconds: 600" in new.stdout.splitlines()  # what the server adds is shown too
    kubectl.apply(WEB, "--server-side")
    changed = kubectl.result("diff", "--server-side", "-f", "-", stdin=WEB.replace("nginx:1", "nginx:2"))
    assert (changed.returncode, "+      - image: nginx:2" in changed.stdout.splitlines()) == (1, True)


# prune


def test_prune_by_selector_deletes_what_is_no_longer_there(kubectl: Any) -> None:
    both = "\n---\n".join(
        f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, labels: {{fleet: north}}}}}}" for name in "ab"
    )
    kubectl.apply(both)
    kubectl("create", "configmap", "bystander")
    pruned = kubectl.apply(both.split("---")[0], "--prune", "-l", "fleet=north", "--prune-allowlist=core/v1/ConfigMap")
    assert pruned == "configmap/a unchanged\nconfigmap/b pruned\n"
    left = kubectl("get", "configmap", "-o", "name").split()
    assert left == ["configmap/a", "configmap/bystander", "configmap/kube-root-ca.crt"]


def test_prune_by_applyset(kubectl: Any) -> None:
    alpha = {"KUBECTL_APPLYSET": "true"}
    apply = ("apply", "-f", "-", "--server-side", "--prune", "--applyset=fleet")
    kubectl(*apply, stdin=f"{settings('a')}\n---\n{settings('b')}", env=alpha)
    pruned = kubectl(*apply, stdin=settings("a"), env=alpha)
    assert pruned == "configmap/a serverside-applied\nconfigmap/b pruned\n"
    parent = kubectl.json("get", "secret", "fleet")["metadata"]
    assert parent["annotations"]["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap"


# kustomize


def test_kustomize_builds_applies_diffs_and_deletes(kubectl: Any, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "web.yaml").write_text(WEB)
    base = {"resources": ["web.yaml"], "configMapGenerator": [{"name": "settings", "literals": ["depth=3"]}]}
    (tmp_path / "base" / "kustomization.yaml").write_text(yaml.safe_dump(base))
    over = {
        "resources": ["base"],
        "namePrefix": "prod-",
        "labels": [{"pairs": {"env": "prod"}, "includeSelectors": True}],
        "images": [{"name": "nginx", "newTag": "9"}],
        "replicas": [{"name": "web", "count": 3}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(over))

    [settings_line, web_line] = kubectl("apply", "-k", str(tmp_path)).splitlines()
    assert settings_line.startswith("configmap/prod-settings-")
    assert web_line == "deployment.apps/prod-web created"
    kubectl("rollout", "status", "deployment/prod-web", "--timeout=20s")
    [row] = kubectl.rows("deployment", "-l", "env=prod", "-o", "wide")
    assert (row["READY"], row["IMAGES"], row["SELECTOR"]) == ("3/3", "nginx:9", "app=web,env=prod")
    assert kubectl("diff", "-k", str(tmp_path)) == ""
    assert 'deployment.apps "prod-web" deleted' in kubectl("delete", "-k", str(tmp_path))
    assert kubectl("get", "deployment,configmap", "-l", "env=prod", "-o", "name") == ""


# Several objects


def test_apply_goes_on_after_an_object_that_is_refused(kubectl: Any) -> None:
    wrong = settings("UPPER")
    done = kubectl.result("apply", "-f", "-", stdin=f"{wrong}\n---\n{settings('fine')}")
    assert done.returncode == 1
    assert done.stdout == "configmap/fine created\n"
    assert 'The ConfigMap "UPPER" is invalid: metadata.name: Invalid value: "UPPER"' in done.stderr
