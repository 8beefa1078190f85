"""get and list.

What a client reads is on disk: every answer waits until the revision it shows is durable. A page of a chunked
list shows the state at the first page's revision. Source: the API concepts page, "Resource versions" and
"Retrieving large results sets in chunks".
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.apiserver import projection, selection
from seatrial.cluster.apiserver.answer import Answer, ListAnswer
from seatrial.cluster.apiserver.verbs.result import listed, shown
from seatrial.cluster.store.errors import Compacted
from seatrial.kube.model import status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.cluster.store.entry import Entry
    from seatrial.kube.model.objects import Object

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)


async def get(core: Core, call: Call) -> Answer:
    entry = core.store.get(call.kind.key, call.namespace, call.target.name)
    asked = _minimum_revision(core, call.request.param("resourceVersion"))
    if entry is None:
        await core.store.settled(core.store.revision)
        raise status.not_found(call.resource, call.target.name)
    await core.store.settled(max(entry.revision, asked))
    return shown(core, call, entry)


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a chunked list goes on: after this key, at this revision (0: whatever is there now)."""

    revision: int
    namespace: str
    name: str

    def token(self) -> str:
        raw = orjson.dumps({"v": "seatrial/v1", "rv": self.revision, "ns": self.namespace, "n": self.name})
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> _Page:
        try:
            raw = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            page = cls(int(raw["rv"]), str(raw["ns"]), str(raw["n"]))
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise status.bad_request("continue key is not valid: it must be a token from an earlier list") from None
        if page.revision < 0:
            raise status.bad_request("continue key is not valid: negative revision")
        return page


async def list_(core: Core, call: Call) -> Answer:
    limit = whole_number(call, "limit")
    token = call.request.param("continue")
    entries, revision = _chosen(core, call, token)
    matches = _matcher(call)
    if matches is not None:
        entries = [entry for entry in entries if matches(entry.object)]
    page, rest = _cut(entries, limit)
    await core.store.settled(revision)
    meta: dict[str, Any] = {"resourceVersion": str(revision)}
    if rest:
        last = page[-1]
        meta["continue"] = _Page(revision, last.namespace, last.name).token()
        if matches is None:
            meta["remainingItemCount"] = rest
    return _list_answer(core, call, page, meta)


def _cut(entries: Sequence[Entry], limit: int) -> tuple[Sequence[Entry], int]:
    if not limit or len(entries) <= limit:
        return entries, 0
    return entries[:limit], len(entries) - limit


def _matcher(call: Call) -> Callable[[Object], bool] | None:
    by_selector = selection.matcher(call)
    if by_selector is None or call.kind.is_stored_as_served:
        return by_selector
    served = call.kind.served
    return lambda obj: by_selector(served(obj))


def _chosen(core: Core, call: Call, token: str) -> tuple[Sequence[Entry], int]:
    """The entries the request is about, and the revision they are the state of."""
    _check_match(call)
    asked = call.request.param("resourceVersion")
    if token:
        if asked not in ("", "0"):
            raise status.bad_request("specifying resource version is not allowed when using continue")
        return _next_page(core, call, _Page.parse(token))
    wanted = _minimum_revision(core, asked)
    if _is_exact(call, asked):
        return _at(core, call, wanted), wanted
    return core.store.list(call.kind.key, call.namespace or None), core.store.revision


def _is_exact(call: Call, asked: str) -> bool:
    """Pages of a list belong to one state: with a limit, a revision means that very one."""
    match = call.request.param("resourceVersionMatch")
    return match == "Exact" or (not match and asked not in ("", "0") and whole_number(call, "limit") > 0)


def _check_match(call: Call) -> None:
    match, asked = call.request.param("resourceVersionMatch"), call.request.param("resourceVersion")
    causes = []
    if call.request.flag("sendInitialEvents") is not None:
        causes.append(status.forbidden_value("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if match and not asked:
        causes.append(
            status.forbidden_value(
                "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
            )
        )
    elif match and match not in ("Exact", "NotOlderThan"):
        causes.append(status.unsupported_value("resourceVersionMatch", match, ["Exact", "NotOlderThan"]))
    elif match == "Exact" and asked == "0":
        detail = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        causes.append(status.forbidden_value("resourceVersionMatch", detail))
    if causes:
        raise status.invalid("meta.k8s.io", "ListOptions", "", causes)


def _next_page(core: Core, call: Call, page: _Page) -> tuple[Sequence[Entry], int]:
    after = (page.namespace, page.name)
    if page.revision == 0:
        entries: Sequence[Entry] = core.store.list(call.kind.key, call.namespace or None)
        revision = core.store.revision
    else:
        if page.revision > core.store.revision:
            raise status.bad_request("continue key is not valid: it is newer than this server's data")
        try:
            entries, revision = (
                core.store.list_at(call.kind.key, call.namespace or None, page.revision),
                page.revision,
            )
        except Compacted:
            raise status.expired(_TOO_OLD, _Page(0, *after).token()) from None
    return [entry for entry in entries if (entry.namespace, entry.name) > after], revision


def _at(core: Core, call: Call, revision: int) -> Sequence[Entry]:
    try:
        return core.store.list_at(call.kind.key, call.namespace or None, revision)
    except Compacted:
        raise status.expired(f"The resourceVersion for the provided list is too old: {revision}") from None


def _minimum_revision(core: Core, asked: str) -> int:
    """The revision a client wants at least. Raises 400 or 504 when it lies in the future."""
    wanted = revision_number(asked)
    if wanted > core.store.revision:
        raise status.too_large_resource_version(wanted, core.store.revision)
    return wanted


def revision_number(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        cause = status.invalid_value("resourceVersion", text, "must be a whole number from a list or object")
        raise status.invalid("meta.k8s.io", "ListOptions", "", [cause])
    return int(text)


def whole_number(call: Call, name: str) -> int:
    """A query parameter that must be a whole number, 0 when it is absent. Raises 400."""
    text = call.request.param(name)
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise status.bad_request(f'{name} must be a whole number of 0 or more, not "{text[:40]}"')
    return int(text)


def _list_answer(core: Core, call: Call, page: Sequence[Entry], meta: dict[str, Any]) -> Answer:
    kind = call.kind
    head = {"kind": kind.resource.list_name, "apiVersion": kind.resource.api_version, "metadata": meta}
    if kind.is_stored_as_served and not projection.asked(call.request).name:
        return ListAnswer(head, page, call.warnings)
    return listed(core, call, [kind.served(entry.object) for entry in page], meta)
