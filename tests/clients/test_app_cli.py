"""`seatrial app | proj | repo | cluster` against a live API, with a stand-in for the controller's writes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from seatrial.base.clock import SystemClock, rfc3339
from seatrial.cli.access import closing
from seatrial.cli.main import main
from seatrial.gitops.api import resources
from seatrial.gitops.api.resources import APPLICATIONS
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client, PatchType
from seatrial.kube.client.http import HttpTransport
from seatrial.kube.model import resources as kinds
from seatrial.kube.model.status import StatusError
from seatrial.testing.background import BackgroundCluster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

GIT = "https://git.example.com/apps.git"
SHA = "0d1c5b2b6f2d3a2f1c1ad8e3ab8f9c5b7b1f2a3c"
OLDER = "1111111111111111111111111111111111111111"
SECRETS = kinds.for_kind("v1", "Secret")


class Api:
    """The API from outside the command line, one call at a time."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def run(self, work: Callable[[Client], Awaitable[Any]]) -> Any:
        async def opened() -> Any:
            client = Client(HttpTransport(kubeconfig.load(self.config), SystemClock()))
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(opened())

    def application(self, name: str, namespace: str = "argocd") -> Any:
        try:
            return self.run(lambda client: client.get(APPLICATIONS, name, namespace))
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    def patch(self, name: str, patch: dict[str, Any]) -> None:
        self.run(lambda client: client.patch(APPLICATIONS, name, patch, "argocd", type=PatchType.MERGE))

    def secrets(self) -> list[Any]:
        found = self.run(lambda client: client.list(SECRETS, "argocd", label_selector="argocd.argoproj.io/secret-type"))
        return list(found.items)


class StandIn:
    """Plays the controller: takes `.operation` away and writes how it went; takes refresh requests off."""

    def __init__(self, config: Path, phase: str = "Succeeded", **status: Any) -> None:
        self._config = config
        self._phase = phase
        self._status = status
        self.operations: list[Any] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, daemon=True)

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._watch())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(asyncio.sleep(0.1))  # connections end in turns of the loop yet to come
        self._loop.close()

    async def _watch(self) -> None:
        client = Client(HttpTransport(kubeconfig.load(self._config), SystemClock()))
        try:
            events = client.watch(APPLICATIONS, "argocd", send_initial_events=True)
            async with closing(events):
                async for event in events:
                    if event.type in ("ADDED", "MODIFIED"):
                        await self._play(client, event.object)
        finally:
            await client.close()

    async def _play(self, client: Client, obj: Any) -> None:
        patch: dict[str, Any] = {}
        if obj["metadata"].get("annotations", {}).get("argocd.argoproj.io/refresh"):
            patch["metadata"] = {"annotations": {"argocd.argoproj.io/refresh": None}}
        if operation := obj.get("operation"):
            self.operations.append(operation)
            now = rfc3339(SystemClock().time())
            state = {
                "operation": operation, "phase": self._phase, "message": "as played", "startedAt": now,
                "finishedAt": now, "syncResult": {"revision": SHA, **self._status.pop("syncResult", {})},
            }  # fmt: skip
            patch |= {"operation": None, "status": {"operationState": state, "reconciledAt": now, **self._status}}
        if patch:
            await client.patch(APPLICATIONS, obj["metadata"]["name"], patch, "argocd", type=PatchType.MERGE)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with BackgroundCluster(tmp_path_factory.mktemp("cluster")) as handle:
        made = Api(handle.kubeconfig)
        made.run(resources.bootstrap)
        yield made


