"""What can go wrong on the way from a registry to a layer, with the reasons that kubectl shows.

`reason` is what a container waits with in its status; the message says what to do about it.
"""

from __future__ import annotations

from seatrial.base.errors import Retryable, SeatrialError, Terminal

ERR_IMAGE_PULL = "ErrImagePull"


class ImageError(SeatrialError):
    """Root of the errors of this package: catch this to report why a container cannot have its image."""


class PullFailed(ImageError, Retryable):
    """The pull broke on the way: the next try may succeed."""

    reason = ERR_IMAGE_PULL


class PullRefused(ImageError, Terminal):
    """The registry, or what it sent, stands against it: somebody has to change something."""

    reason = ERR_IMAGE_PULL


class AccessDenied(PullRefused):
    """The registry wants other credentials than it got."""


class ImageNotFound(PullRefused):
    """The registry answers, and has no such image."""


class RegistryUnavailable(ImageError, Retryable):
    """Nobody answers at the registry's address, or it is out of order."""

    reason = "RegistryUnavailable"


class StoreError(ImageError, Retryable):
    """The local store cannot be read or written."""

    reason = "ImageInspectError"


class NoSuchImage(ImageError, Terminal):
    """The local store holds no such image."""

    reason = "ImageNotFound"


class ImageInUse(ImageError, Retryable):
    """A container runs on the image."""

    reason = "ImageInUse"
