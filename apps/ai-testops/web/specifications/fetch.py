"""An API description from a URL: only where the operator allows, only so much of it, only for so long."""

from __future__ import annotations

import asyncio

import httpx

from groundwork.addresses import AddressPolicy, ForbiddenAddress, GuardedAsyncTransport
from specifications.document import MAX_BYTES, InvalidSpecification

MAX_REDIRECTS = 3
TOTAL_SECONDS = 15
STEP_SECONDS = 5


def fetch(url: str, policy: AddressPolicy) -> bytes:
    """The bytes at `url`. Every hop of a redirect is checked like the first."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise InvalidSpecification("the URL holds a credential, which would be kept and shown: leave it out")
    if not url.lower().startswith(("http://", "https://")):
        raise InvalidSpecification(f"{url} is not an http:// or https:// URL")
    try:
        return asyncio.run(_read(url, policy))
    except TimeoutError:
        raise InvalidSpecification(f"{url} took longer than {TOTAL_SECONDS} seconds") from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError):
        raise InvalidSpecification(f"{url} is not an http:// or https:// URL") from None
    except ForbiddenAddress as error:
        raise InvalidSpecification(str(error)) from None
    except httpx.HTTPError as error:
        raise InvalidSpecification(f"{url} could not be read: {error or type(error).__name__}") from error


async def _read(url: str, policy: AddressPolicy) -> bytes:
    client = httpx.AsyncClient(
        transport=GuardedAsyncTransport(policy, httpx.Limits()),
        timeout=httpx.Timeout(STEP_SECONDS),
        max_redirects=MAX_REDIRECTS,
        headers={"Accept-Encoding": "identity"},  # what is packed could unfold without end
    )
    # A deadline for the whole: each step's own timeout would let a server that drips byte by byte go on for hours.
    async with asyncio.timeout(TOTAL_SECONDS), client, client.stream("GET", url, follow_redirects=True) as response:
        if response.status_code != 200:
            raise InvalidSpecification(f"{url} answered {response.status_code}, 200 was expected")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise InvalidSpecification(f"{url} answered with packed content, which is not accepted")
        content = bytearray()
        async for part in response.aiter_raw():
            content += part
            if len(content) > MAX_BYTES:
                raise InvalidSpecification(f"{url} is larger than {MAX_BYTES} bytes")
        return bytes(content)
