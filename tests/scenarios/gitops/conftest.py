"""A driver of syncs on a fresh cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scenarios.gitops.driving import Driver, connect

from seatrial.base.tasks import TaskGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.scenarios.conftest import Scene


@pytest.fixture
async def driver(scene: Scene) -> AsyncIterator[Driver]:
    async with TaskGroup() as tasks:
        yield await connect(scene.cluster, tasks)
