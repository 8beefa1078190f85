"""An API description from a URL: only where the operator allows, only so much of it, only for so long."""

from __future__ import annotations

import time

import httpx

from groundwork.addresses import AddressPolicy, ForbiddenAddress, GuardedTransport
from specifications.document import MAX_BYTES, InvalidSpecification

MAX_REDIRECTS = 3
TOTAL_SECONDS = 15


def fetch(url: str, policy: AddressPolicy) -> bytes:
    """The bytes at `url`. Every hop of a redirect is checked like the first."""
    timeout = httpx.Timeout(5)
    with httpx.Client(transport=GuardedTransport(policy), timeout=timeout, max_redirects=MAX_REDIRECTS) as client:
        try:
            with client.stream("GET", url, follow_redirects=True) as response:
                if response.status_code != 200:
                    raise InvalidSpecification(f"{url} answered {response.status_code}, 200 was expected")
                return _bounded(response, url)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise InvalidSpecification(f"{url} is not an http:// or https:// URL") from None
        except ForbiddenAddress as error:
            raise InvalidSpecification(str(error)) from None
        except httpx.HTTPError as error:
            raise InvalidSpecification(f"{url} could not be read: {error or type(error).__name__}") from error


def _bounded(response: httpx.Response, url: str) -> bytes:
    deadline = time.monotonic() + TOTAL_SECONDS
    content = bytearray()
    for part in response.iter_bytes(64 * 1024):
        content += part
        if len(content) > MAX_BYTES:
            raise InvalidSpecification(f"{url} is larger than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise InvalidSpecification(f"{url} took longer than {TOTAL_SECONDS} seconds")
    return bytes(content)
