"""The token of the ingress proxy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import yaml

from seatrial.base.clock import ManualClock, rfc3339
from seatrial.cluster.ingress.account import Account
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.kube.client.client import Client


class _Api:
    """Gives tokens that live an hour; the first so many calls fail."""

    def __init__(self, clock: ManualClock, failing: int = 0) -> None:
        self._clock = clock
        self._failing = failing
        self.given = 0

    async def create(self, _resource: Any, body: Any, namespace: str, *, subresource: str, name: str) -> Any:
        assert (namespace, name, subresource) == ("kube-system", "traefik", "token")
        if self._failing:
            self._failing -= 1
            raise StatusError(404, "NotFound", "no such account")
        self.given += 1
        end = self._clock.time() + body["spec"]["expirationSeconds"]
        return {"status": {"token": f"t{self.given}", "expirationTimestamp": rfc3339(end)}}


def _account(api: _Api, clock: ManualClock, directory: Path) -> Account:
    return Account(cast("Client", api), clock, directory, "https://10.96.0.1", "PEM")


async def test_the_kubeconfig_names_the_token_and_does_not_hold_it(tmp_path: Path) -> None:
    clock = ManualClock()
    account = _account(_Api(clock), clock, tmp_path)
    await account.prepare()
    user = yaml.safe_load(account.kubeconfig.read_text())["users"][0]["user"]
    assert user == {"tokenFile": str(tmp_path / "token")}
    assert (tmp_path / "token").read_text() == "t1"
    assert [path.stat().st_mode & 0o777 for path in (account.kubeconfig, tmp_path / "token")] == [0o600, 0o600]


async def test_a_token_is_renewed_well_before_its_end(tmp_path: Path) -> None:
    clock = ManualClock()
    api = _Api(clock)
    account = _account(api, clock, tmp_path)
    keeping = asyncio.create_task(account.keep(await account.prepare()))
    for _ in range(90):
        await clock.advance(30)
    assert (api.given, (tmp_path / "token").read_text()) == (1, "t1")
    for _ in range(10):
        await clock.advance(30)
    assert (api.given, (tmp_path / "token").read_text()) == (2, "t2")
    keeping.cancel()


async def test_an_account_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    clock = ManualClock()
    account = _account(_Api(clock, failing=2), clock, tmp_path)
    preparing = asyncio.create_task(account.prepare())
    for _ in range(3):
        await clock.advance(1)
    await preparing
    assert (tmp_path / "token").read_text() == "t1"
