"""Cases generated from each kind of description find every bug of an API, and none where there is none."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import httpx
import pytest

from generation import Case, generate
from groundwork.expectation import Verdict, check
from sample_api.server import BUGS, CREDENTIALS, DESCRIPTIONS, SampleApi
from specifications.document import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

# Swagger 2.0 has no null: the correct API of that description refuses it.
NOT_DESCRIBED = {"swagger2.json": {"null note refused"}}


@lru_cache
def cases(kind: str, seed: int) -> list[Case]:
    generated = generate(parse(DESCRIPTIONS[kind].read_bytes()).document, seed=seed)
    assert generated.notes == []
    return generated.cases


def execute(case: Case, client: httpx.Client) -> Verdict:
    headers = dict(case.headers)
    for scheme, place in case.authentication.items():
        headers[place["name"]] = place.get("prefix", "") + CREDENTIALS[scheme]
    request = client.build_request(case.method, str(client.base_url).rstrip("/") + case.path, content=case.body)
    request.headers.update(headers)
    response = client.send(request)
    return check(case.expectation, response.status_code, dict(response.headers), response.content)


def alarms(kind: str, seed: int, bugs: set[str]) -> Iterator[tuple[Case, Verdict]]:
    if kind == "swagger2.json":
        bugs = bugs | {"no null"}
    with SampleApi(bugs) as api, httpx.Client(base_url=api.url) as client:
        for case in cases(kind, seed):
            verdict = execute(case, client)
            if not verdict.passed:
                yield case, verdict


@pytest.mark.parametrize("kind", DESCRIPTIONS)
@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_is_found(kind: str, bug: str) -> None:
    if bug in NOT_DESCRIBED.get(kind, ()):
        assert not list(alarms(kind, 1, {bug}))
    else:
        assert next(alarms(kind, 1, {bug}), None), f"{bug} ({BUGS[bug]}) was not found"


@pytest.mark.parametrize("kind", DESCRIPTIONS)
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_correct_api_raises_no_alarm(kind: str, seed: int) -> None:
    found = [
        f"{case.operation}: {case.title}: {case.path} {case.body}: {verdict.reason}"
        for case, verdict in alarms(kind, seed, set())
    ]
    assert not found, "\n".join(found)
