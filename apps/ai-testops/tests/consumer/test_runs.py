"""A run from its queued cases to its results, through the real broker and database."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from testops_consumer import metrics
from testops_consumer.messages import Reminder
from testops_consumer.settings import DEAD_LETTERS, QUEUE

from .conftest import ask, asked, consuming, until


async def put(broker, *values: bytes | None) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.address) as producer:
        for value in values:
            await producer.send_and_wait(QUEUE, value, key=b"1", partition=0)


async def dead_letters(broker, count: int) -> list[tuple[bytes, dict[str, str]]]:
    consumer = AIOKafkaConsumer(DEAD_LETTERS, bootstrap_servers=broker.address, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(20):
        records = [await consumer.getone() for _ in range(count)]
    return [(r.value, {name: value.decode() for name, value in r.headers}) for r in records]


async def test_each_case_of_a_run_gets_one_result_and_the_run_is_finished(world, api, settings):
    async with consuming(settings):
        run = world.simple_run(*[f"/status/200/{n}" for n in range(30)], *[f"/status/500/{n}" for n in range(10)])
        results = await world.finished(run)
        await until("it is analysed", lambda: world.one("SELECT analysed FROM testops_run WHERE id = %s", run)[0])
    assert [r["outcome"] for r in results] == ["passed"] * 30 + ["failed"] * 10
    assert set(api.seen.values()) == {1}
    assert world.one("SELECT count(*) FROM testops_queuedcase")[0] == 0
    assert world.one("SELECT finished_at >= created_at FROM testops_run")[0]


async def test_a_run_without_cases_is_finished(world, settings):
    async with consuming(settings):
        assert await world.finished(world.simple_run()) == []


async def test_failures_are_grouped_and_the_group_is_on_the_results(world, settings):
    async with consuming(settings):
        run = world.simple_run("/fail/no-database", "/fail/no-database?again", "/status/404", "/status/200")
        await world.finished(run)
        await until("it is analysed", lambda: world.one("SELECT analysed FROM testops_run WHERE id = %s", run)[0])
    groups = world.rows("SELECT g.size, count(r.id) FROM testops_failuregroup g JOIN testops_result r "
                        "ON r.group_id = g.id GROUP BY g.id ORDER BY 1 DESC")  # fmt: skip
    assert groups == [(2, 2), (1, 1)]


async def test_cases_that_change_their_outcome_again_and_again_are_scored_flaky(world, settings):
    specification = world.specification()
    flaky, steady = world.case(specification), world.case(specification)
    for n in range(6):
        past = world.run(specification, [])
        world.run_statement("UPDATE testops_run SET status = 'finished', analysed = true WHERE id = %s", past)
        for case, outcome in ((flaky, "failed" if n % 2 else "passed"), (steady, "passed")):
            world.run_statement(
                "INSERT INTO testops_result (run_id, case_id, outcome, reason, duration_ms, attempts, request, "
                "response, finished_at) VALUES (%s, %s, %s, '', 1, 1, '{}', '{}', now() - make_interval(hours => %s))",
                past, case, outcome, 10 - n)  # fmt: skip
    async with consuming(settings):
        run = world.run(specification, [flaky, steady])
        await until("it is analysed", lambda: world.one("SELECT analysed FROM testops_run WHERE id = %s", run)[0])
    scores = dict(world.rows("SELECT id, flakiness FROM testops_testcase"))
    assert scores[steady] == 0
    assert scores[flaky] == 1


async def test_poisonous_messages_become_dead_letters_and_hold_up_nobody(world, settings, own_broker):
    poison = [b"{", None, b'{"run": 1}', b"[" * 1000]
    async with consuming(settings):
        await put(own_broker, *poison)
        results = await world.finished(world.simple_run("/status/200"))
        letters = await dead_letters(own_broker, len(poison))
    assert sorted(value or b"" for value, _ in letters) == sorted(value or b"" for value in poison)
    for _, headers in letters:
        assert headers["reason"]
        assert headers["origin"].startswith(f"{QUEUE}/0/")
    assert [r["outcome"] for r in results] == ["passed"]


async def test_what_was_committed_is_not_delivered_to_the_next_consumer(world, settings, own_broker):
    for _ in range(2):
        async with consuming(settings):
            await put(own_broker, b"poison")
            await world.finished(world.simple_run("/status/200"))
            await dead_letters(own_broker, 1)
    probe = AIOKafkaConsumer(DEAD_LETTERS, bootstrap_servers=own_broker.address, auto_offset_reset="earliest")
    async with probe:
        found = await probe.getmany(timeout_ms=1000)
    assert sum(map(len, found.values())) == 2


async def test_a_case_nobody_can_execute_is_an_error_and_a_dead_letter_and_holds_up_nobody(world, settings, own_broker):
    specification = world.specification()
    bad = world.case(specification, headers={"X-Number": 5})
    good = world.case(specification)
    async with consuming(settings):
        run = world.run(specification, [bad, good])
        results = await world.finished(run)
        [(value, headers)] = await dead_letters(own_broker, 1)
    assert [r["outcome"] for r in results] == ["error", "passed"]
    assert "dead-letter" in results[0]["reason"]
    assert value == Reminder(run, bad).value
    assert "cannot be executed" in headers["reason"]


async def test_a_message_sent_many_times_makes_one_result_and_one_request(world, api, settings, own_broker):
    async with consuming(settings):
        run = world.simple_run("/wait")
        [case] = [row[0] for row in world.rows("SELECT case_id FROM testops_queuedcase")]
        await until("it is under way", lambda: api.seen["/wait"] == 1)
        stale = metrics.STALE._value.get()
        await put(own_broker, *[Reminder(run, case).value] * 5)
        await until("the others are seen", lambda: metrics.STALE._value.get() >= stale + 5)
        api.let_go()
        await world.finished(run)
        await put(own_broker, *[Reminder(run, case).value] * 5)
        await world.finished(world.simple_run("/status/200"))
    assert api.seen["/wait"] == 1
    assert len(world.results(run)) == 1


async def test_a_cancelled_run_is_let_go_at_once(world, api, settings):
    async with consuming(settings, concurrency=2, request_timeout=600):
        run = world.simple_run("/wait/1", "/wait/2", "/wait/3")
        await until("two are under way", lambda: len(api.seen) == 2)
        world.cancel(run)
        other = world.simple_run("/status/200")
        await world.finished(other, within=5)  # both places are free again
        await until("its queue is empty", lambda: not world.one("SELECT count(*) FROM testops_queuedcase")[0])
    assert world.results(run) == []
    assert world.status(run) == "cancelled"
    assert len([path for path in api.seen if path.startswith("/wait")]) == 2


async def test_a_run_that_is_deleted_meanwhile_disturbs_nobody(world, api, settings):
    async with consuming(settings, request_timeout=600):
        run = world.simple_run("/wait")
        await until("it is under way", lambda: api.seen["/wait"] == 1)
        world.run_statement("DELETE FROM testops_queuedcase")
        world.run_statement("DELETE FROM testops_run WHERE id = %s", run)
        await world.finished(world.simple_run("/status/200"))


async def test_the_broker_may_come_later_than_the_consumer(world, settings, own_broker):
    own_broker.stop()
    run = world.simple_run("/status/200")

    async def bring_it_back() -> None:
        await until("the consumer lives", lambda: ask(settings.port, "/health")[0] == 200)
        await until("it is not ready", lambda: "not in the consumer group" in ask(settings.port, "/ready")[1])
        own_broker.start()

    back = asyncio.create_task(bring_it_back())
    async with consuming(settings):
        await back
        assert len(await world.finished(run)) == 1


async def test_a_broker_that_forgot_everything_loses_no_case(world, api, settings, own_broker):
    waits = ["/wait/1", "/wait/2", "/wait/3"]
    async with consuming(settings, concurrency=3, request_timeout=600):
        run = world.simple_run(*waits, *[f"/status/200/{n}" for n in range(50)])
        await until("some are under way, others in the queue", lambda: all(api.seen[path] for path in waits))
        own_broker.stop()
        await until("it is not ready", lambda: ask(settings.port, "/ready")[0] == 503)
        own_broker.start()
        api.let_go()
        results = await world.finished(run, within=60)
    assert len(results) == 53
    assert {r["outcome"] for r in results} == {"passed"}


async def test_an_answer_outlives_the_absence_of_the_database(world, api, settings, postgres, database):
    async with consuming(settings):
        run = world.simple_run("/wait")
        await until("it is under way", lambda: api.seen["/wait"] == 1)
        with postgres.database("postgres").connect() as server:
            server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database.name,)
            )
            api.let_go()
            await until("it is not ready", lambda: '"database": "ok"' not in ask(settings.port, "/ready")[1])
            assert (await asked(settings.port, "/health"))[0] == 200
            server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        world.reconnect()
        results = await world.finished(run)
    assert [r["outcome"] for r in results] == ["passed"]
    assert api.seen["/wait"] == 1


async def test_a_database_that_is_not_migrated_yet_is_waited_for(postgres, own_broker, settings):
    bare = postgres.create("bare")
    try:
        consumer = asyncio.create_task(_ready(settings, bare.url))
        await until("it says so", lambda: "migrations are not applied yet" in ask(settings.port, "/ready")[1])
        with bare.connect() as connection:  # just enough for the check
            connection.execute("CREATE TABLE testops_run (id int, status text, finished_at timestamptz, analysed bool)")
            connection.execute("CREATE TABLE testops_queuedcase (id int, run_id int, case_id int, sent_at timestamptz, "
                               "times_sent int)")  # fmt: skip
        await consumer
    finally:
        postgres.drop("bare")


async def _ready(settings, url: str) -> None:
    async with consuming(settings, database_url=url):
        pass


async def test_cases_with_one_consumer_more_are_still_executed_once(world, api, settings):
    """The second one joins, and leaves again, in the middle of a run: partitions change hands twice."""
    paths = [f"/status/200/{n}" for n in range(400)]
    async with consuming(settings, concurrency=2) as first:
        run = world.simple_run(*paths)
        await until("it has begun", lambda: len(api.seen) > 20)
        async with consuming(settings, port=first.port + 1, concurrency=2):
            await until("it goes on", lambda: len(api.seen) > 200)
        results = await world.finished(run)
    assert len(results) == 400
    assert {r["path"] for r in results} == set(paths)
    assert {r["outcome"] for r in results} == {"passed"}


async def test_the_numbers_of_a_run_are_in_the_metrics(world, settings):
    async with consuming(settings) as here:
        before = await asyncio.to_thread(_metrics, here.port)
        await world.finished(world.simple_run("/status/200", "/status/500", "/drop"))
        await until("the offsets are committed", lambda: _lag(here.port) == 0)
        after = await asyncio.to_thread(_metrics, here.port)
    for outcome in ("passed", "failed", "error"):
        name = f'ai_testops_results_total{{outcome="{outcome}"}}'
        assert after[name] == before.get(name, 0) + 1
    assert after["ai_testops_case_seconds_count"] == before["ai_testops_case_seconds_count"] + 3
    assert after["ai_testops_request_retries_total"] == before["ai_testops_request_retries_total"] + 2
    assert after["ai_testops_relay_leader"] == 1


def _metrics(port: int) -> dict[str, float]:
    lines = [line for line in ask(port, "/metrics")[1].splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def _lag(port: int) -> float | None:
    lags = [value for name, value in _metrics(port).items() if name.startswith("ai_testops_consumer_lag")]
    return sum(lags) if lags else None


async def test_the_lag_counts_what_waits_behind_a_slow_case(world, api, settings):
    async with consuming(settings, concurrency=1, partitions=1) as here:
        run = world.simple_run("/wait", *[f"/status/200/{n}" for n in range(9)])
        await until("the lag is seen", lambda: _lag(here.port) == 10)
        api.let_go()
        await world.finished(run)
        await until("the lag is gone", lambda: _lag(here.port) == 0)
