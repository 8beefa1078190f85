"""Deployments: ReplicaSets of two templates traded for each other, never too many pods and never too few.

`rollout` decides the sizes, `history` the revisions, `progress` what people are told (all pure); `reconcile` acts.
"""

from __future__ import annotations

from seatrial.cluster.controllers.deployment.reconcile import build

__all__ = ["build"]
