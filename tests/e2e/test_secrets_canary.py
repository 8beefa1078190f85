"""What was sealed or encrypted in Git is read nowhere but in its Secret: not on disk, in logs, events, status, answers.

One story through a running instance, with everything that tells of objects: syncs that work and fail, drift, diffs,
manifests, history, rollback, a new key. Then everything is searched, for the plaintext and for its base64.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BIN = Path(sys.executable).parent
DATA = Path(__file__).parent / "data" / "canary"
SOPS = "canary-sops-4711-plaintext"
"""In the files of DATA, encrypted by sops 3.13 with `--encrypted-regex`."""
SEALED = f"canary-sealed-{secrets.token_hex(8)}"
DRIFT = "somebody-else-s-value"
SECONDS = 60.0
ITS_OWN = {("default", name) for name in ("db", "token", "chart", "broken")} | {("argocd", "age")}
"""The Secrets that are to hold it, and the key."""
CHART = {
    "chart/Chart.yaml": "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
    "chart/templates/secret.yaml": (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: chart}\ndata: {password: {{ .Values.password | b64enc }}}\n"
    ),
}
FAILS = {
    "chart/templates/fails.yaml": '{{ fail (printf "cannot use %s" .Values.password) }}\n',
}


@dataclass
class Story:
    directory: Path
    work: Path
    environment: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)
    """Everything that was printed, by command."""

    def run(self, *command: str, code: int | None = 0, stdin: str = "") -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=self.work, input=stdin, capture_output=True, text=True, timeout=SECONDS
        )
        text = done.stdout + done.stderr
        assert code is None or done.returncode == code, f"{' '.join(command)}: {done.returncode}: {text}"
        self.said[f"{len(self.said)} {' '.join(command)}"] = text
        return done.stdout

    def seatrial(self, *arguments: str, code: int | None = 0) -> str:
        return self.run("seatrial", *arguments, code=code)

    def kubectl(self, *arguments: str, stdin: str = "", code: int | None = 0) -> str:
        return self.run("kubectl", *arguments, stdin=stdin, code=code)

    def apply(self, obj: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps(obj))

    def push(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "a change")

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=self.work, check=True)

    def application(self, name: str, *, heal: bool = True, **source: Any) -> None:
        automated = {"automated": {"selfHeal": heal, "prune": True}}
        self.apply(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": name, "namespace": "argocd"},
                "spec": {
                    "project": "default",
                    "source": {"repoURL": f"file://{self.work}", "path": name, "targetRevision": "main", **source},
                    "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
                    "syncPolicy": automated,
                },
            }
        )

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "application", name, "-n", "argocd", "-o", "json"))
        return found.get("status") or {}

    def has(self, secret: str, value: str) -> bool:
        found = self.kubectl(
            "get", "secret", secret, "-n", "default", "--ignore-not-found", "-o", "jsonpath={.data.password}"
        )
        del self.said[next(reversed(self.said))]  # what was asked for
        return base64.b64decode(found) == value.encode()

    def until(self, check: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not check():
            assert time.monotonic() < deadline, f"not so: {what}"
            time.sleep(0.1)


class Watcher:
    """Notes the arguments of every process of the machine, as long as it runs."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            for name in os.listdir("/proc"):
                if name.isdigit():
                    try:
                        self.seen.add(Path(f"/proc/{name}/cmdline").read_bytes())
                    except OSError:
                        continue


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[str]]]:
    """Run the story; then say where a text is to be read."""
    directory, work = tmp_path_factory.mktemp("instance"), tmp_path_factory.mktemp("work")
    command = [str(BIN / "seatrial"), "up", "--detach", "--runtime", "simulated", "--api-port", "0"]
    ports = ["--git-port", "0", "--registry-port", "0", "--data-dir", str(directory)]
    subprocess.run([*command, *ports], check=True, capture_output=True, timeout=SECONDS)
    try:
        with Watcher() as watcher:
            story = Story(directory, work, environment(directory))
            play(story)
        objects = everything(story)
        yield lambda text: places(story, watcher, objects, text)
    finally:
        subprocess.run([BIN / "seatrial", "down", "--data-dir", directory], check=True, timeout=SECONDS)


def environment(directory: Path) -> dict[str, str]:
    command = [str(BIN / "seatrial"), "env", "--data-dir", str(directory)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    found = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(directory.parent)}
    for line in said.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        found[name] = shlex.split(value)[0]
    return found


def play(story: Story) -> None:
    begin(story)
    drift(story)
    look(story)
    fail(story)
    go_back(story)
    story.seatrial("secret", "rotate")
    look(story)


def begin(story: Story) -> None:
    story.until(lambda: story.kubectl("get", "namespace", "argocd", "--ignore-not-found"), "the engine is there")
    story.until(lambda: story.seatrial("secret", "fetch-cert", code=None), "there is a key")
    key = base64.b64encode((DATA / "age.agekey").read_bytes()).decode()
    metadata = {"name": "age", "namespace": "argocd", "labels": {"seatrial.dev/age-keys": "true"}}
    story.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"age.agekey": key}})
    sealed = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": "default"},
        "stringData": {"password": SEALED},
    }
    made = story.run("seatrial", "secret", "seal", stdin=json.dumps(sealed))
    story.git("init", "-q", "-b", "main")
    files = {"plain/db.yaml": made, "plain/token.yaml": (DATA / "token.yaml").read_text(), **CHART}
    story.push({**files, "chart/values-secret.yaml": (DATA / "values.yaml").read_text()})
    story.application("plain", heal=False)
    story.application("chart", helm={"valueFiles": ["values-secret.yaml"]})
    story.seatrial("app", "wait", "plain", "chart", "--sync", "--timeout", "60")
    story.until(lambda: story.has("db", SEALED) and story.has("token", SOPS) and story.has("chart", SOPS), "all there")


