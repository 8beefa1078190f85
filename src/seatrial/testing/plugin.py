"""The pytest plug-in (installed with the package; nothing to configure).

def test_my_controller(seatrial_cluster):
    kubernetes.config.load_kube_config(str(seatrial_cluster.kubeconfig))  # or any other client
    ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seatrial.testing.background import ClusterHandle


@pytest.fixture
def seatrial_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterHandle]:
    """A fresh Kubernetes API with controllers and simulated pods, on a free port, for one test."""
    # Imported late: a plug-in must not slow down the tests that do not use it.
    from seatrial.testing.background import BackgroundCluster

    with BackgroundCluster(tmp_path_factory.mktemp("seatrial")) as handle:
        yield handle
