"""Which variant of a multi-platform image runs on this machine (pure)."""

from __future__ import annotations

import platform as machine
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cluster.node.images.manifest import Descriptor

_ARCHITECTURES = {
    "x86_64": ("amd64", "v1"),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
}
_ASSUMED_VARIANT = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
"""What an image means that names no variant."""


@dataclass(frozen=True, slots=True)
class Platform:
    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def host() -> Platform:
    name = machine.machine()
    architecture, variant = _ARCHITECTURES.get(name, (name, ""))
    return Platform("linux", architecture, variant)


def choose(entries: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """The best entry that `wanted` can run; of equals the first. An entry that names no platform is the last resort."""
    runnable = [entry for entry in entries if entry.platform is not None and _runs(entry.platform, wanted)]
    if runnable:
        return max(runnable, key=lambda entry: _variant_number(entry.platform))
    silent = [entry for entry in entries if entry.platform is None]
    return silent[0] if silent else None


def offered(entries: Sequence[Descriptor]) -> str:
    """The platforms of an index for a message; attestations (`unknown/unknown`) are none."""
    names = {str(entry.platform) for entry in entries if entry.platform and entry.platform.os != "unknown"}
    return ", ".join(sorted(names)) or "none"


def _runs(offer: Platform, wanted: Platform) -> bool:
    if (offer.os, offer.architecture) != (wanted.os, wanted.architecture):
        return False
    return _variant_number(offer) <= _variant_number(wanted)


def _variant_number(offer: Platform | None) -> int:
    """Newer variants run older code: v7 runs v6, v8 does not run v9."""
    if offer is None:
        return 0
    variant = offer.variant or _ASSUMED_VARIANT.get(offer.architecture, "")
    digits = variant.removeprefix("v")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else 0
