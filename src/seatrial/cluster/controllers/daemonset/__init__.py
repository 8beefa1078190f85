"""DaemonSets: one pod on every node that admits it.

`placement` says which nodes those are and ties a pod to its node, `plan` what to make and delete (both pure);
`reconcile` acts. The scheduler binds the pods, as any others.
"""

from __future__ import annotations

from seatrial.cluster.controllers.daemonset.reconcile import build

__all__ = ["build"]
