"""The stand-ins for well-known actions, as steps of real runs: what they set is there for the steps that follow."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seatrial.pipeline import actions

if TYPE_CHECKING:
    from tests.scenarios.pipeline.conftest import Yard

BUSYBOX = Path("/bin/busybox")


@pytest.fixture
async def equipped(yard: Yard) -> Yard:
    await yard.stop()
    environment = {
        "PATH": f"{actions.BIN}:{os.environ['PATH']}",
        "SEATRIAL_PYTHON": sys.executable,
        "SEATRIAL_CACHE": str(yard.directory / "cache"),
    }
    await yard.start(local_actions=actions.stand_ins(), environment=environment)
    return yard


async def test_an_artifact_goes_from_job_to_job(equipped: Yard) -> None:
    await equipped.commit(
        {
            ".github/workflows/ci.yml": """
                on: push
                jobs:
                  make:
                    runs-on: ubuntu-latest
                    steps:
                      - run: mkdir out && echo made-here > out/thing.txt
                      - uses: actions/upload-artifact@v4
                        with: {name: things, path: out}
                  use:
                    needs: make
                    runs-on: ubuntu-latest
                    steps:
                      - uses: actions/download-artifact@v4
                        with: {name: things, path: got}
                      - run: echo "I got $(cat got/thing.txt)"
                """,
            "app.py": "1",
        }
    )
    run = await equipped.ended()
    assert run.conclusion == "success", await equipped.log()
    assert "I got made-here" in await equipped.log()


async def test_outputs_of_an_action_reach_other_steps_and_jobs(equipped: Yard) -> None:
    files: dict[str, str | None] = {
        ".github/workflows/ci.yml": """
            on: push
            jobs:
              look:
                runs-on: ubuntu-latest
                outputs:
                  web: ${{ steps.changed.outputs.web }}
                  docs: ${{ steps.changed.outputs.docs }}
                steps:
                  - uses: actions/checkout@v4
                  - id: changed
                    uses: dorny/paths-filter@v3
                    with:
                      filters: |
                        web: ['web/**']
                        docs: ['**/*.md']
                  - id: meta
                    uses: docker/metadata-action@v5
                    with:
                      images: acme/shop
                      tags: type=sha,format=long,prefix=
                  - run: echo "tagged ${{ steps.meta.outputs.tags }}"
              web:
                needs: look
                if: needs.look.outputs.web == 'true'
                runs-on: ubuntu-latest
                steps: [{run: echo web is built}]
              docs:
                needs: look
                if: needs.look.outputs.docs == 'true'
                runs-on: ubuntu-latest
                steps: [{run: echo docs are built}]
            """,
        "README.md": "1",
        "web/app.py": "1",
    }
    await equipped.commit(files)
    await equipped.ended()
    commit = await equipped.commit({"web/app.py": "2"})
    run = await equipped.ended(2)
    assert {job["name"]: job["conclusion"] for job in run.jobs} == {
        "look": "success", "web": "success", "docs": "skipped",
    }, await equipped.log(2)  # fmt: skip
    assert f"tagged acme/shop:{commit}" in await equipped.log(2)


async def test_a_cache_is_there_in_the_next_run(equipped: Yard) -> None:
    steps = """
        - id: cache
          uses: actions/cache@v4
          with:
            path: store
            key: store-1
        - run: echo "hit ${{ steps.cache.outputs.cache-hit }}, $(cat store/thing || echo nothing)"
        - run: mkdir -p store && echo kept > store/thing
    """
    await equipped.workflow(steps)
    assert (await equipped.ended(1)).conclusion == "success", await equipped.log()
    await equipped.workflow(steps)
    assert (await equipped.ended(2)).conclusion == "success", await equipped.log(2)
    assert "nothing" in await equipped.log(1)
    assert "hit true, kept" in await equipped.log(2)


@pytest.mark.skipif(shutil.which("buildah") is None or not BUSYBOX.exists(), reason="needs buildah and busybox-static")
async def test_an_image_is_built_and_its_id_is_an_output(equipped: Yard) -> None:
    directory = equipped.work
    await equipped.commit({"README.md": "1"})
    shutil.copy(BUSYBOX, directory / "busybox")
    await equipped.workflow(
        """
        - uses: actions/checkout@v4
        - uses: docker/setup-buildx-action@v3
        - id: image
          uses: docker/build-push-action@v6
          with:
            context: .
            tags: acme/shop:test
            load: true
        - run: echo "built ${{ steps.image.outputs.imageid }}"
        """,
        Dockerfile='FROM scratch\nCOPY busybox /bin/busybox\nCMD ["/bin/busybox"]\n',
    )
    run = await equipped.ended(1)
    assert run.conclusion == "success", await equipped.log()
    assert re.search(r"built (sha256:)?[0-9a-f]{64}$", await equipped.log(), re.MULTILINE)


async def test_an_action_that_is_not_here_is_named(equipped: Yard) -> None:
    await equipped.workflow("- uses: docker/setup-qemu-action@v3")
    run = await equipped.ended()
    assert run.conclusion == "failure"
    assert "docker/setup-qemu-action" in await equipped.log()
