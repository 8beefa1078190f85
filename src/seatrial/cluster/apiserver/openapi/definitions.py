"""The built-in kinds' schemas as `/openapi` shows them, in the dialect of OpenAPI 2 or 3.

Read from the packaged definitions while a document is being built, and dropped with it: parsed they take
several times the memory of the encoded document.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import orjson

from seatrial.kube.model.schema import builtin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Dialect = Literal["v2", "v3"]
Node = dict[str, Any]

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
REFERENCE: dict[Dialect, str] = {"v2": "#/definitions/", "v3": "#/components/schemas/"}
"""What the name of a definition is put behind."""

_PACKAGED_REFERENCE = "#/$defs/"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_EITHER: dict[tuple[str, Dialect], Node] = {
    (_INT_OR_STRING, "v2"): {"type": "string", "format": "int-or-string"},
    (_INT_OR_STRING, "v3"): {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    (_QUANTITY, "v2"): {"type": "string"},
    (_QUANTITY, "v3"): {"oneOf": [{"type": "string"}, {"type": "number"}]},
}
"""Types that are one of two; OpenAPI 2 can only show the string."""
_ANY_JSON = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON"
"""What a name starts with when its values need not be objects."""
_STRUCTURE = ("properties", "items", "additionalProperties", "type", "enum", "$ref")


class Definitions:
    def __init__(self) -> None:
        self._raw: dict[str, Node] = orjson.loads(builtin.definitions_path().read_bytes())["$defs"]
        self._names: dict[tuple[str, str, str], str] = {
            (gvk["group"], gvk["version"], gvk["kind"]): name
            for name, node in self._raw.items()
            for gvk in node.get("x-kubernetes-group-version-kind", ())
        }
        data = files("seatrial.kube.model").joinpath("data/openapi_defaults.json").read_bytes()
        self._defaults: dict[str, dict[str, Any]] = orjson.loads(data)["defaults"]

    def name(self, group: str, version: str, kind: str) -> str:
        """The definition of a kind; "" if it has none, as the options of `exec` and the like."""
        return self._names.get((group, version, kind), "")

    def render(self, names: Iterable[str], dialect: Dialect) -> dict[str, Node]:
        """These definitions and all they refer to."""
        wanted, found = list(names), dict[str, Node]()
        while wanted:
            name = wanted.pop()
            if name not in found:
                found[name] = self._definition(name, dialect)
                wanted += _references(self._raw[name])
        return dict(sorted(found.items()))

    def _definition(self, name: str, dialect: Dialect) -> Node:
        if (name, dialect) in _EITHER:
            return _EITHER[name, dialect]
        node = _node(self._raw[name], dialect)
        if name.startswith(_ANY_JSON) and "properties" not in node:
            node.pop("type", None)
        if dialect == "v3":
            for key, default in self._defaults.get(name, {}).items():
                node["properties"][key]["default"] = default
        return node


def _references(node: Node) -> Iterator[str]:
    if "$ref" in node:
        yield node["$ref"].removeprefix(_PACKAGED_REFERENCE)
    for child in node.get("properties", {}).values():
        yield from _references(child)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from _references(node[key])


def _node(raw: Node, dialect: Dialect) -> Node:
    """One packaged node without its JSON-schema dress: no nulls among the types, no enums of kind names."""
    node = {key: value for key, value in raw.items() if key not in _STRUCTURE}
    if "$ref" in raw:
        return _reference(raw["$ref"], node, dialect)
    if "type" in raw:
        node["type"] = _plain_type(raw["type"])
    if "properties" in raw:
        node["properties"] = {key: _node(child, dialect) for key, child in raw["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(raw.get(key), dict):
            node[key] = _node(raw[key], dialect)
    return node


def _plain_type(given: str | list[str]) -> str:
    return given if isinstance(given, str) else next(kind for kind in given if kind != "null")


def _reference(packaged: str, siblings: Node, dialect: Dialect) -> Node:
    """In OpenAPI 3 a reference may not have siblings, so one with a description is wrapped."""
    target = {"$ref": REFERENCE[dialect] + packaged.removeprefix(_PACKAGED_REFERENCE)}
    if dialect == "v3" and siblings:
        return {"allOf": [target], **siblings}
    return target | siblings
