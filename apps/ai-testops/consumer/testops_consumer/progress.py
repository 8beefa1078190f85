"""Which offsets may be committed: cases end in any order, an offset says that everything before it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiokafka import TopicPartition


class Progress:
    def __init__(self) -> None:
        self._under_way: dict[TopicPartition, set[int]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    def start(self, partition: TopicPartition, offset: int) -> None:
        self._under_way.setdefault(partition, set()).add(offset)
        self._next[partition] = max(offset + 1, self._next.get(partition, 0))

    def done(self, partition: TopicPartition, offset: int) -> None:
        self._under_way.get(partition, set()).discard(offset)

    def position(self, partition: TopicPartition) -> int | None:
        """The first offset not done; None when nothing of the partition was seen."""
        if partition not in self._next:
            return None
        return min(self._under_way[partition], default=self._next[partition])

    def due(self) -> dict[TopicPartition, int]:
        """What to commit: partition -> offset to go on from, where that has changed."""
        positions = {partition: self.position(partition) for partition in self._next}
        return {partition: at for partition, at in positions.items() if at != self._committed.get(partition)}

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        self._committed.update({partition: at for partition, at in offsets.items() if partition in self._next})

    def forget(self, partition: TopicPartition) -> None:
        for kept in (self._under_way, self._next, self._committed):
            kept.pop(partition, None)

    def partitions(self) -> list[TopicPartition]:
        return list(self._next)
