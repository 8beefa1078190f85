"""How the ingress proxy asks the API server: a kubeconfig, and beside it a token that is renewed long before its end.

Both are files for our user alone, read again by the proxy: a token is never in an argument or an environment.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import yaml

from seatrial.base.clock import parse_time
from seatrial.base.errors import Retryable
from seatrial.base.files import write_atomic
from seatrial.cluster.ingress.manifests import NAME, NAMESPACE
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.connection import Connection
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.base.clock import Clock
    from seatrial.kube.client.client import Client

log = logging.getLogger(__name__)

_SECONDS = 3600
_SHARE_OF_LIFE = 0.8
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 30.0
"""A machine that slept is older than its clocks for waiting say: the time is looked at so often."""
_ACCOUNTS = resources.for_plural("serviceaccounts")


class Account:
    def __init__(self, client: Client, clock: Clock, directory: Path, server: str, ca: str) -> None:
        """`server`: the URL of the API server as the proxy reaches it; `ca`: PEM."""
        self._client = client
        self._clock = clock
        self._token = directory / "token"
        self._connection = Connection(server, ca=ca, token_file=self._token)
        self.kubeconfig = directory / "kubeconfig"

    async def prepare(self) -> float:
        """Files to start with, once the account is published. The time from which on to renew."""
        due = await self._renewed()
        write_atomic(self.kubeconfig, yaml.safe_dump(kubeconfig.document(self._connection, NAME)), 0o600)
        return due

    async def keep(self, due: float) -> None:
        """Renew, until cancelled."""
        while True:
            while self._clock.time() < due:
                await self._clock.sleep(_LOOK_SECONDS)
            due = await self._renewed()

    async def _renewed(self) -> float:
        told = False
        while True:
            try:
                return await self._renew()
            except (StatusError, Retryable, OSError) as error:
                if not told:
                    log.warning("no token for the ingress proxy yet", extra={"error": str(error)})
                told = True
                await self._clock.sleep(_RETRY_SECONDS)

    async def _renew(self) -> float:
        spec = {"expirationSeconds": _SECONDS}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        now = self._clock.time()
        answer = await self._client.create(_ACCOUNTS, body, NAMESPACE, subresource="token", name=NAME)
        given = answer["status"]
        write_atomic(self._token, given["token"], 0o600)
        return now + _SHARE_OF_LIFE * (parse_time(given["expirationTimestamp"]) - now)
