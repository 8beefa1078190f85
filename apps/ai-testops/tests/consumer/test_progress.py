"""Which offsets are committed while cases end in any order."""

from __future__ import annotations

from aiokafka import TopicPartition

from testops_consumer.progress import Progress

ONE, TWO = TopicPartition("queue", 1), TopicPartition("queue", 2)


def test_only_what_has_nothing_unfinished_before_it_is_due():
    progress = Progress()
    for offset in (5, 6, 7):
        progress.start(ONE, offset)
    progress.done(ONE, 6)
    assert progress.due() == {ONE: 5}
    progress.done(ONE, 5)
    assert progress.due() == {ONE: 7}
    progress.done(ONE, 7)
    assert progress.due() == {ONE: 8}


def test_what_was_committed_is_not_due_again():
    progress = Progress()
    progress.start(ONE, 0)
    progress.start(TWO, 3)
    progress.done(ONE, 0)
    progress.committed(progress.due())
    assert progress.due() == {}
    progress.done(TWO, 3)
    assert progress.due() == {TWO: 4}


def test_a_partition_that_went_to_another_consumer_is_forgotten():
    progress = Progress()
    progress.start(ONE, 0)
    progress.forget(ONE)
    progress.done(ONE, 0)
    progress.committed({ONE: 1})
    assert progress.due() == {}
    assert progress.position(ONE) is None
