"""Image names: Docker's defaults and grammar, and names that are none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.cluster.node.images import reference
from seatrial.cluster.node.images.reference import InvalidImageName, Reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest"),
        ("huynhduc0/ai-testops-django:v1", "docker.io/huynhduc0/ai-testops-django:v1"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/team/app:v1", "localhost:5000/team/app:v1"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("registry.example.com/a/b/c/d", "registry.example.com/a/b/c/d:latest"),
        ("Registry/app", "Registry/app:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"ghcr.io/a/b:v1@{DIGEST}", f"ghcr.io/a/b:v1@{DIGEST}"),
        ("a/b__c--d.e:V_1.2-x", "docker.io/a/b__c--d.e:V_1.2-x"),
    ],
)
def test_a_name_is_completed_as_docker_does(text: str, whole: str) -> None:
    assert str(reference.parse(text)) == whole


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("Busybox", "lower case"),
        ("a//b", "no part of a repository"),
        ("a/../b", "no part of a repository"),
        ("/a", "no part of a repository"),
        ("busybox:", "no tag"),
        ("busybox:-x", "no tag"),
        ("busybox:" + "a" * 129, "no tag"),
        ("busybox@sha256:abcd", "no digest"),
        ("busybox@md5:" + "a" * 32, "no digest"),
        ("busybox@", "no digest"),
        ("-bad.example.com/a", "no registry"),
        ("host:port/a", "no registry"),
        ("a b", "no part of a repository"),
        ("a\nb", "no part of a repository"),
        ("ex.com/" + "a" * 250, "longer than 255"),
        ("a" * 64, "image id"),
        ("x" * 100_000, "600"),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_part_that_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(InvalidImageName, match=complaint) as caught:
        reference.parse(text)
    assert caught.value.reason == "InvalidImageName"
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize("text", ["a" + "-" * 500 + "!", "a." * 290 + "/", "a-" * 290, ":" * 600, "@" * 600, "[" * 600])
def test_hostile_names_cost_little(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidImageName):
        reference.parse(text)
    assert time.perf_counter() - started < 0.1


def test_the_familiar_name_leaves_out_what_everybody_knows() -> None:
    assert reference.parse("docker.io/library/busybox:1").familiar == "busybox:1"
    assert reference.parse("docker.io/a/b").familiar == "a/b:latest"
    assert reference.parse("quay.io/library/busybox").familiar == "quay.io/library/busybox:latest"


_component = st.from_regex(r"[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
_registry = st.sampled_from(["docker.io", "localhost", "localhost:5000", "ghcr.io", "10.0.0.1:80", "[::1]:5000"])
_tag = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True)
_digest = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@st.composite
def references(draw: st.DrawFn) -> Reference:
    registry = draw(_registry)
    parts = draw(st.lists(_component, min_size=2, max_size=4))
    tag, digest = draw(st.one_of(st.just(""), _tag)), draw(st.one_of(st.just(""), _digest))
    return Reference(registry, "/".join(parts), tag if tag or digest else "latest", digest)


@given(references())
def test_what_is_printed_is_parsed_to_the_same(known: Reference) -> None:
    assert reference.parse(str(known)) == known
    assert reference.parse(known.familiar) == known


@given(st.text(max_size=700))
def test_any_text_is_a_name_or_an_invalid_name(text: str) -> None:
    try:
        parsed = reference.parse(text)
    except InvalidImageName:
        return
    assert reference.parse(str(parsed)) == parsed
