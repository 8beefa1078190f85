"""Helm 4, unmodified: releases with hooks, waiting, roll-back, conflicts, definitions, and what is left behind."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

CHARTS = Path(__file__).parent / "charts"
SHOP = str(CHARTS / "shop")
BOATS = str(CHARTS / "boats")
SECONDS = 60


@dataclass(frozen=True)
class Helm:
    """The real helm, in the namespace of the test."""

    binary: str
    environment: dict[str, str]
    namespace: str

    def result(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.binary, "-n", self.namespace, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, env=self.environment, check=False
        )

    def __call__(self, *arguments: str) -> str:
        done = self.result(*arguments)
        assert done.returncode == 0, f"helm {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *arguments: str) -> str:
        done = self.result(*arguments)
        assert done.returncode != 0, f"helm {' '.join(arguments)} succeeded:\n{done.stdout}"
        return done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def history(self, release: str) -> list[tuple[int, str, str]]:
        return [(entry["revision"], entry["status"], entry["description"]) for entry in self.json("history", release)]


@pytest.fixture
def helm(helm_binary: str, client_environment: dict[str, str], kubectl: Any) -> Helm:
    return Helm(helm_binary, client_environment, kubectl.namespace)


def settings(*pairs: str) -> list[str]:
    return [part for pair in pairs for part in ("--set", pair)]


def hooks_of(release: dict[str, Any]) -> dict[str, str]:
    """Name -> phase of the last run."""
    return {hook["name"]: hook.get("last_run", {}).get("phase", "") for hook in release["hooks"]}


# Install


def test_install_waits_until_everything_runs(helm: Helm, kubectl: Any) -> None:
    release = helm.json("install", "shop", SHOP, "--wait", "--timeout", "30s")
    assert (release["info"]["status"], release["version"]) == ("deployed", 1)
    assert release["info"]["notes"] == "shop greets with welcome.\n"
    web = kubectl.json("get", "deployment", "shop-web")
    assert web["status"]["readyReplicas"] == 2
    assert web["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert web["metadata"]["annotations"] == {
        "deployment.kubernetes.io/revision": "1",
        "meta.helm.sh/release-name": "shop",
        "meta.helm.sh/release-namespace": helm.namespace,
    }
    slices = kubectl.json("get", "endpointslices", "-l", "kubernetes.io/service-name=shop")["items"]
    assert len([e for s in slices for e in s["endpoints"] if e["conditions"]["ready"]]) == 2


def test_templates_see_the_real_cluster(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks")
    data = kubectl.json("get", "configmap", "shop")["data"]
    assert data["kubernetes"].startswith("v1.37")
    assert (data["hasIngress"], data["hasUnicorns"]) == ("true", "false")
    assert data["namespacePhase"] == "Active"


def test_hooks_run_and_are_deleted_by_their_policy(helm: Helm, kubectl: Any, eventually: Callable[..., Any]) -> None:
    helm("install", "shop", SHOP, "--timeout", "30s")
    release = helm.json("status", "shop")
    assert hooks_of(release) == {
        "shop-hook-settings": "Succeeded",
        "shop-pre-install": "Succeeded",
        "shop-post-upgrade": "",
        "shop-answers": "",
    }
    assert kubectl("get", "jobs", "-o", "name") == ""
    helm("upgrade", "shop", SHOP, "--timeout", "30s")
    assert hooks_of(helm.json("status", "shop"))["shop-post-upgrade"] == "Succeeded"
    first = kubectl.json("get", "job", "shop-post-upgrade")
    assert first["status"]["succeeded"] == 1
    assert kubectl.json("get", "configmap", "shop-hook-settings")["data"] == {"revision": "2"}
    helm("upgrade", "shop", SHOP, "--timeout", "30s")
    second = kubectl.json("get", "job", "shop-post-upgrade")
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def test_a_failing_hook_fails_the_release(helm: Helm, kubectl: Any) -> None:
    said = helm.fails("install", "shop", SHOP, "--timeout", "30s", *settings("hookExitCode=3"))
    assert "failed pre-install" in said
    assert helm.json("status", "shop")["info"]["status"] == "failed"
    assert kubectl("get", "deployments", "-o", "name") == ""
    failed = kubectl.json("get", "job", "shop-pre-install")["status"]
    assert failed["failed"] == 1
    assert [c["reason"] for c in failed["conditions"] if c["type"] == "Failed"] == ["BackoffLimitExceeded"]


def test_a_release_test_runs_its_pod(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks")
    said = helm("test", "shop", "--timeout", "30s")
    assert "TEST SUITE:     shop-answers" in said and "Phase:          Succeeded" in said
    assert kubectl.json("get", "pod", "shop-answers")["status"]["phase"] == "Succeeded"


def test_a_failing_release_test_is_told(helm: Helm) -> None:
    helm("install", "shop", SHOP, "--no-hooks", *settings("hookExitCode=1"))
    assert "shop-answers failed" in helm.fails("test", "shop", "--timeout", "30s")


def test_wait_for_jobs_waits_for_ordinary_jobs(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks", "--wait", "--wait-for-jobs", "--timeout", "30s", *settings("job=true"))
    assert kubectl.json("get", "job", "shop-import")["status"]["succeeded"] == 1


def test_the_older_way_of_waiting_works_too(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks", "--wait=legacy", "--timeout", "30s")
    assert kubectl.json("get", "deployment", "shop-web")["status"]["readyReplicas"] == 2


def test_a_namespace_is_made_on_demand(helm: Helm, kubectl: Any) -> None:
    namespace = f"{helm.namespace}-new"
    try:
        helm("install", "shop", SHOP, "--no-hooks", "-n", namespace, "--create-namespace")
        assert kubectl.json("get", "namespace", namespace)["metadata"]["labels"]["name"] == namespace
        assert [r["name"] for r in helm.json("list", "-n", namespace)] == ["shop"]
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


def test_a_field_that_does_not_exist_is_refused_by_the_server(helm: Helm) -> None:
    said = helm.fails("install", "shop", SHOP, "--no-hooks", *settings("mistake=true"))
    assert ".spec.colour: field not declared in schema" in said or 'unknown field "spec.colour"' in said


def test_a_value_of_the_wrong_type_is_refused(helm: Helm) -> None:
    said = helm.fails("install", "shop", SHOP, "--no-hooks", *settings("replicas=many"))
    assert "spec.replicas" in said


# Dry runs


def test_a_server_side_dry_run_leaves_nothing_behind(helm: Helm, kubectl: Any) -> None:
    release = helm.json("install", "shop", SHOP, "--dry-run=server")
    assert release["info"]["description"] == "Dry run complete"
    rendered = [o for o in yaml.safe_load_all(release["manifest"]) if o and o["kind"] == "ConfigMap"]
    assert rendered[0]["data"]["namespacePhase"] == "Active"  # lookup went to the cluster
    assert helm.json("list") == []
    assert (
        kubectl("get", "deployments,configmaps,secrets", "-l", "app.kubernetes.io/managed-by=Helm", "-o", "name") == ""
    )


def test_template_renders_against_the_server(helm: Helm) -> None:
    rendered = list(yaml.safe_load_all(helm("template", "shop", SHOP, "--dry-run=server")))
    kinds = {(o["kind"], o["metadata"]["name"]) for o in rendered if o}
    assert {("Deployment", "shop-web"), ("Job", "shop-pre-install"), ("Ingress", "shop")} <= kinds


# Upgrade, history, rollback


def test_upgrade_rollback_and_history(helm: Helm, kubectl: Any) -> None:
    wait = ("--wait", "--timeout", "30s", "--no-hooks")
    helm("install", "shop", SHOP, *wait)
    helm("upgrade", "shop", SHOP, *wait, *settings("image=nginx:1.28", "greeting=hello", "replicas=3"))
    web = kubectl.json("get", "deployment", "shop-web")
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.28"
    assert (web["status"]["readyReplicas"], web["status"]["updatedReplicas"]) == (3, 3)
    assert web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert helm.json("get", "values", "shop") == {"image": "nginx:1.28", "greeting": "hello", "replicas": 3}

    helm("rollback", "shop", "1", *wait)
    web = kubectl.json("get", "deployment", "shop-web")
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.27"
    assert web["status"]["readyReplicas"] == 2
    assert kubectl.json("get", "configmap", "shop")["data"]["greeting"] == "welcome"
    assert helm.history("shop") == [
        (1, "superseded", "Install complete"),
        (2, "superseded", "Upgrade complete"),
        (3, "deployed", "Rollback to 1"),
    ]
    assert not helm.json("get", "values", "shop")
    assert helm.json("get", "values", "shop", "--revision", "2")["greeting"] == "hello"


def test_what_a_new_version_no_longer_has_is_removed(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks", *settings("job=true"))
    assert kubectl("get", "jobs", "-o", "name") == "job.batch/shop-import\n"
    helm("upgrade", "shop", SHOP, "--no-hooks", *settings("job=false"))
    kubectl("wait", "--for=delete", "job/shop-import", "--timeout=15s")


def test_upgrade_installs_what_is_not_there(helm: Helm) -> None:
    helm("upgrade", "--install", "shop", SHOP, "--no-hooks")
    helm("upgrade", "--install", "shop", SHOP, "--no-hooks", *settings("greeting=again"))
    helm("upgrade", "shop", SHOP, "--no-hooks", "--reuse-values", *settings("replicas=1"))
    assert [entry[:2] for entry in helm.history("shop")] == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    assert helm.json("get", "values", "shop") == {"greeting": "again", "replicas": 1}


def test_values_manifest_notes_and_metadata_can_be_read_back(helm: Helm) -> None:
    helm("install", "shop", SHOP, "--no-hooks", *settings("greeting=ahoy"))
    assert helm("get", "notes", "shop").endswith("shop greets with ahoy.\n\n")
    manifest = {o["kind"]: o for o in yaml.safe_load_all(helm("get", "manifest", "shop")) if o}
    assert manifest["ConfigMap"]["data"]["greeting"] == "ahoy"
    hooks = {o["metadata"]["name"] for o in yaml.safe_load_all(helm("get", "hooks", "shop")) if o}
    assert hooks == {"shop-pre-install", "shop-post-upgrade", "shop-hook-settings", "shop-answers"}
    metadata = helm.json("get", "metadata", "shop")
    assert (metadata["chart"], metadata["version"], metadata["status"]) == ("shop", "1.0.0", "deployed")


def test_client_side_apply_merges_three_ways(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks", "--server-side=false")
    kubectl("set", "resources", "deployment/shop-web", "--limits=cpu=1")
    kubectl("label", "deployment/shop-web", "team=blue")
    helm("upgrade", "shop", SHOP, "--no-hooks", "--server-side=false", *settings("image=nginx:1.28"))
    web = kubectl.json("get", "deployment", "shop-web", "--show-managed-fields")
    (container,) = web["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["resources"]["limits"]) == ("nginx:1.28", {"cpu": "1"})
    assert web["metadata"]["labels"]["team"] == "blue"
    assert {f["operation"] for f in web["metadata"]["managedFields"]} == {"Update"}


# Trouble


def test_an_install_that_never_becomes_ready_is_undone(helm: Helm, kubectl: Any) -> None:
    said = helm.fails(
        "install", "shop", SHOP, "--no-hooks", "--rollback-on-failure", "--timeout", "2s", *settings("ready=false")
    )
    assert "uninstalled due to rollback-on-failure being set" in said
    assert "Deployment" in said or "deadline exceeded" in said
    assert helm.json("list", "--failed", "--deployed", "--pending", "--uninstalled") == []
    kubectl("wait", "--for=delete", "deployment/shop-web", "--timeout=15s")
    assert kubectl("get", "services,ingresses,secrets", "-o", "name") == ""


def test_an_upgrade_that_never_becomes_ready_is_rolled_back(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks", "--wait", "--timeout", "30s")
    helm.fails(
        *("upgrade", "shop", SHOP, "--no-hooks", "--rollback-on-failure", "--timeout", "3s"),
        *settings("ready=false", "greeting=broken"),
    )
    assert [entry[:2] for entry in helm.history("shop")] == [(1, "superseded"), (2, "failed"), (3, "deployed")]
    assert kubectl.json("get", "configmap", "shop")["data"]["greeting"] == "welcome"
    kubectl("rollout", "status", "deployment/shop-web", "--timeout=15s")


def test_waiting_names_what_is_not_ready(helm: Helm) -> None:
    said = helm.fails("install", "shop", SHOP, "--no-hooks", "--wait", "--timeout", "2s", *settings("ready=false"))
    assert f"Deployment/{helm.namespace}/shop-web" in said and "InProgress" in said


def test_somebody_elses_field_is_a_conflict_until_forced(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks")
    taken = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"greeting": "mine"}}
    kubectl.apply(json.dumps(taken), "--server-side", "--field-manager=somebody", "--force-conflicts")
    said = helm.fails("upgrade", "shop", SHOP, "--no-hooks", *settings("greeting=theirs"))
    assert 'conflict with "somebody"' in said and ".data.greeting" in said
    assert kubectl.json("get", "configmap", "shop")["data"]["greeting"] == "mine"
    helm("upgrade", "shop", SHOP, "--no-hooks", "--force-conflicts", *settings("greeting=theirs"))
    found = kubectl.json("get", "configmap", "shop", "--show-managed-fields")
    assert found["data"]["greeting"] == "theirs"
    owners = [f["manager"] for f in found["metadata"]["managedFields"] if "f:greeting" in json.dumps(f)]
    assert owners == ["helm"]


def test_what_helm_did_not_make_is_not_taken_without_asking(helm: Helm, kubectl: Any) -> None:
    kubectl("create", "configmap", "shop", "--from-literal=greeting=old")
    said = helm.fails("install", "shop", SHOP, "--no-hooks")
    assert "invalid ownership metadata" in said
    helm("install", "shop", SHOP, "--no-hooks", "--take-ownership", "--force-conflicts")
    found = kubectl.json("get", "configmap", "shop")
    assert found["data"]["greeting"] == "welcome"
    assert found["metadata"]["annotations"]["meta.helm.sh/release-name"] == "shop"


def test_the_same_name_cannot_be_installed_twice(helm: Helm) -> None:
    helm("install", "shop", SHOP, "--no-hooks")
    assert "cannot reuse a name that is still in use" in helm.fails("install", "shop", SHOP, "--no-hooks")


# What Helm keeps


def test_releases_are_secrets_of_helms_own_type(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks", "--labels", "team=blue")
    helm("upgrade", "shop", SHOP, "--no-hooks")
    secrets = kubectl.json("get", "secrets", "--field-selector", "type=helm.sh/release.v1")["items"]
    assert [s["metadata"]["name"] for s in secrets] == ["sh.helm.release.v1.shop.v1", "sh.helm.release.v1.shop.v2"]
    labels = [s["metadata"]["labels"] for s in secrets]
    assert [(x["name"], x["owner"], x["status"], x["version"]) for x in labels] == [
        ("shop", "helm", "superseded", "1"),
        ("shop", "helm", "deployed", "2"),
    ]
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secrets[1]["data"]["release"]))))
    assert (release["name"], release["version"], release["chart"]["metadata"]["name"]) == ("shop", 2, "shop")
    assert [r["name"] for r in helm.json("list", "-l", "team=blue")] == ["shop"]
    assert helm.json("list", "-l", "team=red") == []


def test_list_shows_every_release(helm: Helm) -> None:
    helm("install", "one", SHOP, "--no-hooks")
    helm("install", "two", SHOP, "--no-hooks")
    seen = {r["name"]: (r["revision"], r["status"], r["chart"], r["app_version"]) for r in helm.json("list")}
    assert seen == {"one": ("1", "deployed", "shop-1.0.0", "1.27"), "two": ("1", "deployed", "shop-1.0.0", "1.27")}
    everywhere = {(r["namespace"], r["name"]) for r in helm.json("list", "-A")}
    assert {(helm.namespace, "one"), (helm.namespace, "two")} <= everywhere


def test_releases_can_be_kept_in_config_maps(helm: Helm, kubectl: Any) -> None:
    other = Helm(helm.binary, {**helm.environment, "HELM_DRIVER": "configmap"}, helm.namespace)
    other("install", "shop", SHOP, "--no-hooks")
    assert kubectl.json("get", "configmap", "sh.helm.release.v1.shop.v1")["metadata"]["labels"]["status"] == "deployed"
    assert [r["name"] for r in other.json("list")] == ["shop"]


# Uninstall


def test_uninstall_removes_everything_and_waits_for_it(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks", "--wait", "--timeout", "30s")
    helm("uninstall", "shop", "--wait", "--cascade", "foreground", "--timeout", "30s")
    left = kubectl("get", "deployments,replicasets,pods,services,ingresses,secrets,serviceaccounts", "-o", "name")
    assert left == "serviceaccount/default\n"
    assert helm.json("list") == []
    assert "release: not found" in helm.fails("status", "shop")


def test_a_kept_history_can_be_brought_back(helm: Helm, kubectl: Any) -> None:
    helm("install", "shop", SHOP, "--no-hooks")
    helm("uninstall", "shop", "--keep-history", "--wait", "--timeout", "30s")
    assert [(r["name"], r["status"]) for r in helm.json("list", "--uninstalled")] == [("shop", "uninstalled")]
    helm("rollback", "shop", "1", "--no-hooks")
    assert kubectl("get", "deployment", "-o", "name") == "deployment.apps/shop-web\n"


# Definitions


def test_definitions_come_before_their_objects_and_stay(helm: Helm, kubectl: Any) -> None:
    try:
        helm("install", "fleet", BOATS, "--wait", "--timeout", "30s")
        assert kubectl.json("get", "boat", "fleet")["spec"] == {"size": 3, "colour": "blue"}
        said = helm.fails("upgrade", "fleet", BOATS, *settings("size=12"))
        assert "spec.size" in said and "less than or equal to 9" in said
        helm("upgrade", "fleet", BOATS, *settings("size=5"))
        assert kubectl.json("get", "boat", "fleet")["spec"]["size"] == 5
        helm("uninstall", "fleet", "--wait", "--timeout", "30s")
        assert kubectl("get", "boats", "-o", "name") == ""
        kubectl("get", "crd", "boats.helm.example.com")
        helm("install", "second", BOATS)
        assert kubectl("get", "boats", "-o", "name") == "boat.helm.example.com/second\n"
    finally:
        kubectl("delete", "crd", "boats.helm.example.com", "--ignore-not-found", "--timeout=15s")
