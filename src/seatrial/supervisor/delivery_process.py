"""The delivery plane's process (see `child`): GitOps engine, git server, pipeline: clients of the API like any other.

The two engines know nothing of each other: what a push to our git server means to the GitOps engine is said here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.base import log
from seatrial.base.clock import Clock, SystemClock
from seatrial.base.errors import SeatrialError
from seatrial.base.files import write_atomic
from seatrial.gitops import engine as gitops
from seatrial.gitops.api import names
from seatrial.gitops.webhook.push import Push, commit_id
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client
from seatrial.kube.client.http import HttpTransport
from seatrial.kube.model.status import StatusError
from seatrial.pipeline import actions
from seatrial.pipeline import engine as pipeline
from seatrial.pipeline.gitserver.repositories import DEFAULT_BRANCH
from seatrial.supervisor import child, claim
from seatrial.supervisor.child import Reports
from seatrial.supervisor.instance import Instance

if TYPE_CHECKING:
    from seatrial.pipeline.gitserver.repositories import Push as Pushed

logger = logging.getLogger(__name__)

ADMIN = "admin"
"""Who the token of the git server's owner says it is."""


def main() -> int:
    import uvloop

    options = child.options()
    log.configure(options.get("log_level", "INFO"))
    reports = Reports(options["notify"])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(options, reports, SystemClock()))


async def _run(options: dict[str, Any], reports: Reports, clock: Clock) -> int:
    instance = Instance(Path(options["directory"]))
    told = child.told()
    working: list[asyncio.Task[None]] = []
    transport: HttpTransport | None = None
    try:
        await child.take(instance, claim.DELIVERY, clock)
        transport = HttpTransport(kubeconfig.load(instance.kubeconfig, "seatrial"), clock, user_agent="seatrial")
        delivery = Delivery(instance, options, transport, clock, reports)
        working = [asyncio.create_task(part) for part in delivery.parts()]
        waiting = asyncio.create_task(_set(told))
        await asyncio.wait({*working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for part in working:
            if part.done():
                part.result()
        return 0
    except (SeatrialError, StatusError) as error:
        logger.error("the delivery plane ended", extra={"why": error.message})
        reports.tell({"error": error.message, "reason": error.reason})
        return 1
    except OSError as error:
        reports.tell({"error": instance.unusable(error).message})
        return 1
    finally:
        for part in working:
            part.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        if transport is not None:
            await transport.close()


async def _set(told: asyncio.Event) -> None:
    await told.wait()


class Delivery:
    """Both engines, and what passes between them."""

    def __init__(
        self, instance: Instance, options: dict[str, Any], transport: HttpTransport, clock: Clock, reports: Reports
    ) -> None:
        self._instance = instance
        self._reports = reports
        self._ready: set[str] = set()
        self._gitops = gitops.Engine(
            Client(transport, field_manager=names.FIELD_MANAGER), clock, _gitops_options(instance)
        )
        self._pipeline: pipeline.Engine | None = None
        self._lacking = pipeline.lacking(os.environ.get("PATH", ""))
        if not self._lacking:
            client = Client(transport, field_manager="seatrial-pipeline")
            self._pipeline = pipeline.Engine(client, clock, _pipeline_options(instance, options), self._pushed)

    def parts(self) -> list[Any]:
        """What is to run, as long as this process does."""
        parts = [self._gitops.run(lambda: self._is_ready("gitops"))]
        if self._pipeline is not None:
            parts.append(self._pipeline.run(lambda: self._is_ready("pipeline")))
        return parts

    def _is_ready(self, part: str) -> None:
        self._ready.add(part)
        if self._pipeline is None:
            self._reports.tell({"url": self._gitops.webhook_url})
            self._reports.tell({"degraded": f"no git server and no pipeline: {self._lacking}"})
        elif self._ready == {"gitops", "pipeline"}:
            git = self._pipeline.url
            self._reports.tell(
                {"url": self._gitops.webhook_url, "git": f"{git}/git/", "port": int(git.rpartition(":")[2])}
            )

    def _pushed(self, push: Pushed) -> None:
        """Our own git server needs no webhook."""
        if self._pipeline is None or "gitops" not in self._ready:
            return  # the engine asks every repository when it starts
        url = self._pipeline.clone_url(push.repository)
        is_head = push.ref == f"refs/heads/{DEFAULT_BRANCH}"
        self._gitops.pushed(Push((url,), push.ref, commit_id(push.before), commit_id(push.after), is_head))


def _gitops_options(instance: Instance) -> gitops.Options:
    helm = shutil.which("helm")
    return gitops.Options(
        instance.directory / "gitops",
        helm=Path(helm) if helm else None,
        environment={"PATH": os.environ.get("PATH", "")},
    )


def _pipeline_options(instance: Instance, options: dict[str, Any]) -> pipeline.Options:
    environment = {
        "PATH": _path(os.environ.get("PATH", "")),
        "SEATRIAL_PYTHON": sys.executable,
        "SEATRIAL_CACHE": options["cache"],
        **{name: value for name in _PASSED_ON if (value := os.environ.get(name))},
    }
    if options["registry"]:
        environment |= {
            "SEATRIAL_REGISTRY": options["registry"],
            "REGISTRY_AUTH_FILE": str(instance.registry_auth),
        }
    return pipeline.Options(
        instance.directory / "pipeline",
        {ADMIN: _token(instance.git_token)},
        host=options["host"],
        port=options["port"],
        local_actions=actions.stand_ins(),
        environment=environment,
    )


def _path(path: str) -> str:
    """Without our own Python: what a step installs is not to change us."""
    own = str(Path(sys.executable).parent)
    return ":".join([str(actions.BIN), *(part for part in path.split(":") if part and part != own)])


_PASSED_ON = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
)  # fmt: skip
"""How this machine reaches package registries: a workflow's steps see nothing else of our environment."""


def _token(path: Path) -> str:
    """Made at the first start. Raises OSError."""
    with_token = path.read_text().strip() if path.is_file() else ""
    if not with_token:
        with_token = secrets.token_urlsafe(32)
        write_atomic(path, with_token, mode=0o600)
    return with_token


if __name__ == "__main__":
    sys.exit(main())
