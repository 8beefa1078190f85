"""What a name may look like: each check returns the complaints, worded as kubectl users know them.

The rules are DNS labels and subdomains, label keys and values, path segments, and the keys of ConfigMaps.
They take a string and know nothing of objects; `metadata.py` and the kinds apply them to fields.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    NameCheck = Callable[[str], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_PORT_NAME = "[-a-z0-9]+"

LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253
PORT_NAME_LENGTH = 15


def _too_long(limit: int, unit: str = "characters") -> str:
    return f"must be no more than {limit} {unit}"


def _pattern(rule: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{rule} (e.g. {shown}regex used for validation is '{pattern}')"


def _matched(text: str, limit: int, pattern: str, complaint: str) -> list[str]:
    found = [_too_long(limit)] if len(text) > limit else []
    if not re.fullmatch(pattern, text):
        found.append(complaint)
    return found


_LABEL_COMPLAINT = _pattern(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_SUBDOMAIN_COMPLAINT = _pattern(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_LABEL_1035_COMPLAINT = _pattern(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character",
    _LABEL_1035,
    "my-name",
    "abc-123",
)
_WILDCARD_COMPLAINT = _pattern(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must "
    "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
_QUALIFIED_COMPLAINT = _pattern(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    _QUALIFIED,
    "MyName",
    "my.name",
    "123-abc",
)
_LABEL_VALUE_COMPLAINT = _pattern(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    _LABEL_VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_CONFIG_KEY_COMPLAINT = _pattern(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)


def label(text: str) -> list[str]:
    """DNS-1123 label: namespaces, containers, volumes."""
    complaint = "must not contain dots" if re.fullmatch(_SUBDOMAIN, text) else _LABEL_COMPLAINT
    return _matched(text, LABEL_LENGTH, _LABEL, complaint)


def label_1035(text: str) -> list[str]:
    """DNS-1035 label: starts with a letter."""
    return _matched(text, LABEL_LENGTH, _LABEL_1035, _LABEL_1035_COMPLAINT)


def subdomain(text: str) -> list[str]:
    """DNS-1123 subdomain: the default for object names."""
    return _matched(text, SUBDOMAIN_LENGTH, _SUBDOMAIN, _SUBDOMAIN_COMPLAINT)


def wildcard(text: str) -> list[str]:
    """`*.example.com`, as an Ingress host may be."""
    return _matched(text, SUBDOMAIN_LENGTH, _WILDCARD, _WILDCARD_COMPLAINT)


def path_segment(text: str) -> list[str]:
    """Anything that can stand between two slashes of a URL: names of RBAC objects."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{mark}'" for mark in ("/", "%") if mark in text]


def qualified(text: str) -> list[str]:
    """A label key, annotation key or finalizer: `[prefix/]name`."""
    prefix, slash, name = text.rpartition("/")
    if slash and "/" in prefix:
        return [
            "a valid label key "
            + _QUALIFIED_COMPLAINT
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    found: list[str] = []
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif slash:
        found += [f"prefix part {complaint}" for complaint in subdomain(prefix)]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > LABEL_LENGTH:
        found.append(f"name part {_too_long(LABEL_LENGTH, 'bytes')}")
    if not re.fullmatch(_QUALIFIED, name):
        found.append(f"name part {_QUALIFIED_COMPLAINT}")
    return found


def label_value(text: str) -> list[str]:
    found = [_too_long(LABEL_LENGTH, "bytes")] if len(text) > LABEL_LENGTH else []
    return found if re.fullmatch(_LABEL_VALUE, text) else [*found, _LABEL_VALUE_COMPLAINT]


def config_key(text: str) -> list[str]:
    """A key of a ConfigMap or Secret: it becomes a file name."""
    found = _matched(text, SUBDOMAIN_LENGTH, _CONFIG_KEY, _CONFIG_KEY_COMPLAINT)
    if text in (".", ".."):
        found.append(f"must not be '{text}'")
    elif text.startswith(".."):
        found.append("must not start with '..'")
    return found


def environment_variable(text: str) -> list[str]:
    """Printable ASCII without `=`, since Kubernetes 1.32."""
    if not text:
        return ["environment variable name must not be empty"]
    if re.fullmatch(r"[ -<>-~]+", text):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def port_name(text: str) -> list[str]:
    """An IANA service name: at most 15 characters, at least one letter."""
    found: list[str] = []
    if len(text) > PORT_NAME_LENGTH:
        found.append(_too_long(PORT_NAME_LENGTH))
    if not re.fullmatch(_PORT_NAME, text):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        found.append("must contain at least one letter (a-z)")
    if "--" in text:
        found.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return found


def port_number(number: object) -> list[str]:
    if isinstance(number, int) and 1 <= number <= 65535:
        return []
    return ["must be between 1 and 65535, inclusive"]
