"""The pytest plug-in, used as somebody else's project uses it: a fresh API server per test, and nothing left of it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """
[pytest]
filterwarnings = error
addopts = -p no:cacheprovider -p no:asyncio -p no:hypothesispytest -p no:timeout
"""

ONE_TEST_WITH_A_CLIENT = """
import kubernetes

def make_api(cluster):
    client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
    return client, kubernetes.client.CoreV1Api(client), kubernetes.client.AppsV1Api(client)
"""

DEPLOYMENT = """
import time

def container(image):
    return {"containers": [{"name": "main", "image": image}]}

def test_a_deployment_becomes_available(seatrial_cluster):
    client, core, apps = make_api(seatrial_cluster)
    with client:
        labels = {"app": "web"}
        template = {"metadata": {"labels": labels}, "spec": container("nginx")}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        apps.create_namespaced_deployment("default", {"metadata": {"name": "web"}, "spec": spec})
        deadline = time.monotonic() + 20
        while apps.read_namespaced_deployment("web", "default").status.available_replicas != 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert len(core.list_namespaced_pod("default", label_selector="app=web").items) == 2
"""

ISOLATION = """
import pytest

@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_its_own(seatrial_cluster, turn):
    client, core, _ = make_api(seatrial_cluster)
    with client:
        core.create_namespaced_config_map("default", {"metadata": {"name": "mine"}})
"""

TRACES = """
import gc, os, threading

def traces():
    gc.collect()
    threads = sorted(thread.name for thread in threading.enumerate())
    sockets = sum(os.path.realpath(f"/proc/self/fd/{fd}").find("socket:") >= 0 for fd in os.listdir("/proc/self/fd"))
    return threads, sockets, gc.get_threshold(), gc.get_freeze_count()

before = traces()

def test_with_a_watch_still_open(seatrial_cluster):
    import http.client, ssl
    context = ssl.create_default_context(cafile=seatrial_cluster.ca_file)
    connection = http.client.HTTPSConnection(seatrial_cluster.url.removeprefix("https://"), context=context)
    headers = {"Authorization": "Bearer " + seatrial_cluster.token}
    connection.request("GET", "/api/v1/namespaces?watch=1", headers=headers)
    global watching
    watching = connection, connection.getresponse()
    assert watching[1].readline()

def test_nothing_is_left():
    connection, answer = watching
    answer.read()  # the watch ended properly, with its last chunk
    answer.close()
    connection.close()
    assert traces() == before
"""

SECONDS = """
import time

@pytest.fixture
def began():
    return time.perf_counter()

def test_it_starts_and_stops_fast(began, seatrial_cluster):
    print(f"SECONDS {time.perf_counter() - began:.2f}")
"""

FAILING = """
def test_it_ends_after_a_failing_test_too(seatrial_cluster):
    assert seatrial_cluster.url == "elsewhere"
"""


def run(folder: Path, *parts: str) -> str:
    """A project of these parts, tested in a process of its own; what pytest said."""
    (folder / "pytest.ini").write_text(CONFIGURATION)
    (folder / "test_project.py").write_text("".join(parts))
    command = [sys.executable, "-X", "dev", "-P", "-m", "pytest", "-q", "-s", str(folder), "--rootdir", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    return f"{done.stdout}{done.stderr}\nexit code {done.returncode}"


def test_the_official_client_works_with_it(tmp_path: Path) -> None:
    said = run(tmp_path, ONE_TEST_WITH_A_CLIENT, DEPLOYMENT)
    assert "1 passed" in said and "exit code 0" in said, said
    assert "Warning" not in said, said


def test_every_test_has_a_cluster_of_its_own(tmp_path: Path) -> None:
    said = run(tmp_path, ONE_TEST_WITH_A_CLIENT, ISOLATION)
    assert "2 passed" in said and "exit code 0" in said, said


def test_it_leaves_no_thread_socket_warning_or_setting(tmp_path: Path) -> None:
    said = run(tmp_path, TRACES)
    assert "2 passed" in said and "exit code 0" in said, said
    assert "Warning" not in said and "Error" not in said, said


def test_it_ends_after_a_failing_test(tmp_path: Path) -> None:
    said = run(tmp_path, FAILING)
    assert "1 failed" in said and "exit code 1" in said, said
    assert "Warning" not in said, said


def test_it_is_there_in_a_second(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import seatrial.testing.background")  # measured without the imports
    said = run(tmp_path, "import pytest\n", SECONDS)
    seconds = [float(line.partition("SECONDS ")[2]) for line in said.splitlines() if "SECONDS " in line]
    assert seconds and seconds[0] < 3, said  # below 1 on a machine that does nothing else
