"""Does the API answer that it is ready? Asked from outside, as any client would: what a process says of itself is
not what its users see."""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 3.0


def trouble(url: str, ca_file: Path, seconds: float = SECONDS) -> str:
    """Why the API at `url` is not ready, or "" if it is."""
    address = urlsplit(url)
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
        connection = http.client.HTTPSConnection(address.netloc, timeout=seconds, context=context)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            text = answer.read(2000).decode(errors="replace").strip()
        finally:
            connection.close()
    except TimeoutError:
        return f"{url}/readyz does not answer within {seconds:g} s"
    except (OSError, http.client.HTTPException) as error:
        return f"{url}/readyz does not answer: {error}"
    return "" if answer.status == 200 else f"{url}/readyz says: {' '.join(text.split())}"
