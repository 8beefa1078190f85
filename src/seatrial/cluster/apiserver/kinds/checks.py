"""Small checks that many kinds share, each returning causes: enumerations, ranges, ports, label selectors."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import metadata, names
from seatrial.kube.model import selectors
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required, unsupported_value

if TYPE_CHECKING:
    from collections.abc import Sequence

IMMUTABLE = "field is immutable"
_PERCENT = re.compile(r"\d+%")


def one_of(value: Any, field: str, supported: Sequence[str], *, as_given: bool = False) -> list[Cause]:
    """A required enumeration; `as_given`: its values are named in their own order, not the alphabet's."""
    if value in (None, ""):
        return [required(field)]
    return [] if value in supported else [unsupported_value(field, value, supported, as_given=as_given)]


def optional_one_of(value: Any, field: str, supported: Sequence[str]) -> list[Cause]:
    return one_of(value, field, supported) if value not in (None, "") else []


def not_negative(value: Any, field: str) -> list[Cause]:
    if value is None or value >= 0:
        return []
    return [invalid_value(field, value, "must be greater than or equal to 0")]


def positive(value: Any, field: str) -> list[Cause]:
    if value is None or value > 0:
        return []
    return [invalid_value(field, value, "must be greater than 0")]


def named(value: Any, field: str, check: names.NameCheck) -> list[Cause]:
    """A required name that follows a rule of `names`."""
    if not value:
        return [required(field)]
    return optional_name(value, field, check)


def optional_name(value: Any, field: str, check: names.NameCheck) -> list[Cause]:
    return [invalid_value(field, value, complaint) for complaint in check(value)] if value else []


def unchanged(value: Any, old: Any, field: str, detail: str = IMMUTABLE) -> list[Cause]:
    return [] if same(value, old) else [invalid_value(field, value, detail)]


def same(one: Any, other: Any) -> bool:
    """Equal, reading an empty or null field as one that is not there."""
    return bool(_plain(one) == _plain(other))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: _plain(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item not in (None, {}, [])} or None
    if isinstance(value, list):
        return [_plain(item) for item in value] or None
    return value


def port(value: Any, field: str) -> list[Cause]:
    """A number between 1 and 65535 or the name of a port."""
    check = names.port_name if isinstance(value, str) else names.port_number
    return [invalid_value(field, value, complaint) for complaint in check(value)]


def int_or_percent(value: Any, field: str) -> list[Cause]:
    """A count or a share, as a budget or rolling update takes it."""
    if isinstance(value, str) and not _PERCENT.fullmatch(value):
        return [
            invalid_value(
                field,
                value,
                "a valid percent string must be a numeric string followed by an ending '%' "
                "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            )
        ]
    return not_negative(value, field) if isinstance(value, int) else []


def percent(value: Any) -> int | None:
    """The number in front of `%`, or None for a plain count."""
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        return int(value[:-1])
    return None


def address(value: Any, field: str) -> list[Cause]:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return [invalid_value(field, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return []


def cidr(value: Any, field: str) -> list[Cause]:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return [invalid_value(field, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
    return [] if "/" in value else [invalid_value(field, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24)")]


def selector(found: dict[str, Any] | None, field: str) -> list[Cause]:
    """A label selector: matchLabels and matchExpressions."""
    if not found:
        return []
    causes = metadata.labels(found.get("matchLabels"), f"{field}.matchLabels")
    for index, expression in enumerate(found.get("matchExpressions") or []):
        causes += _expression(expression, f"{field}.matchExpressions[{index}]")
    return causes


def _expression(expression: dict[str, Any], field: str) -> list[Cause]:
    operator, values = expression.get("operator"), expression.get("values") or []
    causes: list[Cause] = []
    if operator in ("In", "NotIn"):
        if not values:
            causes.append(required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            causes.append(
                forbidden_value(f"{field}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
            )
    else:
        causes.append(invalid_value(f"{field}.operator", operator, "not a valid selector operator"))
    causes += named(expression.get("key"), f"{field}.key", names.qualified)
    for index, value in enumerate(values):
        causes += optional_name(value, f"{field}.values[{index}]", names.label_value)
    return causes


def selects(found: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector picks these labels; an invalid one picks nothing."""
    try:
        return selectors.from_object(found).matches(labels)
    except ValueError:
        return False


def is_empty_selector(found: dict[str, Any] | None) -> bool:
    return not found or not (found.get("matchLabels") or found.get("matchExpressions"))