class Cli:
    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.api = api
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setenv("KUBECONFIG", str(api.config))
        self.said = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        self._monkeypatch.setattr(sys, "argv", ["seatrial", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self._capsys.readouterr()
        self.said = captured.err
        assert ended.value.code == code, f"{arguments}: {ended.value.code}\n{captured.out}{captured.err}"
        return captured.out

    def create(self, name: str, *more: str) -> None:
        where = ("--dest-server", "https://kubernetes.default.svc", "--dest-namespace", "web")
        self("app", "create", name, "--repo", GIT, "--path", "web", *where, "--upsert", *more)


@pytest.fixture
def cli(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    yield Cli(api, monkeypatch, capsys)

    async def clean(client: Client) -> None:
        for obj in (await client.list(APPLICATIONS)).items:
            name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
            if obj["metadata"].get("finalizers"):
                gone = {"metadata": {"finalizers": None}}
                await client.patch(APPLICATIONS, name, gone, namespace, type=PatchType.MERGE)
            with contextlib.suppress(StatusError):
                await client.delete(APPLICATIONS, name, namespace)
        for secret in (await client.list(SECRETS, "argocd", label_selector="argocd.argoproj.io/secret-type")).items:
            await client.delete(SECRETS, secret["metadata"]["name"], "argocd")

    api.run(clean)


SYNCED: dict[str, Any] = {
    "sync": {"status": "Synced", "revision": SHA},
    "health": {"status": "Healthy"},
    "resources": [
        {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "web", "name": "web",
         "status": "Synced", "health": {"status": "Healthy"}},
        {"version": "v1", "kind": "Service", "namespace": "web", "name": "web", "status": "Synced",
         "health": {"status": "Healthy"}},
    ],
}  # fmt: skip


def history(*ids: int) -> dict[str, Any]:
    source = {"repoURL": GIT, "path": "web", "targetRevision": "main"}
    revisions = {0: OLDER, 1: SHA}
    return {
        "history": [
            {"id": number, "revision": revisions[number], "source": source, "deployedAt": "2024-05-01T10:00:00Z",
             "deployStartedAt": "2024-05-01T09:59:00Z"}
            for number in ids
        ]
    }  # fmt: skip


# The definitions, as kubectl sees them


def kubectl(api: Api, binary: str, *arguments: str) -> str:
    command = [binary, "--kubeconfig", str(api.config), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kubectl_explains_the_sync_policy(api: Api, kubectl_binary: str) -> None:
    shown = kubectl(api, kubectl_binary, "explain", "application.spec.syncPolicy")
    for field in ("automated", "syncOptions", "retry", "managedNamespaceMetadata"):
        assert f"  {field}\t<" in shown


def test_kubectl_shows_argo_cds_columns(cli: Cli, kubectl_binary: str) -> None:
    cli.create("web")
    cli.api.patch("web", {"status": SYNCED})
    narrow, wide = (kubectl(cli.api, kubectl_binary, "get", "apps", "-n", "argocd", "-o", o) for o in ("", "wide"))
    assert [line.split() for line in narrow.splitlines()] == [
        ["NAME", "SYNC", "STATUS", "HEALTH", "STATUS"],
        ["web", "Synced", "Healthy"],
    ]
    assert wide.splitlines()[1].split() == ["web", "Synced", "Healthy", SHA, "default"]
    assert "default" in kubectl(cli.api, kubectl_binary, "get", "appproj", "-n", "argocd")


# create, set, unset, patch, edit


def test_create_makes_the_application_argocd_would(cli: Cli) -> None:
    out = cli(
        "app", "create", "shop", "--repo", GIT, "--path", "shop", "--revision", "main", "--dest-name", "in-cluster",
        "--dest-namespace", "shop", "--sync-policy", "automated", "--auto-prune", "--self-heal=true", "--sync-option",
        "CreateNamespace=true", "--helm-set", "replicas=2", "--helm-set-string", "tag=1.20", "--values", "prod.yaml",
        "--label", "team=a", "--annotations", "x=y", "--set-finalizer", "--sync-retry-limit", "3",
    )  # fmt: skip
    assert out == "application 'shop' created\n"
    made = cli.api.application("shop")
    assert made["spec"] == {
        "project": "default",
        "source": {
            "repoURL": GIT, "path": "shop", "targetRevision": "main",
            "helm": {
                "valueFiles": ["prod.yaml"],
                "parameters": [
                    {"name": "replicas", "value": "2"}, {"name": "tag", "value": "1.20", "forceString": True},
                ],
            },
        },
        "destination": {"name": "in-cluster", "namespace": "shop"},
        "syncPolicy": {
            "automated": {"prune": True, "selfHeal": True},
            "syncOptions": ["CreateNamespace=true"],
            "retry": {"limit": 3, "backoff": {"duration": "5s", "maxDuration": "3m0s", "factor": 2}},
        },
    }  # fmt: skip
    assert made["metadata"]["labels"] == {"team": "a"}
    assert made["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]


def test_create_again_is_unchanged_refused_or_upserted(cli: Cli) -> None:
    base = ("app", "create", "web", "--repo", GIT, "--path", "web", "--dest-server", "https://kubernetes.default.svc")
    assert cli(*base) == "application 'web' created\n"
    assert cli(*base) == "application 'web' unchanged\n"
    cli(*base, "--path", "other", code=1)
    assert "use --upsert" in cli.said
    assert cli(*base, "--path", "other", "--upsert") == "application 'web' updated\n"
    assert cli.api.application("web")["spec"]["source"]["path"] == "other"


def test_create_from_a_file(cli: Cli, tmp_path: Path) -> None:
    spec = {
        "project": "default",
        "sources": [{"repoURL": GIT, "path": "a", "ref": "r"}, {"repoURL": GIT, "path": "b"}],
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
    }
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "many"}, "spec": spec}
    file = tmp_path / "app.yaml"
    file.write_text(yaml.safe_dump(manifest))
    assert cli("app", "create", "-f", str(file)) == "application 'many' created\n"
    assert cli.api.application("many")["spec"] == spec
    cli("app", "set", "many", "--path", "c", "--source-position", "2")
    assert cli.api.application("many")["spec"]["sources"][1]["path"] == "c"
    cli("app", "set", "many", "--path", "c", code=1)
    assert "--source-position 1..2" in cli.said
    cli("app", "add-source", "many", "--repo", GIT, "--path", "d")
    cli("app", "remove-source", "many", "--source-position", "1")
    assert [source["path"] for source in cli.api.application("many")["spec"]["sources"]] == ["c", "d"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--project", "nowhere"), "there is no project 'nowhere'"),
        (("--dest-name", "moon"), "both server"),
        (("--helm-chart", "x"), "both chart and path"),
    ],
)
def test_create_refuses_what_is_invalid(cli: Cli, more: tuple[str, ...], said: str) -> None:
    base = ("app", "create", "web", "--repo", GIT, "--path", "web", "--dest-server", "https://kubernetes.default.svc")
    cli(*base, *more, code=1)
    assert said in cli.said
    assert cli.api.application("web") is None


def test_create_takes_what_is_invalid_without_validation(cli: Cli) -> None:
    cli("app", "create", "web", "--repo", GIT, "--path", "web", "--dest-name", "moon", "--validate=false")


def test_set_changes_only_what_is_given(cli: Cli) -> None:
    cli.create("web", "--sync-policy", "auto", "--auto-prune", "--sync-option", "PruneLast=true")
    cli("app", "set", "web", "--sync-policy", "none")
    assert cli.api.application("web")["spec"]["syncPolicy"] == {"syncOptions": ["PruneLast=true"]}
    cli("app", "set", "web", "--sync-option", "!PruneLast=true")
    assert "syncPolicy" not in cli.api.application("web")["spec"]
    cli("app", "set", "web", "--self-heal")
    assert cli.api.application("web")["spec"]["syncPolicy"] == {"automated": {"enabled": False, "selfHeal": True}}
    cli(
        "app",
        "set",
        "web",
        "--kustomize-image",
        "web=r/web:1",
        "--kustomize-image",
        "web=r/web:2",
        "--nameprefix",
        "p-",
    )
    assert cli.api.application("web")["spec"]["source"]["kustomize"] == {"images": ["web=r/web:2"], "namePrefix": "p-"}


def test_set_without_anything_is_misuse(cli: Cli) -> None:
    cli("app", "set", "web", code=2)


def test_unset_takes_overrides_away(cli: Cli) -> None:
    cli.create("web", "-p", "a=1", "-p", "b=2", "--values", "x.yaml", "--values", "y.yaml")
    cli("app", "unset", "web", "-p", "a", "--values", "x.yaml")
    assert cli.api.application("web")["spec"]["source"]["helm"] == {
        "parameters": [{"name": "b", "value": "2"}],
        "valueFiles": ["y.yaml"],
    }
    cli("app", "unset", "web", "-p", "b", "--values", "y.yaml")
    assert "helm" not in cli.api.application("web")["spec"]["source"]


def test_patch_by_json_and_merge(cli: Cli) -> None:
    cli.create("web")
    operations = [{"op": "replace", "path": "/spec/source/path", "value": "x"}]
    assert cli("app", "patch", "web", "--patch", json.dumps(operations)) == "Application 'web' patched\n"
    cli("app", "patch", "web", "--patch", '{"spec": {"source": {"targetRevision": "v2"}}}', "--type", "merge")
    source = cli.api.application("web")["spec"]["source"]
    assert (source["path"], source["targetRevision"]) == ("x", "v2")


def test_edit_writes_what_the_editor_leaves(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.create("web")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/path: web/path: edited/" "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    cli("app", "edit", "web")
    assert cli.api.application("web")["spec"]["source"]["path"] == "edited"
    monkeypatch.setenv("EDITOR", "true")
    assert cli("app", "edit", "web") == "edit cancelled, no changes made\n"


# get, list, history, resources, logs


def test_get_shows_what_argocd_shows(cli: Cli) -> None:
    cli.create("web", "--revision", "main", "--sync-policy", "auto", "--auto-prune")
    condition = {"type": "SyncError", "message": "no", "lastTransitionTime": "2024-05-01T10:00:00Z"}
    cli.api.patch("web", {"status": {**SYNCED, "conditions": [condition]}})
    assert cli("app", "get", "web").splitlines() == [
        "Name:               argocd/web",
        "Project:            default",
        "Server:             https://kubernetes.default.svc",
        "Namespace:          web",
        "Source:",
        f"- Repo:             {GIT}",
        "  Target:           main",
        "  Path:             web",
        "SyncWindow:         Sync Allowed",
        "Sync Policy:        Automated (Prune)",
        "Sync Status:        Synced to main (0d1c5b2)",
        "Health Status:      Healthy",
        "",
        "CONDITION  MESSAGE  LAST TRANSITION",
        "SyncError  no       2024-05-01T10:00:00Z",
        "",
        "GROUP  KIND        NAMESPACE  NAME  STATUS  HEALTH   HOOK  MESSAGE",
        "       Service     web        web   Synced  Healthy",
        "apps   Deployment  web        web   Synced  Healthy",
    ]


def test_get_as_a_document(cli: Cli) -> None:
    cli.create("web")
    assert json.loads(cli("app", "get", "web", "-o", "json"))["spec"]["source"]["path"] == "web"
    assert yaml.safe_load(cli("app", "get", "web", "-o", "yaml"))["kind"] == "Application"
    assert "managedFields" not in cli("app", "get", "argocd/web", "-o", "json")


def test_get_waits_for_the_refresh_it_asks_for(cli: Cli) -> None:
    cli.create("web")
    with StandIn(cli.api.config):
        cli("app", "get", "web", "--hard-refresh", "--timeout", "20")
    cli("app", "get", "web", "--refresh", "--timeout", "1")
    assert "not refreshed within 1 s" in cli.said


def test_what_is_not_there(cli: Cli) -> None:
    for verb in ("get", "history", "resources", "terminate-op", "rollback", "sync", "delete", "wait"):
        cli("app", verb, "nothing", code=1)
        assert "application 'nothing' not found in namespace 'argocd'" in cli.said, verb


def test_list_is_a_table_or_names_and_filters(cli: Cli) -> None:
    cli.create("web", "--label", "team=a", "--revision", "main")
    cli.create("api", "--path", "api", "--sync-policy", "auto")
    cli.api.patch("web", {"status": SYNCED})
    assert cli("app", "list").splitlines() == [
        "NAME        CLUSTER                         NAMESPACE  PROJECT  STATUS  HEALTH   SYNCPOLICY  CONDITIONS"
        "  REPO                              PATH  TARGET",
        "argocd/api  https://kubernetes.default.svc  web        default                   Auto        <none>"
        f"      {GIT}  api",
        "argocd/web  https://kubernetes.default.svc  web        default  Synced  Healthy  Manual      <none>"
        f"      {GIT}  web   main",
    ]
    assert cli("app", "list", "-o", "name") == "argocd/api\nargocd/web\n"
    for filters in (("-l", "team=a"), ("-P", "web"), ("-l", "team", "-r", "https://git.example.com/apps")):
        assert cli("app", "list", "-o", "name", *filters) == "argocd/web\n"
    assert cli("app", "list", "-o", "name", "-p", "other") == ""
    assert cli("app", "list", "-o", "name", "-N", "elsewhere") == ""


def test_history_by_repository_and_by_id(cli: Cli) -> None:
    cli.create("web")
    cli.api.patch("web", {"status": history(0, 1)})
    assert cli("app", "history", "web").splitlines() == [
        f"SOURCE  {GIT}",
        "ID  DATE                  REVISION",
        "0   2024-05-01T10:00:00Z  main (1111111)",
        "1   2024-05-01T10:00:00Z  main (0d1c5b2)",
    ]
    assert cli("app", "history", "web", "-o", "id") == "0\n1\n"


def workload(api: Api) -> None:
    async def work(client: Client) -> None:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}
        with contextlib.suppress(StatusError):
            await client.create(kinds.for_kind("v1", "Namespace"), space)
        labels = {"app": "web"}
        deployment = {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "web"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "main", "image": "example.com/web:1"}]},
                },
            },
        }  # fmt: skip
        apps = kinds.for_kind("apps/v1", "Deployment")
        with contextlib.suppress(StatusError):
            await client.create(apps, deployment)
        events = client.watch(apps, "web", send_initial_events=True)
        async with asyncio.timeout(20), closing(events):
            async for event in events:
                if (event.object.get("status") or {}).get("readyReplicas") == 1:
                    return

    api.run(work)


