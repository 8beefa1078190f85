"""What the node may do here, read once: the bounds of what containers are given."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cluster.node.runtime import capabilities
from seatrial.cluster.node.runtime.cgroups import NoCgroups
from seatrial.cluster.node.runtime.spec import Machine

if TYPE_CHECKING:
    from seatrial.cluster.node.runtime.cgroups import Cgroups

_WHOLE = (0, 0, 4294967295)


def describe(cgroups: Cgroups) -> Machine:
    has = capabilities.available()
    mapped = in_user_namespace()
    own = int(Path("/proc/self/oom_score_adj").read_text())
    return Machine(
        capabilities=has,
        open_files=_open_files(),
        oom_score_adj=-1000 if "CAP_SYS_RESOURCE" in has and not mapped else own,
        user_namespace=mapped,
        cgroups=not isinstance(cgroups, NoCgroups),
        swap_limits=cgroups.counts_swap,
    )


def in_user_namespace() -> bool:
    fields = Path("/proc/self/uid_map").read_text().split()
    return tuple(map(int, fields)) != _WHOLE


def _open_files() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else 1024 * 1024
