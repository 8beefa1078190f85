"""A certificate request says who made it: the signer trusts that, not the request's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call
    from seatrial.kube.model.objects import Object


def admit(call: Call, obj: Object, live: Object | None) -> None:
    """Write the caller into a new request; an old one stays as it was made."""
    if live is not None:
        obj["spec"] = live["spec"]
        return
    spec = obj.setdefault("spec", {})
    for field in ("username", "uid", "groups", "extra"):
        spec.pop(field, None)
    spec.update(call.user.to_json())
