"""Types whose JSON is not their protobuf fields: quantities, times, int-or-string, embedded JSON, schemas.

Each function gets the protobuf fields and gives the JSON value, None for what JSON would show as null.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base import clock
from seatrial.cluster.apiserver.protobuf.wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799
"""Years 1 to 9999, which RFC 3339 can write."""
_INT_OR_STRING_IS_STRING = 1


def items(fields: dict[str, Any]) -> list[Any]:
    """A message that only exists because protobuf cannot nest lists."""
    found: list[Any] = fields.get("items", [])
    return found


def _quantity(fields: dict[str, Any]) -> str:
    return fields.get("string") or "0"


def _int_or_string(fields: dict[str, Any]) -> int | str:
    if fields.get("type") == _INT_OR_STRING_IS_STRING:
        return str(fields.get("strVal", ""))
    return int(fields.get("intVal", 0))


def _time(fields: dict[str, Any]) -> str | None:
    """An empty message is the zero time, which JSON shows as null."""
    return clock.rfc3339(_seconds(fields)) if fields else None


def _micro_time(fields: dict[str, Any]) -> str | None:
    if not fields:
        return None
    nanos = fields.get("nanos", 0)
    if not 0 <= nanos < 1_000_000_000:
        raise Malformed(f"a time has {nanos} nanoseconds")
    return f"{clock.rfc3339(_seconds(fields))[:-1]}.{nanos // 1000:06d}Z"


def _seconds(fields: dict[str, Any]) -> int:
    seconds: int = fields.get("seconds", 0)
    if not _EARLIEST <= seconds <= _LATEST:
        raise Malformed(f"a time is {seconds} seconds after 1970, outside the years 1 to 9999")
    return seconds


def _embedded(fields: dict[str, Any]) -> Any:
    """JSON kept as bytes: FieldsV1, RawExtension and a schema's defaults and examples."""
    raw = base64.b64decode(fields.get("raw") or fields.get("Raw") or b"")
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"a value that must be JSON is not ({error})") from None


def _schema_or_list(fields: dict[str, Any]) -> Any:
    return fields.get("jSONSchemas") or fields.get("schema")


def _schema_or_bool(fields: dict[str, Any]) -> Any:
    return fields.get("schema", fields.get("allows", False))


def _schema_or_names(fields: dict[str, Any]) -> Any:
    return fields.get("property") or fields.get("schema")


OWN_JSON: dict[str, Callable[[dict[str, Any]], Any]] = {
    "apiextensions.v1.JSON": _embedded,
    "apiextensions.v1.JSONSchemaPropsOrArray": _schema_or_list,
    "apiextensions.v1.JSONSchemaPropsOrBool": _schema_or_bool,
    "apiextensions.v1.JSONSchemaPropsOrStringArray": _schema_or_names,
    "intstr.IntOrString": _int_or_string,
    "meta.v1.FieldsV1": _embedded,
    "meta.v1.MicroTime": _micro_time,
    "meta.v1.Time": _time,
    "resource.Quantity": _quantity,
    "runtime.RawExtension": _embedded,
}