def test_resources_with_what_they_own(cli: Cli) -> None:
    workload(cli.api)
    cli.create("web")
    cli.api.patch("web", {"status": SYNCED})
    assert cli("app", "resources", "web").splitlines() == [
        "GROUP  KIND        NAMESPACE  NAME  ORPHANED",
        "       Service     web        web   No",
        "apps   Deployment  web        web   No",
    ]
    kinds_shown = [
        line.split()[0].removeprefix("└─") for line in cli("app", "get", "web", "-o", "tree").splitlines()[13:]
    ]
    assert [shown.split("/")[0] for shown in kinds_shown] == ["KIND", "Service", "Deployment", "ReplicaSet", "Pod"]
    assert "AGE" in cli("app", "resources", "web", "-o", "tree=detailed")


def test_logs_are_asked_of_the_pods_an_application_owns(cli: Cli) -> None:
    workload(cli.api)
    cli.create("web")
    cli.api.patch("web", {"status": SYNCED})
    cli("app", "logs", "web", "--tail", "5", code=1)
    assert "simulates its pods" in cli.said
    cli("app", "logs", "web", "-c", "nothing", code=1)
    assert "has a container 'nothing'" in cli.said


def test_logs_of_an_application_without_pods(cli: Cli) -> None:
    cli.create("web")
    cli("app", "logs", "web", code=1)
    assert "has no pods" in cli.said


