"""A run from its queued cases to its results, through the real broker and database."""

from __future__ import annotations

from .conftest import consuming


async def test_each_case_of_a_run_gets_one_result_and_the_run_is_finished(world, settings):
    async with consuming(settings):
        run = world.simple_run(*[f"/status/200/{n}" for n in range(30)], *[f"/status/500/{n}" for n in range(10)])
        results = await world.finished(run)
    assert len(results) == 40
    assert [r["outcome"] for r in results] == ["passed"] * 30 + ["failed"] * 10
