"""The pytest plug-in (installed with the package; nothing to configure).

    def test_my_controller(seatrial_cluster):
        client = make_client(seatrial_cluster.kubeconfig)   # any Kubernetes client
        ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from seatrial.testing.background import ClusterHandle


@pytest.fixture
def seatrial_cluster(tmp_path: Path) -> Iterator[ClusterHandle]:
    """A fresh Kubernetes API with controllers and simulated pods, on a free port, for one test."""
    # Imported late: a plug-in must not slow down the tests that do not use it.
    from seatrial.testing.background import BackgroundCluster

    with BackgroundCluster(tmp_path) as handle:
        yield handle
