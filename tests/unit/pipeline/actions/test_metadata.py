"""docker/metadata-action: tags of an image from what is known of its commit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline.actions.metadata import metadata_main
from seatrial.pipeline.actions.step import StepFailed

if TYPE_CHECKING:
    from tests.unit.pipeline.actions.conftest import Job

SHA = "0123456789abcdef0123456789abcdef01234567"


def tags(job: Job, rules: str = "", ref: str = "refs/heads/main", **inputs: str) -> list[str]:
    job.variables["GITHUB_REF"] = ref
    said = job.step(images="Shop/Web", tags=rules, **inputs)
    metadata_main(said.step)
    return [tag.removeprefix("shop/web:") for tag in said.outputs["tags"].splitlines()]


@pytest.mark.parametrize(
    ("rules", "ref", "wanted"),
    [
        ("", "refs/heads/main", ["main"]),
        ("", "refs/heads/feature/a b", ["feature-a-b"]),
        ("", "refs/tags/v1.2.3", ["v1.2.3", "latest"]),
        ("type=sha", "refs/heads/main", ["sha-0123456"]),
        ("type=sha,prefix=,format=long", "refs/heads/main", [SHA]),
        ("type=raw,value=nightly", "refs/heads/main", ["nightly"]),
        ("nightly", "refs/heads/main", ["nightly"]),
        ("type=raw,value=x,enable=false", "refs/heads/main", []),
        ("type=semver,pattern={{version}}", "refs/tags/v1.2.3", ["1.2.3", "latest"]),
        ("type=semver,pattern={{major}}.{{minor}}", "refs/tags/v1.2.3", ["1.2", "latest"]),
        ("type=semver,pattern={{version}}", "refs/tags/v1.2.3-rc.1", ["1.2.3-rc.1"]),
        ("type=semver,pattern={{version}}", "refs/heads/main", []),
        ("type=edge", "refs/heads/main", ["edge"]),
        ("type=sha\ntype=ref,event=branch", "refs/heads/main", ["main", "sha-0123456"]),
    ],
)
def test_rules_make_tags(job: Job, rules: str, ref: str, wanted: list[str]) -> None:
    assert tags(job, rules, ref) == wanted


def test_a_flavour_dresses_every_tag(job: Job) -> None:
    assert tags(job, "type=raw,value=a", flavor="latest=true\nsuffix=-slim") == ["a-slim", "latest"]


def test_labels_say_what_the_image_is_of(job: Job) -> None:
    said = job.step(images="shop/web", labels="team=a")
    metadata_main(said.step)
    labels = json.loads(said.outputs["json"])["labels"]
    assert labels["org.opencontainers.image.revision"] == SHA and labels["team"] == "a"
    assert said.outputs["version"] == "main"


def test_a_rule_of_another_kind_is_refused(job: Job) -> None:
    with pytest.raises(StepFailed, match="tags: 'type=moon': expected type= one of"):
        tags(job, "type=moon")
