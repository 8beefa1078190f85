"""kubectl get -w, kubectl wait and kubectl events: what happens is seen when it happens."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANIFESTS = Path(__file__).parent / "manifests"
WEB = str(MANIFESTS / "web.yaml")
SLOW = """
apiVersion: v1
kind: Pod
metadata: {name: slow, annotations: {seatrial.dev/simulated-start-seconds: "1"}}
spec: {containers: [{name: c, image: x}]}
"""


@pytest.fixture
def later(kubectl: Any) -> Iterator[Callable[..., None]]:
    """`later(*arguments)`: run a kubectl command a little later, beside what the test waits for."""
    threads: list[threading.Thread] = []

    def start(*arguments: str) -> None:
        def run() -> None:
            time.sleep(0.3)
            kubectl(*arguments)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


# get -w


def test_watch_shows_what_is_there_and_what_comes(kubectl: Any) -> None:
    kubectl("create", "configmap", "a")
    with kubectl.running("get", "configmaps", "--watch", "--no-headers") as watch:
        watch.until(lambda lines: len(lines) == 2)
        kubectl("create", "configmap", "b")
        kubectl("patch", "configmap", "b", "-p", '{"data": {"depth": "3"}}')
        lines = watch.until(lambda lines: len(lines) == 4)
    assert [line.split()[:2] for line in lines] == [
        ["a", "0"],
        ["kube-root-ca.crt", "1"],
        ["b", "0"],
        ["b", "1"],
    ]


def test_watch_only_leaves_out_what_was_there(kubectl: Any) -> None:
    kubectl("create", "configmap", "a")
    with kubectl.running("get", "configmaps", "--watch-only", "--output-watch-events", "-v=7") as watch:
        watch.until(lambda lines: any("watch=true" in line for line in lines))
        watch.until(lambda lines: any("200 OK" in line for line in lines[-6:]))
        kubectl("create", "configmap", "b")
        kubectl("label", "configmap", "a", "sea=north")
        kubectl("delete", "configmap", "b")
        watch.until(lambda lines: "DELETED" in lines[-1])
        events = [line.split()[:2] for line in watch.lines if line[:5] in ("ADDED", "MODIF", "DELET")]
    assert events == [["ADDED", "b"], ["MODIFIED", "a"], ["DELETED", "b"]]


def test_watch_of_a_selector_sees_objects_enter_and_leave(kubectl: Any) -> None:
    kubectl("create", "configmap", "a")
    kubectl("create", "configmap", "b")
    kubectl("label", "configmap", "b", "sea=north")
    with kubectl.running("get", "cm", "-l", "sea=north", "-w", "--output-watch-events", "--no-headers") as watch:
        watch.until(lambda lines: len(lines) == 1)
        kubectl("label", "configmap", "a", "sea=north")
        kubectl("label", "configmap", "a", "sea=south", "--overwrite")
        lines = watch.until(lambda lines: len(lines) == 3)
    assert [line.split()[:2] for line in lines] == [["ADDED", "b"], ["ADDED", "a"], ["DELETED", "a"]]


def test_watch_of_one_object_as_json_and_by_jsonpath(kubectl: Any) -> None:
    kubectl("create", "configmap", "a")
    template = "{.metadata.name}:{.data.depth}\n"
    with kubectl.running("get", "configmap", "a", "-w", "-o", f"jsonpath={template}") as watch:
        watch.until(lambda lines: lines == ["a:"])
        kubectl("create", "configmap", "b")
        kubectl("patch", "configmap", "a", "-p", '{"data": {"depth": "3"}}')
        watch.until(lambda lines: lines == ["a:", "a:3"])
    with kubectl.running("get", "configmap", "a", "-w", "-o", "json", "--output-watch-events") as watch:
        [line] = watch.until(len)
        event = json.loads(line)
    assert (event["type"], event["object"]["data"]) == ("ADDED", {"depth": "3"})


def test_watch_follows_a_pod_through_its_life(kubectl: Any) -> None:
    with kubectl.running("get", "pods", "-w", "--no-headers", "--output-watch-events") as watch:
        kubectl("create", "-f", "-", stdin=SLOW)
        watch.until(lambda lines: any("Running" in line for line in lines))
        kubectl("delete", "pod", "slow")
        lines = watch.until(lambda lines: lines and lines[-1].startswith("DELETED"))
    seen = [(line.split()[0], line.split()[2], line.split()[3]) for line in lines]
    assert seen[0] == ("ADDED", "0/1", "Pending")
    assert ("MODIFIED", "1/1", "Running") in seen
    assert seen[-1][0] == "DELETED"
    assert seen.index(("MODIFIED", "1/1", "Running")) < len(seen) - 1


def test_watch_ends_at_its_time_limit(kubectl: Any) -> None:
    kubectl("create", "configmap", "a")
    done = kubectl.result("get", "configmap", "a", "-w", "--request-timeout=1s")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["NAME", "a"]


# wait


def test_wait_for_a_condition(kubectl: Any) -> None:
    kubectl("create", "-f", WEB)
    assert kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=20s") == (
        "deployment.apps/web condition met\n"
    )
    met = kubectl("wait", "pods", "-l", "app=web", "--for=condition=Ready", "--timeout=20s").splitlines()
    assert len(met) == 2
    assert all(line.startswith("pod/web-") and line.endswith(" condition met") for line in met)


def test_wait_for_a_condition_that_comes_while_waiting(kubectl: Any) -> None:
    kubectl("create", "-f", "-", stdin=SLOW)
    assert kubectl("get", "pod", "slow", "-o", "jsonpath={.status.phase}") == "Pending"
    assert kubectl("wait", "pod/slow", "--for=condition=Ready", "--timeout=20s") == "pod/slow condition met\n"


def test_wait_for_a_condition_to_be_false(kubectl: Any) -> None:
    unready = SLOW.replace("start-seconds", "ready").replace('"1"', '"false"')
    kubectl("create", "-f", "-", stdin=unready)
    kubectl("wait", "pod/slow", "--for=condition=Ready=False", "--timeout=20s")
    [row] = kubectl.rows("pod", "slow")
    assert (row["READY"], row["STATUS"]) == ("0/1", "Running")


def test_wait_for_a_value(kubectl: Any, later: Callable[..., None]) -> None:
    kubectl("create", "configmap", "a")
    later("patch", "configmap", "a", "-p", '{"data": {"depth": "3"}}')
    assert kubectl("wait", "cm/a", "--for=jsonpath={.data.depth}=3", "--timeout=20s") == "configmap/a condition met\n"
    assert kubectl("wait", "cm/a", "--for=jsonpath={.data.depth}", "--timeout=20s") == "configmap/a condition met\n"


def test_wait_for_creation(kubectl: Any, later: Callable[..., None]) -> None:
    later("create", "configmap", "late")
    assert kubectl("wait", "configmap/late", "--for=create", "--timeout=20s") == "configmap/late condition met\n"


def test_wait_for_deletion(kubectl: Any, later: Callable[..., None]) -> None:
    kubectl("create", "configmap", "a")
    later("delete", "configmap", "a")
    assert kubectl("wait", "configmap/a", "--for=delete", "--timeout=20s") == "configmap/a condition met\n"
    assert kubectl("wait", "configmap/a", "--for=delete", "--timeout=20s") == ""


def test_wait_gives_up(kubectl: Any) -> None:
    kubectl("create", "-f", WEB)
    late = kubectl.fails("wait", "deployment/web", "--for=condition=Seaworthy", "--timeout=300ms")
    assert late.splitlines()[-1] == "error: timed out waiting for the condition on deployments/web"
    gone = kubectl.fails("wait", "pod/nosuch", "--for=condition=Ready", "--timeout=1s")
    assert gone == 'Error from server (NotFound): pods "nosuch" not found\n'


# events


def test_events_tell_the_story_of_a_deployment(kubectl: Any, eventually: Callable[..., Any]) -> None:
    kubectl("create", "-f", WEB)
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    eventually(lambda: kubectl("events").count("Started container server") == 2, "both pods started")
    rows = {(line.split()[1], line.split()[2], line.split()[3].split("/")[0]) for line in told(kubectl)}
    assert rows == {
        ("Normal", "ScalingReplicaSet", "Deployment"),
        ("Normal", "SuccessfulCreate", "ReplicaSet"),
        ("Normal", "Scheduled", "Pod"),
        ("Normal", "Started", "Pod"),
    }
    assert "Scaled up replica set web-" in kubectl("events", "--for=deployment/web")
    assert "Pod/" not in kubectl("events", "--for=deployment/web")


def told(kubectl: Any) -> list[str]:
    lines: list[str] = kubectl("events", "--no-headers").splitlines()
    return lines


def test_events_of_a_pod_that_fits_nowhere(kubectl: Any, eventually: Callable[..., Any]) -> None:
    kubectl(
        *("run", "huge", "--image=x", "--overrides"),
        '{"spec":{"containers":[{"name":"huge","image":"x","resources":{"requests":{"cpu":"9000"}}}]}}',
    )
    eventually(lambda: "FailedScheduling" in kubectl("events", "--types=Warning"), "a warning")
    text = kubectl("events", "--for=pod/huge", "--types=Warning")
    assert "Pod/huge" in text
    assert "0/1 nodes are available: 1 Insufficient cpu" in text
    by_field = kubectl("get", "events", "--field-selector=involvedObject.name=huge,type=Warning", "-o", "wide")
    assert by_field.splitlines()[0].split() == [
        *("LAST", "SEEN", "TYPE", "REASON", "OBJECT", "SUBOBJECT", "SOURCE", "MESSAGE"),
        *("FIRST", "SEEN", "COUNT", "NAME"),
    ]
    assert "default-scheduler" in by_field


def test_events_as_they_come(kubectl: Any) -> None:
    with kubectl.running("events", "--watch") as watch:
        kubectl("run", "boat", "--image=boat:1")
        watch.until(lambda lines: any("Started" in line and "Pod/boat" in line for line in lines))


def test_events_are_the_same_in_both_groups(kubectl: Any, eventually: Callable[..., Any]) -> None:
    kubectl("run", "boat", "--image=boat:1")
    eventually(lambda: kubectl("get", "events", "-o", "name"), "an event")
    old = {item["metadata"]["uid"]: item for item in kubectl.json("get", "events")["items"]}
    for event in kubectl.json("get", "events.events.k8s.io")["items"]:
        twin = old[event["metadata"]["uid"]]
        assert (event["note"], event["regarding"]) == (twin["message"], twin["involvedObject"])
