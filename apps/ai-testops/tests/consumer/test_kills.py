"""10,000 cases through Kafka while consumers are killed at random: each has exactly one final result."""

from __future__ import annotations

import random
import time

import pytest

from backing import eventually

CASES = 10_000
CONSUMERS = 3
KILLS = 20
BETWEEN_KILLS = (3.0, 9.0)
LIMIT = 290
AS_DEPLOYED = {"KAFKA_SESSION_TIMEOUT_SECONDS": "6"}


@pytest.mark.slow
@pytest.mark.timeout(LIMIT + 60)
def test_each_of_10000_cases_has_exactly_one_result_while_consumers_are_killed(world, api, processes):
    dice = random.Random(20_261_123)
    alive = [processes(**AS_DEPLOYED) for _ in range(CONSUMERS)]
    eventually("a consumer is ready", lambda: any(process.ready() for process in alive), within=60)
    specification = world.specification()
    started = time.monotonic()
    run = world.run(specification, world.many_cases(specification, CASES))

    kills = 0
    next_kill = started + 2
    while world.status(run) == "running":
        assert time.monotonic() - started < LIMIT, f"{_results(world, run)} of {CASES} results after {kills} kills"
        if kills < KILLS and time.monotonic() >= next_kill:
            victim = dice.randrange(CONSUMERS)
            alive[victim].kill()
            alive[victim] = processes(**AS_DEPLOYED)
            kills += 1
            next_kill = time.monotonic() + dice.uniform(*BETWEEN_KILLS)
        time.sleep(0.1)
    took = time.monotonic() - started

    outcomes = dict(world.rows("SELECT outcome, count(*) FROM testops_result WHERE run_id = %s GROUP BY 1", run))
    cases_with_one = world.one(
        "SELECT count(*) FROM (SELECT case_id FROM testops_result WHERE run_id = %s "
        "GROUP BY case_id HAVING count(*) = 1) one",
        run,
    )[0]
    print(
        f"\n{CASES} cases, {CONSUMERS} consumers, {kills} kills: {took:.1f} s, {CASES / took:.0f} cases/s, outcomes "
        f"{outcomes}, {sum(api.seen.values())} requests ({sum(api.seen.values()) - len(api.seen)} repeated)"
    )
    assert cases_with_one == CASES
    assert outcomes == {"passed": CASES * 9 // 10, "failed": CASES // 10}
    assert len(api.seen) == CASES
    assert world.one("SELECT count(*) FROM testops_queuedcase") == (0,)
    assert kills >= 3


def _results(world, run: int) -> int:
    return world.one("SELECT count(*) FROM testops_result WHERE run_id = %s", run)[0]