# sync, wait, rollback, terminate-op, delete


def test_sync_writes_an_operation_and_waits_for_its_end(cli: Cli) -> None:
    cli.create("web", "--sync-option", "CreateNamespace=true")
    with StandIn(cli.api.config, **SYNCED) as controller:
        out = cli("app", "sync", "web", "--prune", "--force", "--revision", "v1", "--replace", "--info", "why=test",
                  "--timeout", "30")  # fmt: skip
    assert "Phase:              Succeeded" in out
    assert f"Sync Revision:      {SHA}" in out
    (operation,) = controller.operations
    assert operation["sync"] == {
        "revision": "v1",
        "prune": True,
        "syncStrategy": {"hook": {"force": True}},
        "syncOptions": ["CreateNamespace=true", "Replace=true"],
    }
    assert operation["info"] == [{"name": "why", "value": "test"}]
    assert operation["initiatedBy"]["username"]


def test_a_failed_sync_is_exit_code_1(cli: Cli) -> None:
    cli.create("web")
    with StandIn(cli.api.config, "Failed"):
        cli("app", "sync", "web", "--timeout", "30", code=1)
    assert "the operation ended as Failed: as played" in cli.said


def test_a_sync_that_leaves_something_to_prune_is_exit_code_20(cli: Cli) -> None:
    cli.create("web")
    left = {"resources": [{"version": "v1", "kind": "Service", "namespace": "web", "name": "old", "group": "",
                           "status": "PruneSkipped"}]}  # fmt: skip
    with StandIn(cli.api.config, sync={"status": "OutOfSync"}, syncResult=left):
        cli("app", "sync", "web", "--timeout", "30", code=20)
    assert "require pruning" in cli.said