def drift(story: Story) -> None:
    """One is healed, the other shown."""
    patch = json.dumps({"stringData": {"password": DRIFT}})
    for name in ("chart", "token"):
        story.kubectl("patch", "secret", name, "-n", "default", "--type=merge", "-p", patch)
    story.until(lambda: story.has("chart", SOPS), "chart is healed")
    story.until(lambda: story.status("plain").get("sync", {}).get("status") == "OutOfSync", "plain has drifted")


def look(story: Story) -> None:
    for name in ("plain", "chart"):
        for verb in ("get", "diff", "manifests", "resources", "history"):
            story.seatrial("app", verb, name, code=None)
        story.seatrial("app", "get", name, "-o", "yaml")
        story.seatrial("app", "manifests", name, "--source", "live", code=None)
        story.seatrial("app", "diff", name, "--revision", "main", code=None)
    story.kubectl("describe", "applications", "-n", "argocd")


def fail(story: Story) -> None:
    """A value that is no base64, one a Service cannot have, a template that quotes, a file somebody changed."""
    story.push({f"plain/{name}.yaml": (DATA / f"{name}.yaml").read_text() for name in ("broken", "wrong")})
    story.seatrial("app", "sync", "plain", "--timeout", "60", code=None)
    story.seatrial("app", "get", "plain", "--refresh", code=None)
    story.seatrial("app", "diff", "plain", code=None)
    story.until(lambda: "failed" in story.status("plain")["operationState"].get("message", ""), "the sync failed")
    story.push(FAILS)
    story.seatrial("app", "get", "chart", "--hard-refresh", code=None)
    story.until(lambda: story.status("chart").get("conditions"), "chart cannot be rendered")
    story.push({"plain/token.yaml": (DATA / "token.yaml").read_text().replace("data:6l", "data:61")})
    story.seatrial("app", "get", "plain", "--hard-refresh", code=None)
    story.seatrial("app", "manifests", "plain", code=None)


def go_back(story: Story) -> None:
    story.seatrial("app", "terminate-op", "plain", code=None)
    story.seatrial("app", "wait", "plain", "--operation", "--timeout", "60")
    story.seatrial("app", "rollback", "plain", "0", "--timeout", "60", code=None)
    story.git("rm", "-q", "plain/broken.yaml", "plain/wrong.yaml", "chart/templates/fails.yaml")
    story.push({"plain/token.yaml": (DATA / "token.yaml").read_text()})
    for name in ("plain", "chart"):
        story.seatrial("app", "get", name, "--hard-refresh")
        story.seatrial("app", "sync", name, "--timeout", "60", code=None)  # one may be on its way by itself
    story.seatrial("app", "wait", "plain", "chart", "--sync", "--operation", "--timeout", "60")
    story.until(lambda: story.has("token", SOPS), "the token is right")


def everything(story: Story) -> dict[str, str]:
    """Every object of the API but the Secrets that are meant to hold it."""
    kinds = story.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    found = json.loads(story.kubectl("get", ",".join(kinds), "-A", "-o", "json"))["items"]
    del story.said[next(reversed(story.said))]
    shown = {}
    for obj in found:
        metadata = obj["metadata"]
        if obj["kind"] == "Secret" and (metadata["namespace"], metadata["name"]) in ITS_OWN:
            continue
        text = json.dumps(obj)
        if obj["kind"] == "Secret":
            data = (obj.get("data") or {}).values()
            text += " ".join(base64.b64decode(value).decode("utf-8", "replace") for value in data)
        shown[f"{obj['kind']} {metadata.get('namespace', '')}/{metadata['name']} {metadata['uid']}"] = text
    assert any(key.startswith("Application ") for key in shown) and any(key.startswith("Event ") for key in shown)
    return shown


def places(story: Story, watcher: Watcher, objects: dict[str, str], text: str) -> list[str]:
    found = [f"printed by {key}" for key, said in story.said.items() if text in said]
    found += [f"object {key}" for key, said in objects.items() if text in said]
    found += [f"arguments {arguments!r}" for arguments in watcher.seen if text.encode() in arguments]
    for path in [*story.directory.rglob("*"), *(story.work / ".git").rglob("*")]:
        if path.is_file() and not path.name.startswith("cluster.db") and text.encode() in path.read_bytes():
            found.append(f"file {path}")
    return found


@pytest.mark.parametrize("value", [SOPS, SEALED], ids=["sops", "sealed"])
def test_plaintext_is_nowhere_but_in_its_secret(told: Callable[[str], list[str]], value: str) -> None:
    assert told(value) == []


@pytest.mark.parametrize("value", [SOPS, SEALED], ids=["sops", "sealed"])
def test_nor_is_its_base64(told: Callable[[str], list[str]], value: str) -> None:
    assert told(base64.b64encode(value.encode()).decode().rstrip("=")[:-1]) == []


def test_nor_what_somebody_wrote_into_a_secret(told: Callable[[str], list[str]]) -> None:
    """But for the command that wrote it."""
    assert all("patch secret" in place or "patch" in place for place in told(DRIFT))


def test_the_search_finds_what_is_there(told: Callable[[str], list[str]]) -> None:
    assert any(
        place.startswith("object Application argocd/plain") for place in told("values-secret.yaml") + told("plain")
    )
    assert any(place.startswith("printed by") for place in told("password"))
