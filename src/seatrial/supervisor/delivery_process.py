"""The delivery plane's process (see `child`): the GitOps engine, a client of the API like any other."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from seatrial.base import log
from seatrial.base.clock import Clock, SystemClock
from seatrial.base.errors import SeatrialError
from seatrial.gitops.api import names
from seatrial.gitops.engine import Engine, Options
from seatrial.kube.client import kubeconfig
from seatrial.kube.client.client import Client
from seatrial.kube.client.http import HttpTransport
from seatrial.kube.model.status import StatusError
from seatrial.supervisor import child, claim
from seatrial.supervisor.child import Reports
from seatrial.supervisor.instance import Instance

logger = logging.getLogger(__name__)


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
    working: asyncio.Task[None] | None = None
    client: Client | None = None
    try:
        await child.take(instance, claim.DELIVERY, clock)
        transport = HttpTransport(kubeconfig.load(instance.kubeconfig, "seatrial"), clock, user_agent="seatrial-gitops")
        client = Client(transport, field_manager=names.FIELD_MANAGER)
        engine = Engine(client, clock, _options(instance))
        working = asyncio.create_task(engine.run(lambda: reports.tell({"url": engine.webhook_url})))
        waiting = asyncio.ensure_future(told.wait())
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return 0
    except (SeatrialError, StatusError) as error:
        logger.error("the GitOps engine ended", extra={"why": error.message})
        reports.tell({"error": error.message, "reason": error.reason})
        return 1
    except OSError as error:
        reports.tell({"error": instance.unusable(error).message})
        return 1
    finally:
        if working is not None:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        if client is not None:
            await client.close()


def _options(instance: Instance) -> Options:
    helm = shutil.which("helm")
    return Options(
        instance.directory / "gitops",
        helm=Path(helm) if helm else None,
        environment={"PATH": os.environ.get("PATH", "")},
    )


if __name__ == "__main__":
    sys.exit(main())
