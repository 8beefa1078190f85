"""The downward API's values: a pod's fields and its containers' resources, as text (pure).

The environment of containers and the downwardAPI volumes both ask here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Terminal
from seatrial.kube.model import objects, quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.kube.model.objects import Object

_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]", re.DOTALL)
_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_LIMITED_BY_NODE = ("cpu", "memory", "ephemeral-storage")
"""A container without such a limit may use all that the node can give."""


class UnknownField(Terminal):
    """The downward API has no such field or resource."""

    reason = "CreateContainerConfigError"


def field_value(pod: Object, path: str, *, pod_address: str = "", host_address: str = "") -> str:
    """The field of the pod that `path` names. Raises UnknownField."""
    subscripted = _SUBSCRIPT.fullmatch(path)
    if subscripted:
        found = objects.metadata(pod).get(subscripted[1].removeprefix("metadata.")) or {}
        return str(found.get(subscripted[2], ""))
    values = {
        "metadata.name": objects.name(pod),
        "metadata.namespace": objects.namespace(pod),
        "metadata.uid": objects.uid(pod),
        "spec.nodeName": pod["spec"].get("nodeName") or "",
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName") or "",
        "status.podIP": pod_address,
        "status.podIPs": pod_address,
        "status.hostIP": host_address,
        "status.hostIPs": host_address,
    }
    if path in values:
        return values[path]
    if path in ("metadata.labels", "metadata.annotations"):
        return _listed(objects.metadata(pod).get(path.removeprefix("metadata.")) or {})
    known = ", ".join([*values, "metadata.labels", "metadata.annotations"])
    raise UnknownField(f"unsupported fieldPath: {path}: use one of {known}")


def resource_value(container: Object, resource: str, divisor: str, node_allocatable: Mapping[str, str]) -> str:
    """`limits.cpu` and its like in units of `divisor` ("0" or "": one), rounded up. Raises UnknownField."""
    section, _, name = resource.partition(".")
    if section not in ("limits", "requests") or not (name in _LIMITED_BY_NODE or name.startswith("hugepages-")):
        raise UnknownField(
            f"unsupported container resource: {resource}: use limits or requests of cpu, memory, ephemeral-storage or "
            "hugepages-*"
        )
    given: Mapping[str, Any] = (container.get("resources") or {}).get(section) or {}
    count = quantity.milli if name == "cpu" else quantity.value
    amount = count(given.get(name, "0"))
    if section == "limits" and amount == 0 and name in _LIMITED_BY_NODE:
        amount = count(node_allocatable.get(name, "0"))
    unit = count(divisor or "0") or count("1")
    return str(-(-amount // unit))


def _listed(values: Mapping[str, str]) -> str:
    """A line for each, by key, the value quoted: it may have line breaks."""
    return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(values.items()))


def _quoted(text: str) -> str:
    """As Go spells a string: what is not printable is escaped."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
