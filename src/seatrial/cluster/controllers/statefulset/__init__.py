"""StatefulSets: pods with a name, a place in line and storage of their own, made and replaced in order.

`identity` says what the pod of an ordinal looks like, `plan` what happens next, `status` what people are told (all
pure); `reconcile` acts.
"""

from __future__ import annotations

from seatrial.cluster.controllers.statefulset.reconcile import build

__all__ = ["build"]
