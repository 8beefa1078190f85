"""Forget UDP connections to backends that are gone: they have no end of their own, and would go there for ever."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

if TYPE_CHECKING:
    from collections.abc import Collection

    from seatrial.cluster.network.backends import Backend

log = logging.getLogger(__name__)

_UDP = 17
_IPV4 = 2


def forget(gone: Collection[tuple[str, int, Backend]]) -> None:
    """Of (Service address, port, backend). Blocks for as long as the kernel needs to list its connections."""
    wanted = {(address, port, backend.address, backend.port) for address, port, backend in gone}
    socket = NFCTSocket()
    try:
        for entry in list(socket.dump()):
            original, reply = _ends(entry, "CTA_TUPLE_ORIG"), _ends(entry, "CTA_TUPLE_REPLY")
            if original and reply and (original[2], original[3], reply[0], reply[1]) in wanted:
                _delete(socket, original)
    except NetlinkError as error:
        log.warning("UDP connections to removed endpoints stay", extra={"error": error})
    finally:
        socket.close()


def _ends(entry: Any, name: str) -> tuple[str, int, str, int] | None:
    """Source address and port, destination address and port."""
    ends = entry.get_attr(name)
    addresses, ports = (ends.get_attr("CTA_TUPLE_IP"), ends.get_attr("CTA_TUPLE_PROTO")) if ends else (None, None)
    if not addresses or not ports or ports.get_attr("CTA_PROTO_NUM") != _UDP:
        return None
    return (
        addresses.get_attr("CTA_IP_V4_SRC"),
        ports.get_attr("CTA_PROTO_SRC_PORT"),
        addresses.get_attr("CTA_IP_V4_DST"),
        ports.get_attr("CTA_PROTO_DST_PORT"),
    )


def _delete(socket: NFCTSocket, ends: tuple[str, int, str, int]) -> None:
    source, source_port, target, target_port = ends
    key = NFCTAttrTuple(saddr=source, daddr=target, proto=_UDP, sport=source_port, dport=target_port)
    try:
        socket.entry("del", tuple_orig=key)
    except NetlinkError as error:
        log.debug("connection is gone already", extra={"error": error})
