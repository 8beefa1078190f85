"""Of a Dockerfile we need its bases and where its stages begin."""

from __future__ import annotations

from seatrial.pipeline.images import dockerfile

TEXT = """# syntax=docker/dockerfile:1
ARG VERSION=3.11
ARG OTHER
FROM --platform=linux/amd64 python:${VERSION}-slim AS Build
RUN echo FROM nothing && \\
    FROM=1 true
FROM \\
    scratch AS empty
FROM ${OTHER:-alpine}
FROM build
COPY --from=build /a /b
"""


def test_bases_are_images_with_arguments_filled_in() -> None:
    assert dockerfile.bases(TEXT, {}) == ["python:3.11-slim", "alpine"]


def test_a_build_argument_wins_over_its_default() -> None:
    assert dockerfile.bases(TEXT, {"VERSION": "3.12", "OTHER": "debian"}) == ["python:3.12-slim", "debian"]


def test_each_stage_declares_the_arguments_and_all_else_stays() -> None:
    changed = dockerfile.with_arguments(TEXT, ["A", "B"])
    assert changed.count("ARG A\nARG B\n") == 4
    assert changed.replace("ARG A\nARG B\n", "") == TEXT
    assert "    scratch AS empty\nARG A\n" in changed


def test_without_arguments_the_text_stays() -> None:
    assert dockerfile.with_arguments("FROM x", []) == "FROM x"