def test_a_sync_nobody_takes_up_ends_with_the_time(cli: Cli) -> None:
    cli.create("web")
    cli("app", "sync", "web", "--timeout", "1", code=20)
    assert "did not get there within 1 s" in cli.said
    cli("app", "sync", "web", "--async", code=1)
    assert "another operation is in progress" in cli.said


def test_sync_of_some_resources(cli: Cli) -> None:
    cli.create("web")
    cli.api.patch("web", {"status": SYNCED})
    with StandIn(cli.api.config, **SYNCED) as controller:
        cli("app", "sync", "web", "--resource", "apps:Deployment:web", "--timeout", "30")
        cli("app", "sync", "web", "--resource", "!:Service:*", "--timeout", "30")
    wanted = {"group": "apps", "kind": "Deployment", "namespace": "web", "name": "web"}
    assert [operation["sync"]["resources"] for operation in controller.operations] == [[wanted], [wanted]]
    cli("app", "sync", "web", "--resource", "apps:Deployment:other", code=1)
    cli("app", "sync", "web", "--resource", "Deployment", code=1)
    assert "expected GROUP:KIND:NAME" in cli.said


def test_automated_sync_refuses_another_revision(cli: Cli) -> None:
    cli.create("web", "--sync-policy", "auto", "--revision", "main")
    cli("app", "sync", "web", "--revision", "v1", "--async", code=1)
    assert "automated sync is on" in cli.said
    cli("app", "sync", "web", "--revision", "main", "--async")


