"""logs, exec, cp, attach, port-forward and top, by the real kubectl."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pods.conftest import Kubectl

TICKS = "i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.2; done"


def test_logs_follow_until_the_container_ends(kubectl: Kubectl) -> None:
    kubectl.pod("count", "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done", restartPolicy="Never")
    kubectl.until(lambda: "running" in kubectl.container("count")["state"], "it runs")
    assert kubectl("logs", "-f", "count").splitlines() == [f"line {i}" for i in range(1, 6)]


def test_logs_by_count_age_size_and_stream(kubectl: Kubectl) -> None:
    kubectl.pod("talk", "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.05; done", restartPolicy="Never")
    kubectl.ends("talk")
    assert kubectl("logs", "talk", "--tail=2").splitlines() == ["out 3", "err 3"]
    assert kubectl("logs", "talk", "--tail=0") == ""
    assert kubectl("logs", "talk", "--limit-bytes=5") == "out 1"
    assert kubectl("logs", "talk", "--since-time=2100-01-01T00:00:00Z") == ""
    stamped = kubectl("logs", "talk", "--timestamps", "--tail=1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z err 3\n", stamped)


def test_the_log_of_the_run_before(kubectl: Kubectl) -> None:
    run = "if test -e /d/been; then echo second; sleep 1000; else touch /d/been; echo first; exit 1; fi"
    mount = {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}
    kubectl.pod("twice", run, main=mount, volumes=[{"name": "d", "emptyDir": {}}])
    kubectl.until(lambda: kubectl.container("twice")["restartCount"] == 1, "a restart")
    kubectl.until(lambda: kubectl("logs", "twice") == "second\n", "its log")
    assert kubectl("logs", "twice", "--previous") == "first\n"
    kubectl.pod("once")
    kubectl.ready("once")
    refused = kubectl.result("logs", "once", "--previous")
    assert refused.returncode == 1 and b"previous terminated container" in refused.stderr


def test_exec_carries_output_input_and_exit_code(kubectl: Kubectl) -> None:
    kubectl.pod("web")
    kubectl.ready("web")
    done = kubectl.result("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.returncode) == (b"out\n", 3) and done.stderr.startswith(b"err\n")
    big = os.urandom(10_000_000)
    assert kubectl.result("exec", "-i", "web", "--", "cat", stdin=big).stdout == big
    missing = kubectl.result("exec", "web", "--", "nosuch")
    assert missing.returncode != 0 and b"nosuch" in missing.stderr


def test_exec_has_the_rights_of_the_container(kubectl: Kubectl) -> None:
    secured = {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}
    kubectl.pod("web", main={"securityContext": secured}, securityContext={"supplementalGroups": [2000]})
    kubectl.ready("web")
    said = kubectl(
        "exec", "web", "--", "sh", "-c", "id -u; id -g; id -G; grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    )
    lines = said.splitlines()
    assert lines[:2] == ["1000", "1001"] and set(lines[2].split()) == {"1001", "1002", "2000"}
    assert lines[3:] == ["CapEff:\t0000000000000000", "NoNewPrivs:\t1"]


def test_exec_with_a_terminal(kubectl: Kubectl) -> None:
    kubectl.pod("web")
    kubectl.ready("web")
    ours, theirs = pty.openpty()
    script = "test -t 0 && test -t 1 && read x && echo got-$x"
    command = kubectl.command("exec", "-it", "web", "--", "sh", "-c", script)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=kubectl.environment) as process:
        os.close(theirs)
        os.write(ours, b"hello\n")
        said = b""
        deadline = time.monotonic() + 20
        while b"got-hello" not in said and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                said += os.read(ours, 1024)
        assert b"got-hello" in said
        assert process.wait(20) == 0
    os.close(ours)


def test_cp_there_and_back(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.pod("box")
    kubectl.ready("box")
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_bytes(os.urandom(300_000))
    (source / "empty").write_bytes(b"")
    kubectl("cp", str(source), "box:/tmp/copy")
    kubectl("cp", "box:/tmp/copy", str(tmp_path / "back"))
    assert (tmp_path / "back" / "inner" / "file").read_bytes() == (source / "inner" / "file").read_bytes()
    assert (tmp_path / "back" / "empty").read_bytes() == b""


def test_attach_hears_what_is_said_from_then_on(kubectl: Kubectl) -> None:
    kubectl.pod("clock", TICKS)
    kubectl.ready("clock")
    command = kubectl.command("attach", "clock")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=kubectl.environment
    ) as process:
        assert process.stdout is not None
        assert re.fullmatch(rb"tick \d+\n", process.stdout.readline())
        process.terminate()


@pytest.fixture
def forwarded(kubectl: Kubectl) -> Iterator[str]:
    """A pod that serves on its loopback alone, and a URL that leads to it."""
    serve = "mkdir /tmp/w; echo here > /tmp/w/index.html; head -c 20000000 /dev/zero > /tmp/w/big"
    probe = {"exec": {"command": ["wget", "-qO-", "http://127.0.0.1:8080/"]}}
    kubectl.pod("served", f"{serve}; exec httpd -f -p 127.0.0.1:8080 -h /tmp/w", main={"readinessProbe": probe})
    kubectl.ready("served")
    command = kubectl.command("port-forward", "pod/served", ":8080", ":8081")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kubectl.environment
    ) as process:
        assert process.stdout is not None
        found = re.search(r"127.0.0.1:(\d+)", process.stdout.readline())
        assert found
        yield f"http://127.0.0.1:{found[1]}"
        process.terminate()


def test_port_forward_reaches_the_pod_s_loopback(forwarded: str) -> None:
    def fetch(path: str) -> bytes:
        with urllib.request.urlopen(forwarded + path, timeout=20) as answer:
            return bytes(answer.read())

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(fetch, ["/"] * 40)) == {b"here\n"}
    assert len(fetch("/big")) == 20_000_000


def test_top_shows_what_pods_and_the_node_use(kubectl: Kubectl) -> None:
    kubectl.pod("busy", "while true; do :; done", main={"resources": {"limits": {"cpu": "200m"}}})
    kubectl.ready("busy")

    def usage() -> int:
        shown = kubectl.result("top", "pod", "busy", "--no-headers").stdout.decode().split()
        return int(shown[1].rstrip("m")) if len(shown) > 1 else 0

    used = kubectl.until(usage, "metrics")
    assert 100 <= used <= 300
    assert kubectl("top", "node", "--no-headers").startswith("seatrial")
