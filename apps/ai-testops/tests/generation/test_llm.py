"""The language model's generator, against an endpoint on loopback that answers well, badly, slowly or not at all."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from generation import generate
from generation.llm import Endpoint, LlmGenerator, from_environment
from sample_api.server import DESCRIPTIONS
from specifications.document import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk-a-key-nobody-may-read"
VALID_ITEM = {"name": "lamp", "sku": "LMP-0001", "price": 3}


def proposal(**changes: Any) -> dict[str, Any]:
    return {
        "operation": "POST /items",
        "kind": "positive",
        "title": "a lamp of the model's",
        "oracle": "It is a valid item, so it is made.",
        "parameters": [],
        "body": VALID_ITEM,
    } | changes


def completion(content: Any, tokens: int = 100) -> tuple[int, Any]:
    text = content if isinstance(content, str) else json.dumps(content)
    return 200, {"choices": [{"message": {"content": text}}], "usage": {"total_tokens": tokens}}


class FakeEndpoint:
    """Answers with what `answer(request)` returns: (status, JSON value or bytes), and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], tuple[int, Any]] = lambda _request: completion({"cases": [proposal()]})
        self.drip = 0.0
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.stopping = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.seen.append((self.path, dict(self.headers), request))
                status, value = fake.answer(request)
                content = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if status == 302:
                    self.send_header("Location", f"{fake.url}/elsewhere")
                self.end_headers()
                with contextlib.suppress(OSError):  # the client may have had enough
                    self.send_slowly(content) if fake.drip else self.wfile.write(content)

            def send_slowly(self, content: bytes) -> None:
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    if fake.stopping.wait(fake.drip):
                        return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    fake = FakeEndpoint()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    return parse(DESCRIPTIONS["openapi31.yaml"].read_bytes()).document


def ask(endpoint: FakeEndpoint, document: dict[str, Any], **settings: Any) -> Any:
    wanted = {"base_url": endpoint.url, "model": "a-model", "key": KEY, "seconds": 10} | settings
    return LlmGenerator(Endpoint(**wanted)).generate(document, seed=1, limit=2000)


def assert_offline(generated: Any, note: str) -> None:
    assert generated.generator == "offline"
    assert len(generated.cases) > 50
    assert any(note in text for text in generated.notes), generated.notes
    assert any("these are the offline generator's" in text for text in generated.notes)
    assert KEY not in repr(generated)