def test_sync_by_selector_and_project(cli: Cli) -> None:
    cli.create("a", "--label", "team=x")
    cli.create("b")
    cli("app", "sync", "-l", "team=x", "--async")
    assert cli.api.application("a")["operation"]
    assert "operation" not in cli.api.application("b")
    cli("app", "sync", "--project", "nobody", "--async", code=1)
    cli("app", "sync", code=2)


def test_wait_for_what_is_so_already(cli: Cli) -> None:
    cli.create("web")
    cli.api.patch("web", {"status": SYNCED})
    cli("app", "wait", "web", "--timeout", "5")
    assert json.loads(cli("app", "wait", "web", "--health", "-o", "json"))["status"]["health"]["status"] == "Healthy"


def test_wait_in_vain_is_exit_code_20(cli: Cli) -> None:
    cli.create("web")
    cli.api.patch("web", {"status": {**SYNCED, "health": {"status": "Degraded"}}})
    cli("app", "wait", "web", "--health", "--timeout", "1", code=20)
    cli("app", "wait", "web", "--degraded", "--timeout", "5")
    cli("app", "wait", "web", "--resource", "apps:Deployment:web", "--health", "--timeout", "5")


def test_wait_is_told_by_the_watch(cli: Cli) -> None:
    cli.create("web")
    timer = threading.Timer(0.3, cli.api.patch, ("web", {"status": SYNCED}))
    timer.start()
    cli("app", "wait", "web", "--timeout", "20")
    timer.join()


