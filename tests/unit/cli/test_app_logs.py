"""Log lines: once each while following, and filtered as argocd filters them."""

from __future__ import annotations

import pytest

from seatrial.cli.app import look
from seatrial.kube.client.client import Client
from seatrial.kube.client.transport import Request, Response

POD = {"metadata": {"name": "web", "namespace": "shop"}}


class Log:
    """A transport whose log grows by a line with every question."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        self.asked: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.asked.append(request)
        shown = "".join(f"{line}\n" for line in self.lines[: len(self.asked) + 1])
        return Response(200, {}, shown.encode())


async def test_following_gives_each_line_once() -> None:
    lines = [f"2024-05-01T10:00:00.{number}Z line {number}" for number in range(4)]
    log = Log(*lines)
    found: list[str] = []
    read = look._log_lines(Client(log), POD, "main", {"tailLines": 5}, follow=True, previous=False)  # type: ignore[arg-type]
    async for _, text in read:
        found.append(text)
        if len(found) == 4:
            break
    await read.aclose()  # type: ignore[attr-defined]
    assert found == ["line 0", "line 1", "line 2", "line 3"]
    assert log.asked[0].path == "/api/v1/namespaces/shop/pods/web/log"
    assert ("sinceTime", "2024-05-01T10:00:00Z") in log.asked[1].query
    assert ("tailLines", "5") not in log.asked[1].query


@pytest.mark.parametrize(
    ("wanted", "match_case", "admitted"),
    [
        ("", False, True),
        ("ERROR", False, True),
        ("ERROR", True, False),
        ("!error", False, False),
        ("!warning", False, True),
    ],
)
def test_filters(wanted: str, match_case: bool, admitted: bool) -> None:
    assert look._LineFilter(wanted, match_case).admits("an error") is admitted
