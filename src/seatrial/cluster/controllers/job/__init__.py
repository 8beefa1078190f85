"""Jobs: pods that run to completion.

`survey` sorts the pods, `ending` says whether the Job is over, `plan` what to make and delete, `accounting` what to
count, `status` what to write; all of it pure. `reconcile` does it.
"""

from __future__ import annotations

from seatrial.cluster.controllers.job.reconcile import build

__all__ = ["build"]