def test_wait_for_deletion(cli: Cli) -> None:
    assert cli("app", "wait", "gone", "--delete") == "application 'argocd/gone' deleted\n"


def test_rollback_names_the_history_entry_and_skips_what_it_leaves(cli: Cli) -> None:
    cli.create("web", "--sync-policy", "auto")
    cli.api.patch("web", {"status": {**SYNCED, **history(0, 1)}})
    with StandIn(cli.api.config) as controller:
        cli("app", "rollback", "web", "--timeout", "30")
    (operation,) = controller.operations
    assert operation["sync"]["revision"] == OLDER
    assert operation["sync"]["source"]["path"] == "web"
    assert operation["sync"]["syncStrategy"] == {"apply": {}}
    assert operation["info"] == [{"name": "seatrial.dev/rollback", "value": "0"}]
    assert cli.api.application("web")["metadata"]["annotations"]["seatrial.dev/skipped-revision"] == SHA


def test_rollback_to_what_never_was(cli: Cli) -> None:
    cli.create("web")
    cli("app", "rollback", "web", code=1)
    assert "expected two" in cli.said
    cli.api.patch("web", {"status": history(0, 1)})
    cli("app", "rollback", "web", "7", code=1)
    assert "no deployment 7 in its history (it has: 0, 1)" in cli.said


def test_terminate_needs_something_that_runs(cli: Cli) -> None:
    cli.create("web")
    cli("app", "terminate-op", "web", code=1)
    assert "no operation is running" in cli.said
    state = {"phase": "Running", "operation": {}, "startedAt": "2024-05-01T10:00:00Z"}
    cli.api.patch("web", {"operation": {"sync": {}}, "status": {"operationState": state}})
    cli("app", "terminate-op", "web")
    assert cli.api.application("web")["status"]["operationState"]["phase"] == "Terminating"


