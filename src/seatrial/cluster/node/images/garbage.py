"""Which images may go when the disk fills up, or when nobody used them for long (pure).

The thresholds are the kubelet's: from 85 % of the disk on, images go until 80 % are reached, the longest unused first;
none that a container uses, none younger than two minutes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Thresholds:
    high_percent: int = 85
    low_percent: int = 80
    min_age: float = 120.0
    """Seconds since the pull."""
    max_age: float = 0.0
    """Seconds since the last use; 0: never too old."""


@dataclass(frozen=True, slots=True)
class Candidate:
    id: str
    pulled: float
    last_used: float
    parts: Mapping[str, int]
    """What it takes on disk, by blob and layer: images share those."""


@dataclass(frozen=True, slots=True)
class Disk:
    capacity: int
    available: int


def bytes_to_free(disk: Disk, thresholds: Thresholds) -> int:
    used_percent = 100 - disk.available * 100 // disk.capacity if disk.capacity else 0
    if used_percent < thresholds.high_percent:
        return 0
    return max(0, disk.capacity * (100 - thresholds.low_percent) // 100 - disk.available)


def plan(
    images: Iterable[Candidate], in_use: Collection[str], disk: Disk, thresholds: Thresholds, now: float
) -> list[str]:
    """The ids of the images to remove, in order."""
    everything = list(images)
    owners = Counter(part for image in everything for part in image.parts)
    wanted = bytes_to_free(disk, thresholds)
    going: list[str] = []
    for image in sorted(everything, key=lambda image: (image.last_used, image.pulled, image.id)):
        if image.id in in_use or now - image.pulled < thresholds.min_age:
            continue
        if wanted <= 0 and not _too_old(image, thresholds, now):
            continue
        owners.subtract(image.parts.keys())
        wanted -= sum(size for part, size in image.parts.items() if owners[part] == 0)
        going.append(image.id)
    return going


def _too_old(image: Candidate, thresholds: Thresholds, now: float) -> bool:
    return thresholds.max_age > 0 and now - max(image.last_used, image.pulled) > thresholds.max_age
