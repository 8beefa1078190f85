"""Why a volume is not there."""

from __future__ import annotations

from seatrial.base.errors import Retryable, Terminal


class VolumeNotReady(Retryable):
    """Something the volume is made of is missing, or this node has no such volumes: the message says which."""

    reason = "FailedMount"


class NoSuchMount(Terminal):
    """A container mounts what its volume does not have, or may not show."""

    reason = "CreateContainerConfigError"
