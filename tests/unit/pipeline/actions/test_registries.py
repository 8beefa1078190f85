"""docker/login-action: credentials for the steps of one job, and nobody afterwards."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.actions.registries import login_main, login_post, setup_buildx_main
from seatrial.pipeline.actions.step import StepFailed

if TYPE_CHECKING:
    from tests.unit.pipeline.actions.conftest import Job

PASSWORD = "hush-hush"


def test_a_login_is_for_this_job_and_says_nothing_secret(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    said = job.step(registry="https://ghcr.io/", username="me", password=PASSWORD)
    login_main(said.step)
    place = Path(said.exported["REGISTRY_AUTH_FILE"])
    assert place.is_relative_to(job.directory / "home") and place.stat().st_mode & 0o077 == 0
    auth = json.loads(place.read_text())["auths"]["ghcr.io"]["auth"]
    assert base64.b64decode(auth).decode() == f"me:{PASSWORD}"
    login_post(job.step(said.state).step)
    assert json.loads(place.read_text()) == {"auths": {}}
    assert PASSWORD not in capsys.readouterr().out


def test_other_logins_of_the_machine_stay(job: Job) -> None:
    file = job.directory / "auth.json"
    file.write_text(json.dumps({"auths": {"here:5000": {"auth": "x"}}}))
    job.variables["REGISTRY_AUTH_FILE"] = str(file)
    said = job.step(registry="ghcr.io", username="me", password=PASSWORD)
    login_main(said.step)
    assert set(json.loads(Path(said.exported["REGISTRY_AUTH_FILE"]).read_text())["auths"]) == {"here:5000", "ghcr.io"}


def test_docker_hub_is_the_registry_of_the_instance(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.variables["SEATRIAL_REGISTRY"] = "127.0.0.1:5000"
    said = job.step(username="me", password=PASSWORD)
    login_main(said.step)
    assert said.exported == {} and "nothing is asked of Docker Hub" in capsys.readouterr().out


def test_what_is_missing_is_named(job: Job) -> None:
    with pytest.raises(StepFailed, match="input `password`"):
        login_main(job.step(registry="ghcr.io", username="me").step)


def test_there_is_no_builder_to_set_up(job: Job) -> None:
    said = job.step()
    setup_buildx_main(said.step)
    assert said.outputs["driver"] == "buildah" and said.outputs["platforms"].startswith("linux/")