def test_delete_cascades_unless_told_not_to(cli: Cli) -> None:
    cli.create("web")
    cli("app", "delete", "web", "-y")
    left = cli.api.application("web")
    assert left["metadata"]["deletionTimestamp"]
    assert left["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]
    cli.create("api", "--set-finalizer")
    assert cli("app", "delete", "api", "--cascade=false", "--wait") == "application 'argocd/api' deleted\n"
    assert cli.api.application("api") is None
    cli.create("job")
    cli("app", "delete", "job", "-p", "background")
    assert cli.api.application("job")["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io/background"]


def test_confirm_deletion_leaves_the_time(cli: Cli) -> None:
    cli.create("web")
    cli("app", "confirm-deletion", "web")
    assert cli.api.application("web")["metadata"]["annotations"]["argocd.argoproj.io/deletion-approved"]


# proj, repo, cluster


def test_a_project_from_flags_through_its_life(cli: Cli) -> None:
    cli("proj", "create", "team", "--description", "Ours", "-d", "https://kubernetes.default.svc,team-*", "-s", GIT)
    cli("proj", "add-source", "team", "https://other.example.com/x")
    cli("proj", "add-source", "team", GIT, code=1)
    cli("proj", "remove-source", "team", GIT)
    cli("proj", "add-destination", "team", "east", "web")
    cli("proj", "add-source-namespace", "team", "team-a")
    cli("proj", "allow-cluster-resource", "team", "", "Namespace")
    cli("proj", "deny-namespace-resource", "team", "", "ResourceQuota")
    cli("proj", "allow-namespace-resource", "team", "", "ResourceQuota")
    cli("proj", "deny-namespace-resource", "team", "", "LimitRange")
    assert cli("proj", "get", "team").splitlines() == [
        "Name:                        team",
        "Description:                 Ours",
        "Destinations:                https://kubernetes.default.svc,team-*",
        "                             east,web",
        "Repositories:                https://other.example.com/x",
        "Source Namespaces:           team-a",
        "Allowed Cluster Resources:   /Namespace",
        "Denied Cluster Resources:    <none>",
        "Allowed Namespaced Resources:<none>",
        "Denied Namespaced Resources: /LimitRange",
    ]
    assert "default" in cli("proj", "list")
    assert cli("proj", "list", "-o", "name") == "default\nteam\n"
    cli.create("web")
    cli.api.patch("web", {"spec": {"project": "team"}})
    cli("proj", "delete", "team", code=1)
    assert "is used by 1 application(s): web" in cli.said
    cli.api.patch("web", {"spec": {"project": "default"}})
    assert cli("proj", "delete", "team") == "project 'team' deleted\n"
    cli("proj", "get", "team", code=1)


def test_a_repository_and_what_is_not_shown_of_it(cli: Cli) -> None:
    url = "https://git.example.com/private.git"
    cli("repo", "add", url, "--username", "u", "--password", "hunter2", "--insecure-skip-server-verification")
    cli("repo", "add", "https://git.example.com/", "--template", "--username", "u", "--password", "hunter2")
    cli("repo", "add", "https://git.example.com/other")
    shown = cli("repo", "list") + cli("repo", "list", "-o", "json") + cli("repo", "get", url, "-o", "yaml")
    assert "hunter2" not in shown
    assert shown.splitlines()[0].split() == [
        "TYPE", "NAME", "REPO", "INSECURE", "OCI", "LFS", "CREDS", "STATUS", "MESSAGE", "PROJECT",
    ]  # fmt: skip
    rows = {line.split()[1]: line.split()[5] for line in cli("repo", "list").splitlines()[1:]}
    assert rows == {url: "true", "https://git.example.com/other": "inherited"}
    labels = {secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"] for secret in cli.api.secrets()}
    assert labels == {"repository", "repo-creds"}
    cli("repo", "add", url, "--username", "v", code=1)
    cli("repo", "add", url, "--username", "v", "--upsert")
    assert cli("repo", "rm", url) == f"Repository '{url}' removed\n"
    cli("repo", "get", url, code=1)
    cli("repo", "add", "registry.example.com/x", "--type", "oci", code=1)
    cli("repo", "add", "https://charts.example.com", "--type", "helm", code=2)


def test_a_cluster_added_from_a_context(cli: Cli) -> None:
    context = yaml.safe_load(cli.api.config.read_text())["current-context"]
    cli("cluster", "add", context, "--name", "east", "--namespace", "web", "--label", "region=eu")
    (secret,) = cli.api.secrets()
    assert secret["metadata"]["labels"]["region"] == "eu"
    table = [line.split() for line in cli("cluster", "list").splitlines()]
    assert [row[0] for row in table] == ["SERVER", "https://kubernetes.default.svc", table[2][0]]
    assert "Successful" in table[2]
    document = yaml.safe_load(cli("cluster", "get", "east"))
    assert (document["name"], document["namespaces"]) == ("east", ["web"])
    assert document["connectionState"]["status"] == "Successful"
    cli("cluster", "set", "east", "--name", "west")
    assert cli("cluster", "list", "-o", "name") == "in-cluster\nwest\n"
    cli("cluster", "rm", "west")
    cli("cluster", "rm", "in-cluster", code=1)


def test_without_definitions_it_says_who_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with BackgroundCluster(tmp_path) as handle:
        empty = Cli(Api(handle.kubeconfig), monkeypatch, capsys)
        empty("app", "list", code=1)
        assert "the GitOps controller installs them" in empty.said
        empty("app", "get", "web", code=1)
        assert "the GitOps controller installs them" in empty.said
