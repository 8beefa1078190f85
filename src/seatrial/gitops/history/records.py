"""The manifests of each deployment, kept in the cluster beside the Application: a way back that needs no Git.

They stand in Secrets that the Application owns, packed, in as many as their size needs. Entries share a ring of
names, so that recording one is a write and never also a deletion. The values of recorded Secrets are sealed, or left
out: then they are to be rendered again.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import zlib
from typing import TYPE_CHECKING, NamedTuple

import orjson

from seatrial.base.errors import Terminal
from seatrial.gitops.api import names
from seatrial.kube.model import objects, resources
from seatrial.kube.model.objects import Ref
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from seatrial.gitops.api.application import Application
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

TYPE = "seatrial.dev/manifests"
APPLICATION = "seatrial.dev/application-uid"
"""Label: whose record it is."""
_ENTRY, _PART, _PARTS, _DIGEST = (f"seatrial.dev/{name}" for name in ("history-id", "part", "parts", "digest"))
_KEY = "manifests"
_LABEL = b"seatrial.dev/manifests"
PART_BYTES = 700 * 1024
"""A Secret holds a mebibyte; its base64 has to fit into a request and an object beside the rest."""
MAX_BYTES = 64 * 1024 * 1024
"""Unpacked, of one record."""
_SECRETS = resources.for_kind("v1", "Secret")


class Damaged(Terminal):
    reason = "DamagedRecord"


class Seal(NamedTuple):
    encrypt: Callable[[bytes, bytes], bytes | None]
    """Of a value and a label that has to be given again to decrypt it. None: there is no key yet."""
    decrypt: Callable[[bytes, bytes], bytes]


class Recorded(NamedTuple):
    manifests: tuple[Object, ...]
    omitted: tuple[Ref, ...]
    """Secrets whose values were not recorded: render the entry's revision for them."""


class Records:
    def __init__(self, client: Client, seal: Seal | None = None) -> None:
        self._client = client
        self._seal = seal

    async def record(self, app: Application, id: int, manifests: Sequence[Object]) -> None:
        """Raises StatusError. Nothing is kept for an application that keeps no history."""
        if app.history_limit <= 0:
            return
        packed = pack(manifests, self._seal)
        digest = hashlib.sha256(packed).hexdigest()
        parts = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
        for number, part in enumerate(parts):
            shown = {_ENTRY: str(id), _PART: str(number), _PARTS: str(len(parts)), _DIGEST: digest}
            secret = _secret(app, id % app.history_limit, number, part, shown)
            await self._client.apply(_SECRETS, secret, force=True, field_manager=names.FIELD_MANAGER)

    async def read(self, app: Application, id: int) -> Recorded | None:
        """None if there is no (whole) record of this entry. Raises StatusError, Damaged."""
        found = [secret for secret in await self._all(app) if objects.annotations(secret).get(_ENTRY) == str(id)]
        by_part = {objects.annotations(secret).get(_PART): secret for secret in found}
        first = by_part.get("0")
        if first is None:
            return None
        count = int(objects.annotations(first).get(_PARTS) or 1)
        digest = objects.annotations(first).get(_DIGEST)
        parts = [by_part.get(str(number)) for number in range(count)]
        whole = [part for part in parts if part is not None and objects.annotations(part).get(_DIGEST) == digest]
        if len(whole) < count:
            return None
        packed = b"".join(base64.b64decode(part["data"][_KEY]) for part in whole)
        if hashlib.sha256(packed).hexdigest() != digest:
            raise Damaged(f"the recorded manifests of entry {id} of {app.name} were changed: sync its revision instead")
        return unpack(packed, self._seal)

    async def tidy(self, app: Application, ids: Iterable[int]) -> None:
        """Delete the records of all other entries: of use after `revisionHistoryLimit` was lowered."""
        kept = {str(id) for id in ids}
        for secret in await self._all(app):
            if objects.annotations(secret).get(_ENTRY) not in kept:
                try:
                    await self._client.delete(_SECRETS, objects.name(secret), app.namespace, uid=objects.uid(secret))
                except StatusError as error:
                    if error.code not in (404, 409):
                        raise

    async def _all(self, app: Application) -> list[Object]:
        selector = f"{APPLICATION}={objects.uid(app.object)}"
        return (await self._client.list(_SECRETS, app.namespace, label_selector=selector)).items


def pack(manifests: Sequence[Object], seal: Seal | None) -> bytes:
    """Of Secrets nothing is kept that could be read."""
    plain = [obj for obj in manifests if not _is_secret(obj)]
    secret = [obj for obj in manifests if _is_secret(obj)]
    content: Object = {"manifests": plain}
    sealed = seal.encrypt(orjson.dumps(secret), _LABEL) if secret and seal is not None else None
    if sealed is not None:
        content["sealed"] = base64.b64encode(sealed).decode()
    if secret:
        content["secrets"] = [list(objects.ref(obj)) for obj in secret]
    return gzip.compress(orjson.dumps(content), 6, mtime=0)


def unpack(packed: bytes, seal: Seal | None) -> Recorded:
    """Raises Damaged."""
    try:
        content = orjson.loads(_unzipped(packed))
        sealed = content.get("sealed")
        secrets = tuple(Ref(*item) for item in content.get("secrets") or content.get("omitted") or ())
        manifests = list(content["manifests"])
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged("the recorded manifests cannot be read: sync their revision instead") from error
    if not sealed or seal is None:
        return Recorded(tuple(manifests), secrets)
    try:
        manifests += orjson.loads(seal.decrypt(base64.b64decode(sealed), _LABEL))
    except (Terminal, ValueError):  # sealed with a key that is gone
        return Recorded(tuple(manifests), secrets)
    return Recorded(tuple(manifests), ())


def _unzipped(packed: bytes) -> bytes:
    """With a limit: whoever may write Secrets must not be able to fill this process's memory."""
    engine = zlib.decompressobj(wbits=31)
    found = engine.decompress(packed, MAX_BYTES)
    if engine.unconsumed_tail or not engine.eof:
        raise ValueError("too large, or cut off")
    return found


def _is_secret(obj: Object) -> bool:
    ref = objects.ref(obj)
    return (ref.group, ref.kind) in (("", "Secret"), ("", "SecretList"), ("", "List"))


def _secret(app: Application, slot: int, part: int, data: bytes, annotations: dict[str, str]) -> Object:
    short = hashlib.sha256(app.name.encode()).hexdigest()[:8]
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": "Application",
        "name": app.name,
        "uid": objects.uid(app.object),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TYPE,
        "metadata": {
            "name": f"{app.name[:200].rstrip('.-')}-manifests-{short}-{slot}-{part}",
            "namespace": app.namespace,
            "labels": {APPLICATION: objects.uid(app.object)},
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "data": {_KEY: base64.b64encode(data).decode()},
    }
