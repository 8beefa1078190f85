"""One case's request and the judgement of its answer, against an API that is not to be trusted."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest

from groundwork.credentials import CredentialBox
from testops_consumer.settings import Settings
from testops_consumer.store import Job
from testops_consumer.target import MASK, Target

from .conftest import CREDENTIALS_KEY, OK

SETTINGS = Settings("", "", CREDENTIALS_KEY, allowed_hosts=("127.0.0.0/8",), request_timeout=20, response_limit=100_000)
SECRET = "s3cr3t/with spaces"


@pytest.fixture
def judge(api):
    async def judged(path: str = "/status/200", changes: dict | None = None, **case: object):
        job = Job(1, 1, api.url, "GET", path, {}, None, {}, OK, CredentialBox(CREDENTIALS_KEY).seal({"key": SECRET}))
        target = Target(replace(SETTINGS, **(changes or {})))
        try:
            return await target.judge(replace(job, **case))
        finally:
            await target.close()

    return judged


async def test_an_answer_as_expected_passes_and_is_kept(judge):
    answer = await judge("/status/200")
    assert (answer.outcome, answer.reason, answer.status_code, answer.attempts) == ("passed", "", 200, 1)
    assert answer.request["method"] == "GET"
    assert answer.request["url"].endswith("/status/200")
    assert answer.response["body"] == "{}"
    assert answer.response["headers"]["content-type"] == "application/json"
    assert answer.duration_ms > 0


async def test_another_answer_fails_with_the_reason(judge):
    answer = await judge("/status/500")
    assert (answer.outcome, answer.status_code) == ("failed", 500)
    assert "500" in answer.reason


async def test_method_headers_and_body_are_sent_as_the_case_says(judge, api):
    await judge("/echo?a=%2F&b=c%20d", method="POST", headers={"X-Own": "yes", "Content-Type": "text/x"}, body="é")
    [(line, headers, body)] = api.requests
    assert line == "POST /echo?a=%2F&b=c%20d HTTP/1.1"
    assert headers["x-own"] == "yes"
    assert headers["content-type"] == "text/x"
    assert body == "é".encode()


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ({"in": "header", "name": "X-Key"}, lambda line, headers: headers["x-key"] == SECRET),
        ({"in": "header", "name": "Authorization", "prefix": "Bearer "},
         lambda line, headers: headers["authorization"] == f"Bearer {SECRET}"),
        ({"in": "cookie", "name": "session"}, lambda line, headers: headers["cookie"] == f"session={SECRET}"),
        ({"in": "query", "name": "api key"}, lambda line, headers: "?api%20key=s3cr3t%2Fwith%20spaces" in line),
    ],
)  # fmt: skip
async def test_a_credential_goes_where_the_scheme_says_and_nowhere_into_the_result(judge, api, place, seen):
    answer = await judge("/echo", authentication={"key": place})
    [(line, headers, _)] = api.requests
    assert seen(line, headers)
    kept = json.dumps([answer.request, answer.response, answer.reason])
    assert answer.outcome == "passed"
    assert "s3cr3t" not in kept
    assert MASK in json.dumps(answer.request)
    assert MASK in answer.response["body"]


async def test_a_credential_joins_a_query_that_is_there(judge, api):
    await judge("/echo?a=1", authentication={"key": {"in": "query", "name": "k"}})
    assert api.requests[0][0].startswith("GET /echo?a=1&k=s3cr3t")


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"authentication": {"other": {"in": "header", "name": "X"}}}, "no credential for the security scheme 'other'"),
        ({"authentication": {"key": {"in": "body", "name": "X"}}}, "cannot be put into 'body'"),
        ({"authentication": {"key": {}}, "sealed_credentials": "junk"}, "another CREDENTIALS_KEY"),
        ({"path": "@evil.example.com/"}, "starts with /"),
        ({"path": "/status/200", "base_url": "ftp://127.0.0.1"}, "cannot be sent"),
        ({"path": "/status/200", "base_url": "http://10.0.0.1"}, "not a public address"),
        ({"path": "/status/200", "base_url": "http://nowhere.invalid"}, "cannot be resolved"),
        ({"method": "BAD METHOD"}, "cannot be sent"),
        ({"headers": {"X-Bad": "a\r\nb: c"}}, "cannot be sent"),
        ({"path": "/redirect"}, "302"),
        ({"path": "/big/100001"}, "larger than 100000 bytes"),
        ({"path": "/bomb"}, "larger than 100000 bytes"),
        ({"path": "/brotli"}, "encoded as 'br'"),
    ],
)
async def test_a_case_without_a_verdict_says_why(judge, case, reason):
    answer = await judge(changes={"attempts": 1, "request_timeout": 20}, **case)
    assert answer.outcome in {"error", "failed"}
    assert reason in answer.reason


@pytest.mark.parametrize("path", ["/never", "/drip"])
async def test_an_answer_that_does_not_end_is_not_waited_for(judge, path):
    answer = await judge(path, changes={"attempts": 1, "request_timeout": 0.3})
    assert (answer.outcome, answer.reason) == ("error", "no complete answer within 0.3 s")


async def test_a_redirect_is_an_answer_and_not_followed(judge, api):
    answer = await judge("/redirect", expectation={"status": {"in": [302]}})
    assert answer.outcome == "passed"
    assert list(api.seen) == ["/redirect"]


async def test_a_compressed_answer_is_unpacked(judge):
    assert (await judge("/gzip")).response["body"] == '{"packed": true}'


async def test_what_cannot_be_stored_is_replaced(judge):
    answer = await judge("/nul")
    assert answer.response["body"] == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    json.dumps(answer.response).encode()


async def test_a_long_answer_is_kept_in_part(judge):
    answer = await judge("/big/100000")
    assert len(answer.response["body"]) < 20_000
    assert answer.response["size"] == 100_000


async def test_a_broken_connection_is_tried_again(judge):
    answer = await judge("/drop-once")
    assert (answer.outcome, answer.attempts) == ("passed", 2)


async def test_retries_end(judge, api):
    answer = await judge("/drop")
    assert (answer.outcome, answer.attempts) == ("error", 3)
    assert api.seen["/drop"] == 3


async def test_a_request_that_may_have_had_an_effect_is_not_repeated(judge, api):
    answer = await judge("/drop", method="POST", body="{}")
    assert (answer.outcome, answer.attempts) == ("error", 1)


async def test_a_request_that_was_never_sent_is_repeated_whatever_its_method(judge):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        answer = await judge("/", base_url=url, method="POST")
    assert (answer.outcome, answer.attempts) == ("error", 3)
    assert "ConnectError" in answer.reason


async def test_nothing_of_one_case_reaches_the_next(api):
    """No cookies, and a connection for each: the next case may be another project's, at the same address."""
    target = Target(SETTINGS)
    job = Job(1, 1, api.url, "GET", "/cookie", {}, None, {}, OK, "")
    for _ in range(2):
        assert (await target.judge(job)).outcome == "passed"
    await target.close()
    assert api.connections == 2
    assert "cookie" not in api.requests[1][1]
