"""`python -m testops_consumer`: runs until SIGTERM, then finishes what is under way and leaves."""

from __future__ import annotations

import asyncio
import logging
import sys

from groundwork.environment import MissingSetting
from testops_consumer import service
from testops_consumer.settings import Settings, from_environment


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    service.listen_for_signals(stop)
    await service.serve(settings, stop)


def main() -> int:
    try:
        settings = from_environment()
    except MissingSetting as error:
        sys.stderr.write(f"testops_consumer: {error}\n")
        return 2
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(_serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
