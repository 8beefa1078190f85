"""kubectl changes what is there: edit, patch, replace, label, annotate, set; and what it is told when it may not."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFESTS = Path(__file__).parent / "manifests"
WEB = (MANIFESTS / "web.yaml").read_text()


@pytest.fixture
def web(kubectl: Any) -> Any:
    """The Deployment `web`, rolled out, so that nobody else writes it meanwhile."""
    kubectl.apply(WEB)
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    return kubectl


@pytest.fixture
def editor(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """An $EDITOR that runs a sed command on the file."""

    def make(expression: str) -> dict[str, str]:
        script = tmp_path / "editor"
        script.write_text(f"#!/bin/sh\nexec sed -i '{expression}' \"$1\"\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return {"EDITOR": str(script), "TMPDIR": str(tmp_path)}

    return make


def at(kubectl: Any, path: str, resource: str = "deployment/web") -> str:
    found: str = kubectl("get", resource, "-o", f"jsonpath={{{path}}}")
    return found


def kept_text(message: str) -> str:
    """The text of a refused edit, with the reasons on top."""
    return Path(message.split('stored to "')[1].split('"')[0]).read_text()


IMAGE = ".spec.template.spec.containers[0].image"
REPLICAS = ".spec.replicas"


# edit


def test_edit_stores_what_the_editor_leaves(web: Any, editor: Any) -> None:
    assert web("edit", "deployment/web", env=editor("s/nginx:1/nginx:2/")) == "deployment.apps/web edited\n"
    assert at(web, IMAGE) == "nginx:2"


def test_edit_without_a_change_writes_nothing(web: Any, editor: Any) -> None:
    before = at(web, ".metadata.resourceVersion")
    done = web.result("edit", "deployment/web", env=editor("s/nothing/else/"))
    assert "Edit cancelled, no changes made." in done.stderr
    assert at(web, ".metadata.resourceVersion") == before


def test_edit_refused_keeps_the_text_for_another_try(web: Any, editor: Any) -> None:
    refused = web.fails("edit", "deployment/web", env=editor("s/^  replicas: 2/  replicas: -2/"))
    assert 'error: deployments.apps "web" is invalid' in refused
    assert "A copy of your changes has been stored to" in refused
    assert "# * spec.replicas: Invalid value: -2: must be greater than or equal to 0" in kept_text(refused)


def test_edit_of_an_unknown_field_is_refused(web: Any, editor: Any) -> None:
    refused = web.fails("edit", "deployment/web", env=editor("s/^spec:/&\\n  colour: red/"))
    assert 'strict decoding error: unknown field "spec.colour"' in kept_text(refused)


def test_edit_of_a_subresource(web: Any, editor: Any) -> None:
    web.apply("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: disk}, spec: {storageClassName: '', "
              "accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}")  # fmt: skip
    edit = ("edit", "pvc", "disk", "--subresource=status")
    assert web(*edit, env=editor("s/phase: Pending/phase: Lost/")) == "persistentvolumeclaim/disk edited\n"
    assert at(web, ".status.phase", "pvc/disk") == "Lost"


# patch


def test_patch_strategic_merges_containers_by_name(web: Any) -> None:
    change = json.dumps({"spec": {"template": {"spec": {"containers": [{"name": "log", "image": "log:1"}]}}}})
    assert web("patch", "deployment", "web", "-p", change) == "deployment.apps/web patched\n"
    assert at(web, ".spec.template.spec.containers[*].name") == "log server"
    removal = '{"spec": {"template": {"spec": {"containers": [{"name": "log", "$patch": "delete"}]}}}}'
    web("patch", "deployment", "web", "-p", removal)
    assert at(web, ".spec.template.spec.containers[*].name") == "server"


def test_patch_merge_replaces_lists(web: Any) -> None:
    change = json.dumps({"spec": {"template": {"spec": {"containers": [{"name": "only", "image": "only:1"}]}}}})
    web("patch", "deployment", "web", "--type=merge", "-p", change)
    assert at(web, ".spec.template.spec.containers[*].name") == "only"


def test_patch_json_does_one_step_after_the_other(web: Any) -> None:
    steps = [
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
        {"op": "add", "path": "/metadata/labels/team", "value": "core"},
        {"op": "copy", "from": "/metadata/labels/team", "path": "/metadata/labels/owner"},
        {"op": "remove", "path": "/metadata/labels/app"},
    ]
    web("patch", "deployment", "web", "--type=json", "-p", json.dumps(steps))
    assert at(web, REPLICAS) == "3"
    assert web.json("get", "deployment", "web")["metadata"]["labels"] == {"owner": "core", "team": "core"}


def test_patch_json_that_fails_changes_nothing_and_says_where(web: Any) -> None:
    steps = [
        {"op": "replace", "path": "/spec/replicas", "value": 7},
        {"op": "test", "path": "/spec/paused", "value": True},
    ]
    refused = web.fails("patch", "deployment", "web", "--type=json", "-p", json.dumps(steps))
    assert refused.startswith("The request is invalid: patch: operation 1 (test): ")
    assert at(web, REPLICAS) == "2"


def test_patch_that_changes_nothing_says_so(web: Any) -> None:
    before = at(web, ".metadata.resourceVersion")
    same = web("patch", "deployment", "web", "-p", '{"spec": {"replicas": 2}}')
    assert same == "deployment.apps/web patched (no change)\n"
    assert at(web, ".metadata.resourceVersion") == before


def test_patch_of_subresources(web: Any) -> None:
    web("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p", '{"spec": {"replicas": 3}}')
    assert at(web, REPLICAS) == "3"
    condition = {"type": "Seaworthy", "status": "True", "reason": "Checked", "message": "by hand"}
    patch = json.dumps({"status": {"conditions": [condition]}, "spec": {"replicas": 9}})
    web("patch", "deployment", "web", "--subresource=status", "-p", patch)
    assert '"Seaworthy"' in at(web, ".status.conditions")
    assert at(web, REPLICAS) == "3"  # the status path writes the status alone


def test_patch_refused(web: Any) -> None:
    assert web.fails("patch", "deployment", "nosuch", "-p", "{}") == (
        'Error from server (NotFound): deployments.apps "nosuch" not found\n'
    )
    wrong = web.fails("patch", "deployment", "web", "-p", '{"spec": {"replicas": "many"}}')
    assert "Deployment" in wrong
    assert "replicas" in wrong
    below = web.fails("patch", "deployment", "web", "-p", '{"spec": {"replicas": -1}}')
    assert below == (
        'The Deployment "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0\n'
    )
    moved = web.fails("patch", "deployment", "web", "-p", '{"metadata": {"name": "other"}}')
    assert "the name of the object (other) does not match the name on the URL (web)" in moved


def test_patch_by_file_and_dry_run(web: Any) -> None:
    dry = ("patch", "deployment", "web", "--dry-run=server", "-p", '{"spec": {"replicas": 5}}')
    assert web(*dry, "-o", "jsonpath={.spec.replicas}") == "5"
    assert at(web, REPLICAS) == "2"
    assert web("patch", "-f", str(MANIFESTS / "web.yaml"), "-p", '{"spec": {"replicas": 1}}', "-o", "name") == (
        "deployment.apps/web\n"
    )


# replace


def test_replace_drops_what_the_new_object_has_not(web: Any) -> None:
    web("label", "deployment", "web", "team=core")
    assert web("replace", "-f", str(MANIFESTS / "web.yaml")) == "deployment.apps/web replaced\n"
    assert web.json("get", "deployment", "web")["metadata"]["labels"] == {"app": "web"}


def test_replace_with_a_stale_version_is_a_conflict(web: Any) -> None:
    old = web.json("get", "deployment", "web")
    web("scale", "deployment", "web", "--replicas=3")
    refused = web.fails("replace", "-f", "-", stdin=json.dumps(old))
    assert "(Conflict)" in refused
    assert (
        'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; '
        "please apply your changes to the latest version and try again"
    ) in refused


def test_replace_of_another_object_of_the_same_name_is_a_conflict(web: Any) -> None:
    old = web.json("get", "deployment", "web")
    old["metadata"]["uid"] = "somebody-else"
    del old["metadata"]["resourceVersion"]
    assert "Precondition failed: UID in precondition: somebody-else" in web.fails(
        "replace", "-f", "-", stdin=json.dumps(old)
    )


def test_replace_may_not_change_what_is_immutable_but_by_force(web: Any) -> None:
    changed = WEB.replace("{app: web}", "{app: other}")
    refused = web.fails("replace", "-f", "-", stdin=changed)
    assert 'spec.selector: Invalid value: {"matchLabels":{"app":"other"}}: field is immutable' in refused
    before = at(web, ".metadata.uid")
    forced = web("replace", "--force", "-f", "-", stdin=changed)
    assert 'deployment.apps "web" deleted' in forced
    assert "deployment.apps/web replaced" in forced
    assert at(web, ".metadata.uid") != before
    assert at(web, ".spec.selector.matchLabels.app") == "other"


def test_replace_of_what_is_not_there(kubectl: Any) -> None:
    assert '(NotFound): error when replacing "STDIN": deployments.apps "web" not found' in (
        kubectl.fails("replace", "-f", "-", stdin=WEB)
    )


# label and annotate


def test_label_adds_changes_and_removes(kubectl: Any) -> None:
    kubectl("create", "configmap", "a")
    kubectl("create", "configmap", "b")
    assert (
        kubectl("label", "configmap", "a", "b", "sea=north", "depth=3") == "configmap/a labeled\nconfigmap/b labeled\n"
    )
    assert kubectl("label", "configmap", "a", "sea=north") == "configmap/a not labeled\n"
    assert "'sea' already has a value (north), and --overwrite is false" in kubectl.fails(
        "label", "cm", "a", "sea=south"
    )
    kubectl("label", "configmap", "-l", "sea=north", "--overwrite", "sea=south")
    assert kubectl("get", "configmap", "-l", "sea=south", "-L", "sea", "--no-headers").split()[3::4] == [
        "south",
        "south",
    ]
    assert kubectl("label", "configmap", "--all", "sea-") == (
        "configmap/a unlabeled\nconfigmap/b unlabeled\n"
        'label "sea" not found.\nconfigmap/kube-root-ca.crt not labeled\n'
    )  # fmt: skip
    assert kubectl("label", "configmap", "a", "--list") == "depth=3\n"


def test_a_label_no_selector_could_name_is_refused(kubectl: Any) -> None:
    kubectl("create", "configmap", "a")
    refused = kubectl.fails("label", "configmap", "a", f"sea={'x' * 64}")
    assert "must be no more than 63" in refused
    raw = kubectl.fails("patch", "configmap", "a", "-p", '{"metadata": {"labels": {"the sea": "x"}}}')
    assert 'The ConfigMap "a" is invalid: metadata.labels: Invalid value: "the sea": name part must consist of' in raw


def test_annotate_adds_changes_and_removes(kubectl: Any) -> None:
    kubectl("create", "configmap", "a")
    assert kubectl("annotate", "configmap", "a", "note=calm sea") == "configmap/a annotated\n"
    assert "'note' already has a value (calm sea)" in kubectl.fails("annotate", "configmap", "a", "note=storm")
    stale = kubectl.fails("annotate", "configmap", "a", "--overwrite", "note=storm", "--resource-version=1")
    assert "the object has been modified" in stale
    kubectl("annotate", "configmap", "a", "--overwrite", "note=storm")
    assert kubectl("annotate", "configmap", "a", "--list") == "note=storm\n"
    kubectl("annotate", "configmap", "a", "note-")
    assert "annotations" not in kubectl.json("get", "configmap", "a")["metadata"]


# set


def test_set_image(web: Any) -> None:
    assert web("set", "image", "deployment/web", "server=nginx:2") == "deployment.apps/web image updated\n"
    assert at(web, IMAGE) == "nginx:2"
    assert web("set", "image", "deployment/web", "*=nginx:2") == ""
    assert web.fails("set", "image", "deployment/web", "other=x") == 'error: unable to find container named "other"\n'


def test_set_env(web: Any) -> None:
    web("create", "configmap", "settings", "--from-literal=DEPTH=3")
    web("set", "env", "deployment/web", "SEA=north", "TIDE=high")
    web("set", "env", "deployment/web", "--from=configmap/settings", "TIDE-")
    assert web("set", "env", "deployment/web", "--list", "--resolve").splitlines() == [
        "# Deployment web, container server",
        "SEA=north",
        "DEPTH=3",
    ]


def test_set_resources(web: Any) -> None:
    web("set", "resources", "deployment/web", "--limits=cpu=200m,memory=64Mi", "--requests=cpu=100m")
    assert web.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "200m", "memory": "64Mi"},
        "requests": {"cpu": "100m"},
    }
    above = web.fails("set", "resources", "deployment/web", "--requests=cpu=300m")
    assert "must be less than or equal to cpu limit of 200m" in above


def test_set_serviceaccount_selector_and_subject(web: Any) -> None:
    web("create", "serviceaccount", "bot")
    web("set", "serviceaccount", "deployment/web", "bot")
    assert at(web, ".spec.template.spec.serviceAccountName") == "bot"
    web("create", "service", "clusterip", "web", "--tcp=80")
    web("set", "selector", "service", "web", "app=other")
    assert at(web, ".spec.selector", "service/web") == '{"app":"other"}'
    web("create", "rolebinding", "crew", "--clusterrole=view", "--user=ada")
    web("set", "subject", "rolebinding", "crew", "--group=mates")
    [row] = web.rows("rolebinding", "crew", "-o", "wide")
    assert (row["USERS"], row["GROUPS"]) == ("ada", "mates")


# Field validation

FAULTY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, colour: red}
spec:
  replicaz: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: x, imagee: z}]
"""


