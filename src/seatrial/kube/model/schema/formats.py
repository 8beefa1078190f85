"""The string formats a custom resource's schema may ask for, each as a question about a string.

Formats not listed here are ignored, as upstream does; dashes in a name do not count (`date-time` is `datetime`).
"""

from __future__ import annotations

import ipaddress
import re
from datetime import date, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from seatrial.kube.model.schema.scalars import is_base64

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_HOST_NAME = 255
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d(:\d\d)?)(\.\d+)?(Z|[+-]\d\d:?\d\d)", re.ASCII | re.IGNORECASE)
_DURATION_GO = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+|[-+]?0", re.ASCII)
_DURATION_WORDS = re.compile(
    r"\d+\s*(?:(?:ns|us|µs|ms|s|m|hr?|d|wk?)(?![a-zµ])|nano|micro|milli|sec|min|hour|day|week)", re.IGNORECASE
)


def _matches(pattern: str, flags: int = re.ASCII) -> Callable[[str], bool]:
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.fullmatch(text) is not None


def _is_address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version and "%" not in text
        except ValueError:
            return False

    return check


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return re.fullmatch(r"[^/]+/\d+", text, re.ASCII) is not None


def _is_uri(text: str) -> bool:
    """What Go's ParseRequestURI takes: an absolute URI, or an absolute path."""
    if any(character <= " " or character == "\x7f" for character in text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _is_host_name(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    return len(text) <= _MAX_HOST_NAME and all(
        0 < len(label) <= 63 and label.replace("-", "a").isalnum() and "-" not in (label[0], label[-1])
        for label in labels
    )


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2006-01-02")


def _is_time(text: str) -> bool:
    matched = _TIME.fullmatch(text)
    if matched is None:
        return False
    try:
        datetime.fromisoformat(f"{matched[1]}T{matched[2]}+00:00")
    except ValueError:
        return False
    return True


def _is_duration(text: str) -> bool:
    return _DURATION_GO.fullmatch(text) is not None or _DURATION_WORDS.search(text) is not None


def _is_isbn10(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"\d{9}[\dX]", digits, re.ASCII):
        return False
    return sum((10 if digit == "X" else int(digit)) * (10 - at) for at, digit in enumerate(digits)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"\d{13}", digits, re.ASCII):
        return False
    return sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(digits)) % 10 == 0


def _is_credit_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text, flags=re.ASCII)
    if not 12 <= len(digits) <= 19:
        return False
    doubled = [int(digit) * (2 if at % 2 else 1) for at, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _is_rgb_color(text: str) -> bool:
    matched = re.fullmatch(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)", text, re.ASCII)
    return matched is not None and all(int(part) <= 255 for part in matched.groups())


def _uuid(third: str = "[0-9a-f]", fourth: str = "[0-9a-f]") -> Callable[[str], bool]:
    return _matches(
        f"[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{third}[0-9a-f]{{3}}-?{fourth}[0-9a-f]{{3}}-?[0-9a-f]{{12}}",
        re.ASCII | re.IGNORECASE,
    )


STRING_FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches(r"[0-9a-fA-F]{24}"),
    "uri": _is_uri,
    "email": _matches(r"(?:[^<>@\s]+(?:\s+[^<>@\s]+)*\s+)?(?:[^<>@\s]+@[^<>@\s]+|<[^<>@\s]+@[^<>@\s]+>)"),
    "hostname": _is_host_name,
    "ipv4": _is_address(4),
    "ipv6": _is_address(6),
    "cidr": _is_network,
    "mac": _matches(
        r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}(([:-][0-9a-fA-F]{2}){2})?|([0-9a-fA-F]{4}\.){2,3}[0-9a-fA-F]{4}"
    ),
    "uuid": _uuid(),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4", "[89ab]"),
    "uuid5": _uuid("5", "[89ab]"),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_credit_card,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _is_rgb_color,
    "byte": is_base64,
    "password": lambda _text: True,
    "date": _is_date,
    "duration": _is_duration,
    "datetime": _is_time,
    "k8s-short-name": _matches(_LABEL),
    "k8s-long-name": lambda text: len(text) <= 253 and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", text) is not None,
}


def string_format(name: str) -> str:
    """The name under which a format is in the table, "" if it is ignored."""
    if name in STRING_FORMATS:
        return name
    normal = name.replace("-", "")
    return normal if normal in STRING_FORMATS else ""
