"""Web, broker, consumer, database and an API with a bug in it, each a process or server of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from backing import ROOT, eventually, free_port
from sample_api.server import CREDENTIALS, DESCRIPTIONS, SampleApi

BUG = "500 at the greatest quantity"


@pytest.fixture
def consumer(server):
    environment = server.environment | {
        "PORT": str(free_port()), "PYTHONPATH": f"{ROOT}:{ROOT / 'consumer'}", "KAFKA_SESSION_TIMEOUT_SECONDS": "3",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "testops_consumer"], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_from_a_description_to_the_bug_in_the_api(server, consumer):
    with server.signed_in() as client, SampleApi({BUG}) as api:

        def post(path: str, given: dict | None = None, **options) -> dict:
            answer = client.post(f"/api/v1/{path}", json=given, **options)
            assert answer.is_success, answer.text
            return answer.json()

        def listed(path: str, **query) -> list[dict]:
            return client.get(f"/api/v1/{path}", params={"limit": 500, **query}).json()["results"]

        project = post("projects", {"name": "Depot", "base_url": api.url, "credentials": CREDENTIALS})
        description = DESCRIPTIONS["openapi31.yaml"]
        given = {"data": {"project": project["id"]}, "files": {"file": (description.name, description.read_bytes())}}
        specification = post("specifications", **given)
        made = post(f"specifications/{specification['id']}/generate", {"generator": "offline", "seed": 1})
        run = post("runs", {"specification": specification["id"]})
        assert run["total"] == made["created"]

        def ended() -> dict | None:
            seen = client.get(f"/api/v1/runs/{run['id']}").json()
            return seen if seen["status"] == "finished" and seen["analysed"] else None

        counts = eventually("the run is finished and analysed", ended, within=60)["counts"]
        assert counts["done"] == run["total"]
        assert (counts["error"], counts["waiting"]) == (0, 0)
        failed = listed("results", run=run["id"], outcome="failed")
        assert len(failed) == counts["failed"] > 0
        assert {result["status_code"] for result in failed} == {500}
        groups = listed("groups", run=run["id"])
        assert sum(group["size"] for group in groups) == len(failed)
        everything = [client.get(f"/api/v1/results/{result['id']}").text for result in listed("results")]
        assert not [text for text in everything if any(secret in text for secret in CREDENTIALS.values())]
        assert any("***" in text for text in everything)