def test_strict_validation_names_every_unknown_field(kubectl: Any) -> None:
    for arguments in (("create",), ("create", "--validate=strict"), ("apply",), ("apply", "--server-side")):
        refused = kubectl.fails(*arguments, "-f", "-", stdin=FAULTY)
        assert (
            'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
            'unknown field "metadata.colour", unknown field "spec.replicaz", '
            'unknown field "spec.template.spec.containers[0].imagee"'
        ) in refused


def test_lenient_validation_warns_or_is_silent(kubectl: Any) -> None:
    warned = kubectl.result("create", "--validate=warn", "-f", "-", stdin=FAULTY)
    assert warned.stdout == "deployment.apps/web created\n"
    assert warned.stderr.splitlines() == [
        'Warning: unknown field "metadata.colour"',
        'Warning: unknown field "spec.replicaz"',
        'Warning: unknown field "spec.template.spec.containers[0].imagee"',
    ]
    other = FAULTY.replace("{name: web,", "{name: other,")
    ignored = kubectl.result("create", "--validate=ignore", "-f", "-", stdin=other)
    assert (ignored.stdout, ignored.stderr) == ("deployment.apps/other created\n", "")


def test_wrong_types_and_broken_rules_name_the_field(kubectl: Any) -> None:
    pod = "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{container}]}}}}"
    wrong = pod.format(container="{name: c, image: x, ports: [{containerPort: high}]}")
    assert (
        "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort "
        "of type int32"
    ) in kubectl.fails("create", "-f", "-", stdin=wrong)
    broken = pod.format(container="{name: UPPER, image: x, imagePullPolicy: Sometimes}")
    lines = kubectl.fails("create", "-f", "-", stdin=broken).splitlines()
    assert lines[0] == 'The Pod "p" is invalid: '
    assert lines[1].startswith('* spec.containers[0].name: Invalid value: "UPPER": a lowercase RFC 1123 label')
    assert lines[2] == (
        '* spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": '
        'supported values: "Always", "IfNotPresent", "Never"'
    )
