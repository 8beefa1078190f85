"""The lowest level of protobuf: variable-length integers, numbers, and stepping over what is not known.

Positions are never checked one by one: reading past the end of the body raises IndexError, and a message
compares where it arrived with where it ends.
"""

from __future__ import annotations

import math
import struct

from seatrial.base.errors import Terminal

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)

_LONGEST_VARINT = 63
"""The shift of the tenth and last byte of 64 bits."""
_DOUBLE = struct.Struct("<d")


class Malformed(Terminal):
    """The bytes are not the message they claim to be."""

    reason = "BadRequest"


def varint(data: bytes, position: int) -> tuple[int, int]:
    """An unsigned 64-bit integer and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
        if shift >= _LONGEST_VARINT:
            raise Malformed(f"the integer before byte {position} is longer than 64 bits")
        shift += 7


def int64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def int32(value: int) -> int:
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value


def double(data: bytes, position: int) -> int | float:
    """A number as JSON would show it: an integer where it is one."""
    if position + 8 > len(data):
        raise IndexError
    value: float = _DOUBLE.unpack_from(data, position)[0]
    if not math.isfinite(value):
        raise Malformed(f"the number at byte {position} is not finite, which JSON cannot hold")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def skip(data: bytes, position: int, wire_type: int) -> int:
    """The position after a field of this wire type whose tag has just been read."""
    if wire_type == START_GROUP:
        return _skip_group(data, position)
    if wire_type == VARINT:
        return varint(data, position)[1]
    if wire_type == LENGTH:
        size, position = varint(data, position)
        return position + size
    if wire_type in (FIXED64, FIXED32):
        return position + (8 if wire_type == FIXED64 else 4)
    raise Malformed(f"the field before byte {position} has no wire type that protobuf knows")


def _skip_group(data: bytes, position: int) -> int:
    """Groups nest; each step consumes at least a byte, so this ends."""
    open_groups = 1
    while open_groups:
        tag, position = varint(data, position)
        if tag & 7 == START_GROUP:
            open_groups += 1
        elif tag & 7 == END_GROUP:
            open_groups -= 1
        else:
            position = skip(data, position, tag & 7)
    return position
