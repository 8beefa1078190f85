"""CronJobs: Jobs made at set times.

`plan` is pure: what the Jobs there are mean, and what is due. `reconcile` does it. The meaning of a schedule is in
`seatrial.kube.model.cron`.
"""

from __future__ import annotations

from seatrial.cluster.controllers.cronjob.reconcile import build

__all__ = ["build"]
