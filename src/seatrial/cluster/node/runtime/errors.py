"""The runtime's one error."""

from __future__ import annotations

from seatrial.base.errors import Retryable


class RuntimeFailed(Retryable):
    """A sandbox or a container could not be made, started or reached; the message says why and of which."""

    reason = "RunContainerError"
