"""A Type is one node of a kind's schema: what pruning, merging, ownership and defaulting walk along.

It is made from a built-in kind's definition (`builtin.py`) or a CustomResourceDefinition (`structural.py`).
Nodes may refer to themselves (JSONSchemaProps does), so a Type is compared by identity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Shape = Literal["struct", "map", "list", "scalar", "any"]
ListType = Literal["atomic", "set", "map"]


@dataclass(slots=True, eq=False, repr=False)
class Type:
    """`struct` has named `fields`; `map` and `list` have an `element`; `any` is any JSON."""

    shape: Shape
    scalar: str = ""
    """string, integer, number, boolean, int-or-string or quantity (shape scalar only)."""
    format: str = ""
    """OpenAPI format: int32, int64, double, byte, date-time, ..."""
    name: str = ""
    """The definition's name, `io.k8s.api.core.v1.Container`, where it has one."""
    fields: dict[str, Type] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    element: Type | None = None
    list_type: ListType = "atomic"
    list_keys: tuple[str, ...] = ()
    atomic: bool = False
    """x-kubernetes-map-type: atomic: owned and replaced as a whole."""
    merge_key: str = ""
    """x-kubernetes-patch-merge-key, on the field's own node."""
    patch_strategy: frozenset[str] = frozenset()
    """merge, replace, retainKeys (x-kubernetes-patch-strategy)."""
    preserve_unknown: bool = False
    nullable: bool = False
    embedded: bool = False
    """x-kubernetes-embedded-resource: a whole object with apiVersion, kind and metadata."""
    default: Any = None
    has_default: bool = False
    defaulted: tuple[str, ...] = ()
    """Names of the fields that have a default (shape struct)."""
    plain: type | None = None
    """The Python class every value of which fits this node, so that a walk need not look closer."""

    def __repr__(self) -> str:
        """Short: a whole tree would fill pages, in a failing test most of all."""
        return f"Type({self.name or self.scalar or self.shape})"
