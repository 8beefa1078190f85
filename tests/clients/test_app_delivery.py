"""`seatrial app diff | manifests | sync | rollback` by the real binary, with the engine of `seatrial up` behind it."""

from __future__ import annotations

import base64
import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.clients.conftest import SECONDS, fresh_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clients.conftest import Up

APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
DONE, FAILED, USAGE, NOT_REACHED = 0, 1, 2, 20


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def config_map(name: str, /, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"part": name}}, "data": data}


class Shop:
    """One Application, its repository, and the command line."""

    def __init__(self, up: Up, directory: Path, namespace: str) -> None:
        self.up = up
        self.name = namespace
        self.namespace = namespace
        self.bare, self.work = directory / "origin.git", directory / "work"
        git(directory, "init", "-q", "--bare", "-b", "main", str(self.bare))
        git(directory, "clone", "-q", str(self.bare), str(self.work))
        git(self.work, "checkout", "-q", "-b", "main")
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        self.environment = {
            **kept,
            "HOME": str(directory),
            "XDG_CACHE_HOME": str(directory / "cache"),
            "KUBECONFIG": str(up.kubeconfig),
        }
        self.said = ""

    def __call__(self, verb: str, *arguments: str, code: int = DONE, stdin: str = "") -> str:
        """`seatrial app VERB <the Application> ...`; its standard output."""
        command = [str(Path(sys.executable).parent / "seatrial"), "app", verb, self.name, *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=SECONDS, env=self.environment, check=False
        )
        self.said = done.stderr
        assert done.returncode == code, f"{verb} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def commit(self, *, branch: str = "main", **files: dict[str, Any] | str | None) -> str:
        if branch != "main":
            git(self.work, "checkout", "-q", "-B", branch, "main")
        self.write(**files)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", "change")
        git(self.work, "push", "-q", "-f", "origin", branch)
        sha = git(self.work, "rev-parse", "HEAD")
        if branch != "main":
            git(self.work, "checkout", "-q", "main")
        return sha

    def write(self, **files: dict[str, Any] | str | None) -> None:
        """By the name without its ending; None deletes."""
        for name, content in files.items():
            path = self.work / "app" / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))

    def create(self, *more: str) -> None:
        where = ("--dest-server", "https://kubernetes.default.svc", "--dest-namespace", self.namespace)
        source = ("--repo", f"file://{self.bare}", "--path", "app", "--revision", "main")
        self("create", *source, *where, *more)

    def object(self) -> dict[str, Any]:
        found: dict[str, Any] = self.up.answer("GET", f"{APPLICATIONS}/{self.name}")
        return found

    def data(self, name: str) -> dict[str, str] | None:
        found = self.up.answer("GET", f"/api/v1/namespaces/{self.namespace}/configmaps/{name}")
        return None if found is None else found.get("data") or {}


@pytest.fixture
def shop(up: Up, tmp_path: Path, eventually: Callable[..., Any]) -> Iterator[Shop]:
    with fresh_namespace(up) as namespace:
        made = Shop(up, tmp_path, namespace)
        yield made
        up.answer("DELETE", f"{APPLICATIONS}/{made.name}")
        eventually(lambda: up.answer("GET", f"{APPLICATIONS}/{made.name}") is None)


# diff and manifests


def test_diff_says_what_a_sync_would_change_and_exits_with_it(shop: Shop) -> None:
    shop.commit(a=config_map("a", color="blue"), b=config_map("b"))
    shop.create()
    out = shop("diff", "--refresh", code=1)
    assert out.splitlines()[:2] == ["", f"===== /ConfigMap {shop.namespace}/a ======"]
    assert "+  color: blue" in out
    shop("sync")
    assert shop("diff") == ""
    shop.commit(a=config_map("a", color="red"))
    out = shop("diff", "--refresh", "--diff-exit-code", "7", code=7)
    assert "-  color: blue" in out and "+  color: red" in out and f"{shop.namespace}/b" not in out
    shop("diff", "--exit-code=false")


def test_diff_of_a_branch_is_what_merging_it_would_change(shop: Shop) -> None:
    shop.commit(a=config_map("a", color="blue"), b=config_map("b"))
    shop.create("--sync-policy", "auto")
    shop("wait", "--sync", "--health")
    shop.commit(branch="feature", a=config_map("a", color="red"), b=None)
    out = shop("diff", "--revision", "feature", code=1)
    assert "+  color: red" in out and f"===== /ConfigMap {shop.namespace}/b ======" in out
    assert f"of file://{shop.bare} would change in the cluster, which follows main" in shop.said
    assert shop.data("a") == {"color": "blue"}


def test_diff_of_a_directory(shop: Shop) -> None:
    shop.commit(a=config_map("a", color="blue"))
    shop.create()
    shop("sync")
    shop.write(a=config_map("a", color="mine"))
    assert "+  color: mine" in shop("diff", "--local", str(shop.work / "app"), "--server-side-generate", code=1)
    root = ("--local-repo-root", str(shop.work))
    assert "+  color: mine" in shop("diff", "--local", str(shop.work / "app"), *root, code=1)
    shop("diff", "--local", str(shop.work / "app"), "--revision", "main", code=USAGE)


def test_diff_that_cannot_be_made_is_neither_the_same_nor_different(shop: Shop) -> None:
    shop.commit(a=config_map("a"))
    shop.create()
    shop("diff", "--revision", "nowhere", code=NOT_REACHED)
    assert "there is no revision 'nowhere'" in shop.said


