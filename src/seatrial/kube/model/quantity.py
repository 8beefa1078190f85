"""Quantities: `250m` of a core, `1Gi` of memory. Exact numbers, and the one spelling the API prints for each.

A quantity is a number and a family: decimal (n u m k M G T P E), binary (Ki..Ei) or exponent (1e3). Printing keeps
the family unless it could not hold the number exactly. Source: apimachinery's `api/resource` (rules and limits).
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Literal, NamedTuple

Family = Literal["decimal", "binary", "exponent"]

_FORM = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:([numkMGTPE]?|[KMGTPE]i)|[eE]([+-]?\d+))", re.ASCII)
_SPLIT = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_FACTORS = {suffix: Fraction(10) ** power for power, suffix in _DECIMAL.items()} | {
    suffix: Fraction(1024) ** power for power, suffix in enumerate(_BINARY) if suffix
}
_NANO = 10**9
_LARGEST_BINARY = 2**63 - 1
_LONGEST = 64
"""Digits and exponent beyond this name no resource; they would only cost memory."""


class _Parsed(NamedTuple):
    nanos: int
    family: Family


def parse(text: str | int | float) -> Fraction:
    """The exact number; anything below a nano is rounded away from zero. Raises ValueError."""
    return Fraction(_parsed(_spelled(text)).nanos, _NANO)


def milli(text: str | int | float) -> int:
    """Thousandths, rounded up (away from zero): how CPU is counted. Raises ValueError."""
    return _away_from_zero(_parsed(_spelled(text)).nanos, 10**6)


def value(text: str | int | float) -> int:
    """Units, rounded up (away from zero): bytes of memory, a number of pods. Raises ValueError."""
    return _away_from_zero(_parsed(_spelled(text)).nanos, _NANO)


def canonical(text: str | int | float) -> str:
    """The spelling the API prints: `0.5` is `500m`, `1024Ki` is `1Mi`. Raises ValueError."""
    nanos, family = _parsed(_spelled(text))
    if nanos == 0:
        return "0"
    if family == "binary" and nanos % _NANO == 0 and abs(nanos) >= 1024 * _NANO:
        return _in_binary(nanos // _NANO)
    return _in_thousands(nanos, exponent=family == "exponent")


def _away_from_zero(nanos: int, unit: int) -> int:
    rounded = -(-abs(nanos) // unit)
    return rounded if nanos >= 0 else -rounded


def _spelled(text: str | int | float) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, bool) or not isinstance(text, int | float) or not math.isfinite(text):
        raise ValueError(f"a quantity is a number or a string such as 250m or 1Gi, not {text!r}")
    return str(text)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> _Parsed:
    found = _FORM.fullmatch(text)
    if found is None:
        if re.fullmatch(_SPLIT, text, re.ASCII):
            raise ValueError(f"unable to parse quantity's suffix: {text!r} (use n u m k M G T P E, Ki..Ei or e3)")
        raise ValueError(f"quantities must match the regular expression '{_SPLIT}'")
    sign, digits, suffix, power = found.groups()
    if len(digits) > _LONGEST or len(power or "") > 4 or abs(int(power or 0)) > _LONGEST:
        raise ValueError(f"the quantity {text[:40]!r} is out of range: write at most {_LONGEST} digits")
    family: Family = "exponent" if power else "binary" if suffix.endswith("i") else "decimal"
    factor = Fraction(10) ** int(power) if power else _FACTORS[suffix]
    nanos = math.ceil(Fraction(digits) * factor * _NANO)
    if family == "binary":
        nanos = min(nanos, _LARGEST_BINARY * _NANO)
    return _Parsed(-nanos if sign == "-" else nanos, family)


def _in_binary(units: int) -> str:
    step = 0
    while units % 1024 == 0 and step < len(_BINARY) - 1:
        units //= 1024
        step += 1
    return f"{units}{_BINARY[step]}"


def _in_thousands(nanos: int, *, exponent: bool) -> str:
    power = -9
    while nanos % 1000 == 0 and (exponent or power < max(_DECIMAL)):
        nanos //= 1000
        power += 3
    if exponent:
        return f"{nanos}e{power}" if power else str(nanos)
    return f"{nanos}{_DECIMAL[power]}"
