"""Pull, or use what is here; and when to try again (pure).

The rules are the kubelet's: `Always` asks the registry each time a container starts (what is here already is not sent
again), `IfNotPresent` only for an image that is not here, `Never` not at all. A failed pull is tried again after 10 s,
then 20, 40 and so on to 300 s, per pod and image.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from seatrial.base.errors import Retryable, Terminal
from seatrial.cluster.node.images import reference as references
from seatrial.cluster.node.images.errors import ImageError

ALWAYS = "Always"
IF_NOT_PRESENT = "IfNotPresent"
NEVER = "Never"

FIRST_DELAY = 10.0
LONGEST_DELAY = 300.0
FORGET_AFTER = 2 * LONGEST_DELAY
"""A back-off nobody asked about for so long begins anew."""


class NeverPull(ImageError, Terminal):
    reason = "ErrImageNeverPull"


class PullBackOff(ImageError, Retryable):
    reason = "ImagePullBackOff"

    def __init__(self, message: str, seconds: float) -> None:
        """`seconds` until the next try."""
        super().__init__(message)
        self.seconds = seconds


class Decision(Enum):
    USE = "use"
    PULL = "pull"


def default_policy(image: str) -> str:
    """What an absent imagePullPolicy means: a name that moves is asked for each time. Raises InvalidImageName."""
    name = references.parse(image)
    return ALWAYS if name.tag == references.DEFAULT_TAG and not name.digest else IF_NOT_PRESENT


def decide(image: str, policy: str, *, present: bool) -> Decision:
    """Raises NeverPull."""
    if policy == ALWAYS:
        return Decision.PULL
    if present:
        return Decision.USE
    if policy == NEVER:
        raise NeverPull(
            f"image {image!r} is not on this node and imagePullPolicy is Never: load it with "
            "`seatrial image load`, or let the policy be IfNotPresent"
        )
    return Decision.PULL


@dataclass(frozen=True, slots=True)
class _Delay:
    seconds: float
    until: float
    cause: str


class BackOff:
    """The delays of every image that could not be pulled. Time comes in as an argument."""

    def __init__(self) -> None:
        self._delays: dict[str, _Delay] = {}

    def check(self, key: str, image: str, now: float) -> None:
        """Raises PullBackOff while the image has to wait."""
        delay = self._delays.get(key)
        if delay is not None and now < delay.until:
            left = delay.until - now
            raise PullBackOff(f"back-off pulling image {image!r}, next try in {left:.0f} s: {delay.cause}", left)

    def failed(self, key: str, now: float, error: ImageError) -> float:
        """Note a failed pull; how long to wait."""
        self._forget_old(now)
        last = self._delays.get(key)
        seconds = min(LONGEST_DELAY, last.seconds * 2) if last else FIRST_DELAY
        self._delays[key] = _Delay(seconds, now + seconds, f"{error.reason}: {error.message}")
        return seconds

    def succeeded(self, key: str) -> None:
        self._delays.pop(key, None)

    def _forget_old(self, now: float) -> None:
        old = [key for key, delay in self._delays.items() if now - delay.until > FORGET_AFTER]
        for key in old:
            del self._delays[key]
