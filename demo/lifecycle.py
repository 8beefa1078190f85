"""The life of a release, as section 1 of the design lists it: each step does what a person would, and measures."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import yaml
from demo.machine import Failed
from demo.repository import Repository
from demo.traffic import traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demo.board import Board
    from demo.machine import Machine
    from demo.traffic import Seen

from contextlib import contextmanager

APP, NAMESPACE, HOST = "ai-testops", "ai-testops", "ai-testops.example.com"
WEB, CONSUMER = "ai-testops-web", "ai-testops-consumer"
SECRET = "ai-testops-secrets"
VALUES = "helm/ai-testops/values-embedded.yaml"
SEALED = "helm/ai-testops/values-sealed.yaml"
PATH = "/ready"
RATE = 20.0
WORKLOADS = ("deployment", "statefulset")
CI_SECONDS, ROLLOUT_SECONDS = 420.0, 180.0


class Lifecycle:
    def __init__(self, machine: Machine, board: Board, directory: Path) -> None:
        self.machine = machine
        self.board = board
        self.repository = Repository(machine, directory / "ai-testops")
        self.bad = ""
        """The commit of the bad release."""
        self.plaintext = {
            "SECRET_KEY": secrets.token_urlsafe(40),
            "CREDENTIALS_KEY": secrets.token_urlsafe(40),
            "POSTGRES_PASSWORD": secrets.token_urlsafe(18),
            "ADMIN_PASSWORD": secrets.token_urlsafe(18),
        }

    def run(self) -> None:
        self.base_images()
        self.first_push()
        self.day_one()
        self.code_change()
        self.config_change()
        self.drift()
        self.scale()
        self.secret_change()
        self.docs_change()
        self.bad_release()
        self.rollback()

    # before

    def base_images(self) -> None:
        with self.board.step("Base images from the Debian archive (cached by content)"):
            self.machine.run("seatrial", "image", "bootstrap", seconds=600)

    def first_push(self) -> None:
        """The first commit carries sealed secrets only; CI builds what the values then name."""
        with self.board.step("git push origin main: CI lints, tests, builds, scans, pushes and writes the tag"):
            self.repository.create()
            self._localise()
            self._seal()
            pushed = time.monotonic()
            commit = self.repository.commit("AI TestOps moves in")
            began = self.machine.until(lambda: self._runs(commit), "the push became a run", 30)
            run = self._ci(commit)
            self.board.promise("1", "a push reaches the pipeline", f"{began:.1f} s", kept=began <= 5)
            self._judge_ci(commit, run, time.monotonic() - pushed)

    def _localise(self) -> None:
        """What everybody changes in a fork: where it is, and the profile of their cluster."""
        self.repository.replace("argocd/application.yaml", r"repoURL: .*", f"repoURL: {self.repository.url}")
        self.repository.replace(
            "argocd/application.yaml",
            r"^( *)- values-sealed\.yaml",
            r"\1- values-embedded.yaml\n\1- values-sealed.yaml",
        )

    def _seal(self) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": NAMESPACE},
            "stringData": self.plaintext,
        }
        sealed = yaml.safe_load(self.machine.run("seatrial", "secret", "seal", given=json.dumps(secret)))
        document = {"sealedSecret": {"encryptedData": sealed["spec"]["encryptedData"]}}
        (self.repository.directory / SEALED).write_text(yaml.safe_dump(document))

    # CI

    def _runs(self, commit: str) -> list[dict[str, Any]]:
        fields = "databaseId,status,conclusion,event,headSha,displayTitle"
        found: list[dict[str, Any]] = json.loads(
            self.machine.run("seatrial", "run", "list", "--commit", commit, "--json", fields)
        )
        return found

    def _ci(self, commit: str) -> dict[str, Any]:
        def ended() -> bool:
            runs = self._runs(commit)
            return bool(runs) and runs[0]["status"] == "completed"

        self.machine.until(ended, "CI is through", CI_SECONDS, pause=3.0)
        run = self._runs(commit)[0]
        if run["conclusion"] != "success":
            log = self.machine.result("seatrial", "run", "view", str(run["databaseId"]), "--log-failed").stdout
            raise Failed(f"CI ended with {run['conclusion']}:\n{log[-4000:]}")
        return run

    def _judge_ci(self, commit: str, run: dict[str, Any], seconds: float) -> None:
        view = json.loads(self.machine.run("seatrial", "run", "view", str(run["databaseId"]), "--json", "jobs"))
        steps = [step["name"] for job in view["jobs"] for step in job["steps"] if step["conclusion"] == "success"]
        jobs = ", ".join(job["name"] for job in view["jobs"])
        self.board.promise("2", "CI runs the workflow as it is", f"{jobs}: {seconds:.0f} s", kept=len(steps) > 5)
        self._judge_images(commit)
        self.repository.pull()
        values = (self.repository.directory / "helm/ai-testops/values.yaml").read_text()
        subject = self.repository.git("log", "-1", "--format=%s").strip()
        bumped = commit in values and "[skip ci]" in subject
        again = self._runs(self.repository.head())
        self.board.promise("6", "the tag is in values.yaml, and starts no run", subject, kept=bumped and not again)

    def _judge_images(self, commit: str) -> None:
        registry = self.machine.environment["SEATRIAL_REGISTRY"]
        found = []
        for name in ("django", "consumer"):
            for tag in (commit, "latest"):
                image = f"docker://{registry}/huynhduc0/ai-testops-{name}:{tag}"
                found.append(json.loads(self.machine.run("skopeo", "inspect", "--tls-verify=false", image))["Digest"])
        same = found[0] == found[1] and found[2] == found[3]
        self.board.promise(
            "3", "two OCI images, tagged by commit and latest", f"{found[0][7:19]}, {found[2][7:19]}", kept=same
        )
        self.board.promise("5", "any OCI client can pull them", "skopeo inspect", kept=True)
        self._judge_scan(f"huynhduc0/ai-testops-django:{commit}")

    def _judge_scan(self, image: str) -> None:
        """A scan without data finds nothing: it counts only with a source and its date."""
        said = self.machine.result("seatrial", "image", "scan", image, "--format", "json").stdout
        report = json.loads(said or "{}")
        found = [each for result in report.get("Results", []) for each in result.get("Vulnerabilities") or []]
        data = report.get("Metadata", {})
        sources = ", ".join(f"{source['Name']} of {source['Date'][:10]}" for source in data.get("DataSources", []))
        self.board.promise(
            "4", "images are scanned (Trivy's report format)",
            f"{len(found)} findings by {data.get('Scanner')}: {sources or 'nothing to compare with'}; "
            f"not checked: {len(data.get('Unchecked', []))}",
            kept=report.get("SchemaVersion") == 2 and bool(sources),
        )  # fmt: skip

    # Day 1

    def day_one(self) -> None:
        with self.board.step("Day 1: kubectl apply -f argocd/application.yaml"):
            begun = time.monotonic()
            self.machine.kubectl("apply", "-f", str(self.repository.directory / "argocd/application.yaml"))
            self._wait_synced(ROLLOUT_SECONDS * 2)
            self.machine.until(self._answers, f"http://{HOST}{PATH} answers", 60)
            took = time.monotonic() - begun
        self.board.promise("20", "kubectl apply creates everything", f"{took:.1f} s to 200 OK", kept=True)
        report = self._app()["status"]
        self.board.promise(
            "12", "Health: Healthy, Sync: Synced",
            f"{report['health']['status']}, {report['sync']['status']}",
            kept=(report["health"]["status"], report["sync"]["status"]) == ("Healthy", "Synced"),
        )  # fmt: skip
        self._judge_secrets()
        self._judge_commands()

    def _judge_secrets(self) -> None:
        """Encrypted in Git, an environment variable and a file in the pod."""
        history = self.repository.git("log", "-p", "--all")
        status = json.dumps(self._app())
        leaked = [name for name, value in self.plaintext.items() if value in history or value in status]
        pod = self._pods(WEB)[0]["metadata"]["name"]
        seen = self.machine.kubectl("exec", "-n", NAMESPACE, pod, "--", "printenv", "SECRET_KEY").strip()
        self.board.promise(
            "15", "secrets: sealed in Git, plain in pods only",
            "no plaintext in Git or status" if not leaked else f"leaked: {', '.join(leaked)}",
            kept=not leaked and seen == self.plaintext["SECRET_KEY"],
        )  # fmt: skip

    def _judge_commands(self) -> None:
        commands: tuple[tuple[str, ...], ...] = (
            ("seatrial", "app", "get", APP),
            ("seatrial", "app", "diff", APP),
            ("seatrial", "app", "history", APP),
            ("seatrial", "app", "sync", APP),
            ("seatrial", "app", "wait", APP, "--timeout", "60"),
            ("seatrial", "run", "list"),
            ("kubectl", "get", "all", "-n", NAMESPACE),
            ("kubectl", "get", "hpa", "-n", NAMESPACE),
        )
        for command in commands:
            self.machine.run(*command)
        self.board.promise("21", "the operator's commands work", f"{len(commands)} commands", kept=True)

    # changes

    def code_change(self) -> None:
        with self.board.step("A code change, while users are there"), self._under_load() as seen:
            self.repository.replace("web/config/settings.py", r'"VERSION": "1\.0\.0"', '"VERSION": "1.1.0"')
            pushed = time.monotonic()
            commit = self.repository.commit("Version 1.1.0")
            self._ci(commit)
            built = time.monotonic()
            self._until_image(WEB, commit)
            self._wait_synced()
            live = time.monotonic()
            self.repository.pull()
        self.board.promise(
            "7", "the new tag is noticed at once", f"{live - built:.1f} s from CI's end to all new pods", kept=True
        )
        self.board.promise("9", "push to new pods serving", f"{live - pushed:.0f} s, CI included", kept=True)
        self.board.promise("10", "a rolling update under load loses nothing", str(seen), kept=seen.failed == 0)

    def config_change(self) -> None:
        with self.board.step("A config change: no CI, pods restart, nobody notices"), self._under_load() as seen:
            before = self._names(WEB)
            self.repository.edit(VALUES, lambda text: _set(text, "config", "LOG_LEVEL", "DEBUG"))
            commit = self.repository.commit("More to read in the logs")
            took = self.machine.until(
                lambda: self._rolled(WEB, before) and self._env(WEB, "LOG_LEVEL") == "DEBUG",
                "new pods have it",
                ROLLOUT_SECONDS,
            )
            self._wait_synced()
        ran = self._runs(commit)
        self.board.promise(
            "19", "config goes to the cluster without CI", f"{took:.1f} s, {len(ran)} runs", kept=not ran
        )
        self.board.promise("11", "old pods serve until new ones are ready", str(seen), kept=seen.failed == 0)

    def drift(self) -> None:
        with self.board.step("Drift: kubectl scale, kubectl edit, kubectl delete"):
            worst = 0.0
            self.machine.kubectl("scale", "-n", NAMESPACE, f"deployment/{CONSUMER}", "--replicas=5")
            worst = max(worst, self.machine.until(lambda: self._replicas(CONSUMER) != 5, "the scale is reverted", 30))
            edit = ("label", f"deployment/{CONSUMER}", "app.kubernetes.io/part-of=mine", "--overwrite")
            self.machine.kubectl("-n", NAMESPACE, *edit)
            worst = max(worst, self.machine.until(lambda: self._label(CONSUMER) != "mine", "the edit is reverted", 30))
            uid = self.machine.get("-n", NAMESPACE, "service", WEB)["metadata"]["uid"]
            self.machine.kubectl("delete", "-n", NAMESPACE, "service", WEB)
            worst = max(worst, self.machine.until(lambda: self._uid("service", WEB) not in ("", uid), "it is back", 30))
        self.board.promise("13", "drift is reverted within 5 s", f"{worst:.1f} s at most", kept=worst <= 5)
        report = self._app()["status"]["resources"]
        self.board.promise("8", "each resource is compared with Git", f"{len(report)} resources", kept=len(report) > 10)
        self._wait_synced()

    def scale(self) -> None:
        with self.board.step("Load: the autoscaler adds pods, GitOps lets it, and they go again"):
            before = self._replicas(WEB)
            with traffic(self._url(), HOST, "/accounts/login/", rate=150) as seen:
                up = self.machine.until(lambda: self._replicas(WEB) > before, "more pods", 120)
            status = self._app()["status"]["sync"]["status"]
            down = self.machine.until(lambda: self._replicas(WEB) == before, "fewer pods again", 240)
        self.board.promise(
            "16", "HPA scales at CPU > 70 %, sync leaves it alone",
            f"up after {up:.0f} s, down after {down:.0f} s, {status}, {seen.figures['asked']} requests",
            kept=status == "Synced",
        )  # fmt: skip

    def secret_change(self) -> None:
        with self.board.step("A secret changed, in Git, sealed"), self._under_load() as seen:
            before = self._names(WEB)
            self.plaintext["ADMIN_PASSWORD"] = secrets.token_urlsafe(18)
            self._seal()
            self.repository.commit("A new password for the administrator")
            took = self.machine.until(
                lambda: self._rolled(WEB, before)
                and self._env(WEB, "ADMIN_PASSWORD") == self.plaintext["ADMIN_PASSWORD"],
                "pods have the new secret", ROLLOUT_SECONDS,
            )  # fmt: skip
            self._wait_synced()
        self.board.promise("15", "a changed secret reaches the pods", f"{took:.1f} s; {seen}", kept=seen.failed == 0)

    def docs_change(self) -> None:
        with self.board.step("A commit of documentation"):
            before = self._names(WEB)
            (self.repository.directory / "docs").mkdir(exist_ok=True)
            (self.repository.directory / "docs/notes.md").write_text("Nothing that runs.\n")
            commit = self.repository.commit("Notes")
            self.machine.until(lambda: self._told(commit), "the decision is recorded", 20)
        runs = self._runs(commit)
        self.board.promise(
            "19",
            "documentation starts nothing",
            f"{len(runs)} runs, same pods",
            kept=not runs and self._names(WEB) == before,
        )

    def bad_release(self) -> None:
        with self.board.step("A bad release: it never becomes ready; git revert"), self._under_load() as seen:
            self.repository.edit(VALUES, lambda text: _set(text, "config", "KAFKA_BOOTSTRAP_SERVERS", "nowhere:9092"))
            self.bad = self.repository.commit("A broker that does not exist")
            noticed = self.machine.until(lambda: self._health() == "Degraded", "the release is found bad", 120)
            self.repository.git("revert", "--no-edit", "HEAD")
            reverted = time.monotonic()
            self.repository.git("push", "--quiet", "origin", "main")
            self.machine.until(lambda: self._is_at(self.repository.head()), "the revert is synced", 60)
            self._wait_synced()
            took = time.monotonic() - reverted
        self.board.promise(
            "14", "a bad release is noticed and reverted within a minute",
            f"noticed after {noticed:.0f} s, Healthy {took:.0f} s after the revert; {seen}",
            kept=noticed <= 60 and took <= 60 and seen.failed == 0,
        )  # fmt: skip

    def rollback(self) -> None:
        with self.board.step("app rollback, with auto-sync on"):
            newest, *older = reversed(self._app()["status"]["history"])
            before = next(entry for entry in older if entry["revision"] not in (newest["revision"], self.bad))
            begun = time.monotonic()
            self.machine.run("seatrial", "app", "rollback", APP, str(before["id"]))
            self._wait_health()
            took = time.monotonic() - begun
        self.board.promise("14", "app rollback ID", f"{took:.1f} s", kept=took <= 60)

    # looking

    @contextmanager
    def _under_load(self) -> Iterator[Seen]:
        with traffic(self._url(), HOST, PATH, rate=RATE) as seen:
            yield seen

    def _url(self) -> str:
        return str(self.machine.state()["urls"]["http"])

    def _answers(self) -> bool:
        asked = urllib.request.Request(f"{self._url()}{PATH}", headers={"Host": HOST})
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _app(self) -> Any:
        return self.machine.get("-n", "argocd", "application", APP)

    def _health(self) -> str:
        return str(self._app()["status"]["health"]["status"])

    def _is_at(self, commit: str) -> bool:
        return bool(self._app()["status"]["sync"].get("revision") == commit)

    def _wait_synced(self, seconds: float = ROLLOUT_SECONDS) -> None:
        self.machine.run(
            "seatrial", "app", "wait", APP, "--sync", "--health", "--operation", "--timeout", str(int(seconds)),
            seconds=seconds + 10,
        )  # fmt: skip

    def _wait_health(self) -> None:
        self.machine.run("seatrial", "app", "wait", APP, "--health", "--operation", "--timeout", "120", seconds=130)

    def _pods(self, workload: str) -> list[Any]:
        selector = self.machine.get("-n", NAMESPACE, "deployment", workload)["spec"]["selector"]["matchLabels"]
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        found = self.machine.get("-n", NAMESPACE, "pods", "-l", labels)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def _names(self, workload: str) -> set[str]:
        return {pod["metadata"]["name"] for pod in self._pods(workload)}

    def _rolled(self, workload: str, before: set[str]) -> bool:
        """All its pods are new ones and ready."""
        pods = self._pods(workload)
        ready = all(
            any(found["type"] == "Ready" and found["status"] == "True" for found in pod["status"].get("conditions", []))
            for pod in pods
        )
        return bool(pods) and ready and not before & {pod["metadata"]["name"] for pod in pods}

    def _env(self, workload: str, name: str) -> str:
        pod = next(iter(self._names(workload)))
        return self.machine.result("kubectl", "exec", "-n", NAMESPACE, pod, "--", "printenv", name).stdout.strip()

    def _until_image(self, workload: str, tag: str) -> None:
        def is_new() -> bool:
            pods = self._pods(workload)
            return bool(pods) and all(pod["spec"]["containers"][0]["image"].endswith(tag) for pod in pods)

        self.machine.until(is_new, f"every pod of {workload} runs {tag[:12]}", ROLLOUT_SECONDS)

    def _replicas(self, workload: str) -> int:
        return int(self.machine.get("-n", NAMESPACE, "deployment", workload)["spec"]["replicas"])

    def _label(self, workload: str) -> str:
        labels = self.machine.get("-n", NAMESPACE, "deployment", workload)["metadata"].get("labels", {})
        return str(labels.get("app.kubernetes.io/part-of", ""))

    def _uid(self, kind: str, name: str) -> str:
        done = self.machine.result("kubectl", "get", "-n", NAMESPACE, kind, name, "-o", "jsonpath={.metadata.uid}")
        return done.stdout

    def _told(self, commit: str) -> bool:
        events = self.machine.get("-n", "argocd", "events")["items"]
        return any(commit[:7] in event.get("message", "") for event in events)


def _set(text: str, section: str, key: str, value: str) -> str:
    """One value of a YAML file, its comments kept: the line is replaced, or added to its section."""
    lines = text.splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith(f"{section}:")), None)
    if at is None:
        return f"{text.rstrip()}\n{section}:\n  {key}: {json.dumps(value)}\n"
    for number in range(at + 1, len(lines)):
        if lines[number].strip().startswith(f"{key}:"):
            lines[number] = f"  {key}: {json.dumps(value)}"
            return "\n".join(lines) + "\n"
        if lines[number] and not lines[number].startswith((" ", "#")):
            break
    lines.insert(at + 1, f"  {key}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"
