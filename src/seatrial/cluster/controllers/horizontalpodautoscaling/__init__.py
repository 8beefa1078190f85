"""Horizontal pod autoscaling: as many replicas as the metrics ask for.

`metrics` asks for numbers; `plan` turns the numbers of one metric into a replica count, and `limits` bounds it by
what was recommended and done before (both pure); `evaluation` does this for one metric of a HorizontalPodAutoscaler,
`autoscaler` for the whole of it, and scales.
"""

from __future__ import annotations

from seatrial.cluster.controllers.horizontalpodautoscaling.autoscaler import build

__all__ = ["build"]