def test_secrets_are_masked_wherever_they_are_shown(shop: Shop) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}}
    shop.commit(secret={**secret, "stringData": {"password": "canary"}})
    shop.create()
    shown = [shop("diff", "--refresh", code=1), shop("manifests")]
    shop("sync")
    shop.commit(secret={**secret, "stringData": {"password": "canary-two"}})
    shown += [shop("diff", "--refresh", code=1), shop("manifests", "--source", "live")]
    for text in shown:
        assert "canary" not in text and "Y2FuYXJ5" not in text and "++++++++" in text


def test_manifests_of_git_of_a_revision_and_of_the_cluster(shop: Shop) -> None:
    shop.commit(a=config_map("a", color="blue"))
    shop.create()
    shop("sync")
    shop.commit(branch="feature", a=config_map("a", color="red"))
    (wanted,) = yaml.safe_load_all(shop("manifests"))
    assert (wanted["data"], wanted["metadata"]["namespace"]) == ({"color": "blue"}, shop.namespace)
    (other,) = yaml.safe_load_all(shop("manifests", "--revision", "feature"))
    assert other["data"] == {"color": "red"}
    (live,) = yaml.safe_load_all(shop("manifests", "--source", "live"))
    assert live["metadata"]["uid"] and "managedFields" not in live["metadata"]


# sync


def test_sync_of_a_directory(shop: Shop) -> None:
    shop.commit(a=config_map("a", color="blue"))
    shop.create()
    shop("sync")
    shop.write(a=config_map("a", color="mine"))
    shop("sync", "--local", str(shop.work / "app"))
    assert shop.data("a") == {"color": "mine"}
    shop("set", "--sync-policy", "auto")
    shop("sync", "--local", str(shop.work / "app"), code=FAILED)
    assert "while automated sync is on" in shop.said
    shop("sync", "--local", str(shop.work / "app"), "--dry-run")


def test_sync_of_a_directory_puts_no_secret_into_the_application(shop: Shop) -> None:
    shop.commit(a=config_map("a"))
    shop.create()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": {"password": "canary"}}
    shop.write(secret=secret)
    shop("sync", "--local", str(shop.work / "app"), code=FAILED)
    assert "secret login would be readable" in shop.said
    assert "canary" not in str(shop.object())


def test_sync_shows_the_changes_and_asks(shop: Shop) -> None:
    shop.commit(a=config_map("a", color="blue"))
    shop.create()
    out = shop("sync", "--preview-changes", stdin="n\n")
    assert "+  color: blue" in out and "Sync application" in out
    assert shop.data("a") is None
    shop("sync", "--preview-changes", stdin="y\n")
    assert shop.data("a") == {"color": "blue"}
    assert "No Differences found" in shop("sync", "--preview-changes")
    assert "No Differences found" not in shop("diff")


def test_sync_of_what_has_a_label(shop: Shop) -> None:
    shop.commit(a=config_map("a", color="blue"), b=config_map("b"))
    shop.create()
    shop("sync", "--label", "part=b")
    assert (shop.data("a"), shop.data("b")) == (None, {})
    shop("sync", "--label", "part=none", code=FAILED)
    assert "has the label part=none" in shop.said


# the way back


def test_rollback_by_a_commit(shop: Shop, eventually: Callable[..., Any]) -> None:
    """Git stays the truth: automated sync goes on, and follows the commit that takes the bad one back."""

    def config(colour: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"colour": colour}}

    shop.commit(a=config("blue"))
    shop.create("--sync-policy", "automated")
    eventually(lambda: shop.data("a") == {"colour": "blue"})
    bad = shop.commit(a=config("red"))
    shop("get", "--refresh")
    eventually(lambda: shop.data("a") == {"colour": "red"})
    eventually(lambda: len(shop.object()["status"].get("history") or []) == 2)
    said = shop("rollback", "--revert")
    tip = git(shop.bare, "rev-parse", "main")
    assert tip in said and tip != bad and git(shop.bare, "rev-parse", "main~1") == bad
    eventually(lambda: shop.data("a") == {"colour": "blue"})
    assert "automated" in shop.object()["spec"]["syncPolicy"]


def test_a_rollback_finds_its_secrets_and_nobody_else_does(shop: Shop) -> None:
    """The record of a deployment has the Secret sealed: nothing of it is readable, and rollback still applies it."""

    def secret(value: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"token": value}}

    def token() -> str:
        found = shop.up.answer("GET", f"/api/v1/namespaces/{shop.namespace}/secrets/s")
        return base64.b64decode(found["data"]["token"]).decode() if found else ""

    shop.commit(s=secret("canary-one"))
    shop.create()
    shop("sync")
    shop.commit(s=secret("canary-two"))
    shop("get", "--refresh")
    shop("sync")
    assert token() == "canary-two"
    records = shop.up.answer("GET", "/api/v1/namespaces/argocd/secrets")["items"]
    packed = [base64.b64decode(r["data"]["manifests"]) for r in records if r.get("type") == "seatrial.dev/manifests"]
    assert packed and not any(b"canary" in gzip.decompress(each) for each in packed)
    encoded = base64.b64encode(b"canary-one")[:12]
    assert not any(encoded in gzip.decompress(each) for each in packed)
    shop.bare.rename(shop.bare.with_name("away"))  # Git is of no help
    shop("rollback")
    assert token() == "canary-one"