def test_a_proven_proposal_joins_the_offline_cases(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    generated = ask(endpoint, document)

    assert generated.generator == "llm"
    assert generated.notes == []
    case = generated.cases[0]
    assert (case.title, case.kind, case.method, case.path) == ("a lamp of the model's", "positive", "POST", "/items")
    assert json.loads(case.body) == VALID_ITEM
    assert case.expectation["status"] == {"in": [201]}
    assert case.authentication == {"key": {"in": "header", "name": "X-Api-Key"}}
    assert len(generated.cases) > 50


def test_the_key_is_in_the_header_and_nowhere_else(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    ask(endpoint, document)

    [(path, headers, request)] = endpoint.seen
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(request)
    assert request["model"] == "a-model"
    assert KEY not in repr(Endpoint("http://a", "m", KEY))


def test_without_a_key_no_credential_is_sent(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    ask(endpoint, document, key="")

    assert "Authorization" not in endpoint.seen[0][1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"operation": "GET /elsewhere"}, "not one of those asked about"),
        ({"kind": "authentication"}, "kind is not"),
        ({"title": ""}, "no title"),
        ({"oracle": 5}, "no oracle"),
        ({"parameters": {"limit": 5}}, "not a list"),
        ({"parameters": ["limit"]}, "not as it was asked for"),
        ({"parameters": [{"in": "header", "name": "Host", "value": "evil.example"}]}, "no header parameter 'Host'"),
        ({"body": {"name": "lamp"}}, "said to be valid, but body is not"),
        ({"body": VALID_ITEM | {"note": "a\x00b"}}, "not certain"),
        ({"kind": "negative"}, "nothing is invalid"),
        ({"operation": "GET /health", "body": {}}, "has no body"),
        ({"operation": "GET /items/{id}", "body": None}, "path parameter 'id' has no value"),
        (
            {
                "operation": "GET /items",
                "body": None,
                "kind": "negative",
                "parameters": [
                    {"in": "query", "name": "limit", "value": 0},
                    {"in": "query", "name": "status", "value": "lost"},
                ],
            },
            "query limit, query status are invalid",
        ),
        (
            {
                "operation": "GET /items",
                "body": None,
                "kind": "negative",
                "parameters": [{"in": "query", "name": "limit", "value": [0, 500]}],
            },
            "how query limit would be read is not certain",
        ),
    ],
)
def test_what_is_not_proven_is_dropped_with_a_note(
    endpoint: FakeEndpoint, document: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    endpoint.answer = lambda _request: completion({"cases": [proposal(**changes)]})

    assert_offline(ask(endpoint, document), reason)


def test_a_proposal_that_is_no_object_is_dropped_and_the_next_is_taken(
    endpoint: FakeEndpoint, document: dict[str, Any]
) -> None:
    endpoint.answer = lambda _request: completion({"cases": ["GET /", proposal()]})

    generated = ask(endpoint, document)

    assert generated.generator == "llm"
    assert generated.notes == ["language model: 1 proposals dropped: not an object"]


def test_a_proposal_proven_invalid_must_be_refused(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    wrong = proposal(kind="negative", title="no price", body={"name": "lamp", "sku": "LMP-0001"})
    endpoint.answer = lambda _request: completion({"cases": [wrong]})

    case = ask(endpoint, document).cases[0]

    assert case.kind == "negative"
    assert case.expectation["status"] == {"in": ["4XX"]}


@pytest.mark.parametrize(("value", "statuses"), [(1, [200]), (4711, [200, 404])])
def test_a_thing_the_description_does_not_name_may_be_missing(
    endpoint: FakeEndpoint, document: dict[str, Any], value: int, statuses: list[int]
) -> None:
    item = proposal(operation="GET /items/{id}", title="an item", body=None)
    item["parameters"] = [{"in": "path", "name": "id", "value": value}]
    endpoint.answer = lambda _request: completion({"cases": [item]})

    generated = ask(endpoint, document)

    case = next(case for case in generated.cases if case.path == f"/items/{value}" and case.kind == "positive")
    assert case.expectation["status"] == {"in": statuses}


def test_titles_are_one_line_of_bounded_text(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    endpoint.answer = lambda _request: completion({"cases": [proposal(title="two\nlines\x00 \ud800" + "x" * 5000)]})

    title = ask(endpoint, document).cases[0].title

    assert title.startswith("two lines x")
    assert len(title) <= 200


def test_a_fence_around_the_json_is_accepted(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    endpoint.answer = lambda _request: completion("Here:\n```json\n" + json.dumps({"cases": [proposal()]}) + "\n```")

    assert ask(endpoint, document).generator == "llm"


@pytest.mark.parametrize("text", ["", "I would rather not.", "{broken", '{"cases": 5}', '{"other": []}', "{" * 100_000])
def test_an_answer_that_is_not_the_json_asked_for_leaves_the_offline_cases(
    endpoint: FakeEndpoint, document: dict[str, Any], text: str
) -> None:
    endpoint.answer = lambda _request: completion(text)

    assert_offline(ask(endpoint, document), "a whole answer")


@pytest.mark.parametrize("value", [b"<html>", {"choices": []}, [], {"choices": [{"message": {"content": None}}]}])
def test_an_answer_that_is_no_completion_leaves_the_offline_cases(
    endpoint: FakeEndpoint, document: dict[str, Any], value: Any
) -> None:
    endpoint.answer = lambda _request: (200, value)

    assert_offline(ask(endpoint, document), "not a chat completion")


@pytest.mark.parametrize(
    ("status", "note"),
    [(401, "answered 401, 200 was expected: is LLM_API_KEY"), (404, "404"), (429, "429"), (500, "500")],
)
def test_a_refusal_is_noted_by_its_status_alone(
    endpoint: FakeEndpoint, document: dict[str, Any], status: int, note: str
) -> None:
    endpoint.answer = lambda _request: (status, {"error": f"incorrect API key {KEY}"})

    assert_offline(ask(endpoint, document), note)
    assert len(endpoint.seen) == 1


def test_a_redirect_does_not_get_the_key(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    endpoint.answer = lambda _request: (302, b"")

    assert_offline(ask(endpoint, document), "answered 302")
    assert [path for path, _, _ in endpoint.seen] == ["/v1/chat/completions"]


def test_an_endpoint_without_the_newer_fields_is_asked_plainly(
    endpoint: FakeEndpoint, document: dict[str, Any]
) -> None:
    def answer(request: dict[str, Any]) -> tuple[int, Any]:
        return (400, {}) if "response_format" in request else completion({"cases": [proposal()]})

    endpoint.answer = answer

    assert ask(endpoint, document).generator == "llm"
    assert "max_tokens" in endpoint.seen[0][2]
    assert "max_completion_tokens" in endpoint.seen[1][2]


def test_a_slow_endpoint_is_left_when_the_time_is_used_up(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    endpoint.drip = 0.05  # every byte comes soon enough, the last one never
    offline = time.monotonic()
    generate(document, seed=1)
    offline = time.monotonic() - offline

    started = time.monotonic()
    generated = ask(endpoint, document, seconds=0.5)

    assert_offline(generated, "its time of 0.5 s was used up")
    assert time.monotonic() - started < offline + 5


def test_an_endless_answer_is_not_read_to_its_end(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    endpoint.answer = lambda _request: (200, b"x" * (3 * 1024 * 1024))

    assert_offline(ask(endpoint, document), "larger than")


def test_a_budget_too_small_for_a_question_asks_nothing(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    assert_offline(ask(endpoint, document, tokens=300), "its budget of 300 tokens leaves 5 operations unasked")
    assert endpoint.seen == []


def test_an_answer_may_not_be_longer_than_the_budget(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    ask(endpoint, document, tokens=2500)

    assert 200 <= endpoint.seen[0][2]["max_tokens"] < 2500


def large(count: int) -> dict[str, Any]:
    """So many operations that one question is not enough."""
    schema = {"type": "object", "properties": {f"field{number}": {"type": "string"} for number in range(200)}}
    body = {"content": {"application/json": {"schema": schema}}}
    paths = {f"/p{number}": {"post": {"requestBody": body, "responses": {"200": {}}}} for number in range(count)}
    return {"openapi": "3.1.0", "info": {"title": "large", "version": "1"}, "paths": paths}


def test_many_operations_are_asked_about_in_several_questions(endpoint: FakeEndpoint) -> None:
    def answer(request: dict[str, Any]) -> tuple[int, Any]:
        asked = json.loads(request["messages"][1]["content"])
        return completion({"cases": [proposal(operation=item["operation"], body={"field0": "new"}) for item in asked]})

    endpoint.answer = answer

    generated = ask(endpoint, large(8), tokens=1_000_000)

    assert len(endpoint.seen) > 1
    proposed = {case.operation for case in generated.cases if case.title == "a lamp of the model's"}
    assert proposed == {f"POST /p{number}" for number in range(8)}


def test_an_overdrawn_budget_ends_the_questions_and_keeps_what_there_is(endpoint: FakeEndpoint) -> None:
    endpoint.answer = lambda _request: completion(
        {"cases": [proposal(operation="POST /p0", body={"field0": "new"})]}, tokens=999_999
    )

    generated = ask(endpoint, large(8), tokens=100_000)

    assert len(endpoint.seen) == 1
    assert generated.generator == "llm"
    assert any("budget of 100000 tokens is used up" in note for note in generated.notes)


def test_the_limit_holds_for_both_generators_together(endpoint: FakeEndpoint, document: dict[str, Any]) -> None:
    endpoint.answer = lambda _request: completion(
        {"cases": [proposal(body=VALID_ITEM | {"quantity": number}) for number in range(50)]}
    )

    generated = LlmGenerator(Endpoint(endpoint.url, "a-model")).generate(document, seed=1, limit=20)

    assert len(generated.cases) == 20
    assert sum(case.title == "a lamp of the model's" for case in generated.cases) == 10
    assert any("above the limit of 20" in note for note in generated.notes)


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({"base_url": ""}, "not both set"),
        ({"model": ""}, "not both set"),
        ({"base_url": "ftp://model"}, "not an http:// or https:// URL"),
        ({"base_url": "http://user:secret@model/v1"}, "holds a credential"),
        ({"key": "two\r\nlines"}, "cannot be sent"),
        ({"base_url": "http://127.0.0.1:1"}, "could not be reached (ConnectError)"),
    ],
)
def test_settings_that_cannot_work_are_noted(
    endpoint: FakeEndpoint, document: dict[str, Any], settings: dict[str, Any], note: str
) -> None:
    generated = ask(endpoint, document, **settings)

    assert_offline(generated, note)
    assert "secret" not in repr(generated.notes)


def test_the_generator_is_set_up_by_the_environment(
    endpoint: FakeEndpoint, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_BASE_URL", endpoint.url + "/")
    monkeypatch.setenv("LLM_MODEL", "another-model")
    monkeypatch.setenv("LLM_API_KEY", KEY)
    monkeypatch.setenv("LLM_TIMEOUT_SECONDS", "7")

    assert generate(document, seed=1, generator="llm").generator == "llm"
    assert endpoint.seen[0][2]["model"] == "another-model"


def test_an_environment_that_is_wrong_is_noted(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_TIMEOUT_SECONDS", "soon")

    generated = from_environment().generate(document, seed=1, limit=100)

    assert_offline(generated, "LLM_TIMEOUT_SECONDS is 'soon'")
