"""What the instance's registry has, asked directly: is this name there? Before a build, see `build.py`."""

from __future__ import annotations

import base64
import http.client
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from seatrial.pipeline.images.names import Name, Registry

_SECONDS = 5.0
_ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)


def has(registry: Registry, name: Name) -> bool:
    """False also when it does not answer: who needs it hears of that from the build or the push."""
    return digest(registry, name) is not None


def digest(registry: Registry, name: Name) -> str | None:
    """That of the manifest ("" where the registry does not say); None when it is not there."""
    connection = http.client.HTTPConnection(registry.address, timeout=_SECONDS)
    headers = {"Accept": _ACCEPTED}
    if credentials := _credentials(registry):
        headers["Authorization"] = f"Basic {credentials}"
    try:
        connection.request("HEAD", f"/v2/{name.repository}/manifests/{name.locator}", headers=headers)
        answer = connection.getresponse()
        return answer.getheader("Docker-Content-Digest", "") if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _credentials(registry: Registry) -> str:
    if registry.auth_file is None:
        return ""
    try:
        packed = orjson.loads(registry.auth_file.read_bytes())["auths"][registry.address]["auth"]
        base64.b64decode(packed, validate=True)
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return str(packed)
