"""The form a client asked for: the object as it is, a Table (kubectl get), or only its metadata.

Source: the API concepts page, "Receiving resources as Tables" and "Metadata-only fetches".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.apiserver import tables
from seatrial.cluster.apiserver.customresources import definition, jsonpath
from seatrial.cluster.apiserver.tables.columns import Column, since
from seatrial.kube.model import status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.cluster.apiserver.catalog import Kind
    from seatrial.kube.client.transport import Request
    from seatrial.kube.model.objects import Object

_META_GROUP = "meta.k8s.io"
_VERSIONS = ("v1", "v1beta1")
_FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_INCLUDED = ("Metadata", "Object", "None")
_TABLE_VISITS, _CELL_VISITS = 200_000, 100
"""Values that the columns of a custom resource may pass through in one table: columns need a dozen for each cell."""
_PLAIN = frozenset({"*/*", "application/*", "application/json", "text/*", ""})


class Form:
    """`name` is "" (plain), Table, or PartialObjectMetadata."""

    __slots__ = ("include", "name", "version")

    def __init__(self, name: str, version: str, include: str = "Metadata") -> None:
        self.name = name
        self.version = version
        self.include = include


_OBJECT = Form("", "v1")


def asked(request: Request) -> Form:
    """The first form in `Accept` that can be given. Raises 406."""
    accept = request.headers.get("accept", "")
    if not accept or accept == "application/json" or accept == "*/*":
        return _OBJECT
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        values = dict(part.partition("=")[::2] for part in parameters)
        form, protobuf = values.get("as", ""), media == "application/vnd.kubernetes.protobuf"
        if form in _FORMS and values.get("g") == _META_GROUP and values.get("v") in _VERSIONS:
            if media == "application/json" or protobuf:
                # Protobuf is never answered: JSON is decoded by content type, which every client does.
                include = request.param("includeObject") or "Metadata"
                if values["as"] == "Table" and include not in _INCLUDED:
                    raise status.bad_request(f'includeObject must be one of {", ".join(_INCLUDED)}, not "{include}"')
                return Form(form.removesuffix("List"), values["v"], include)
        elif not form and (media in _PLAIN or media == "application/yaml"):
            return _OBJECT
    if "application/vnd.kubernetes.protobuf" in accept:
        return _OBJECT
    raise status.not_acceptable(["application/json"])


def columns(kind: Kind) -> tuple[Column, ...]:
    if kind.custom is None:
        return tables.columns(kind.resource)
    name = Column("Name", "string", "name", "Name must be unique within a namespace.", 0)
    declared = definition.printer_columns(kind.custom.definition, kind.resource.version)
    return (name, *(_custom_column(column) for column in declared))


def _custom_column(column: dict[str, Any]) -> Column:
    return Column(
        column["name"],
        column["type"],
        column.get("format", ""),
        column.get("description") or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
        column.get("priority", 0),
    )


def cells(kind: Kind, items: Sequence[Object], now: float) -> list[list[Any]]:
    if kind.custom is None:
        return tables.rows(kind.resource, items, now)
    declared = definition.printer_columns(kind.custom.definition, kind.resource.version)
    budget = jsonpath.Budget(_TABLE_VISITS + _CELL_VISITS * len(items) * len(declared))
    return [
        [item["metadata"]["name"], *(_custom_cell(column, item, now, budget) for column in declared)] for item in items
    ]


def _custom_cell(column: dict[str, Any], obj: Object, now: float, budget: jsonpath.Budget) -> Any:
    """A cell of its column's type: dates as ages, whole numbers as such, several values joined by commas."""
    found = jsonpath.evaluate(column["jsonPath"], obj, budget)
    if not found or found[0] is None:
        return None
    value = found[0]
    match column["type"]:
        case "date":
            return since(value, now) if isinstance(value, str) else "<unknown>"
        case "integer" | "number" | "boolean":
            return value if isinstance(value, int | float | bool) else None
    return ",".join(_text(item) for item in found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def table(
    kind: Kind, items: Sequence[Object], form: Form, now: float, meta: dict[str, Any], *, header: bool = True
) -> Object:
    """A `Table` of the items; `header` False leaves the column definitions out (later watch events)."""
    return {
        "kind": "Table",
        "apiVersion": f"{_META_GROUP}/{form.version}",
        "metadata": meta,
        "columnDefinitions": [column._asdict() for column in columns(kind)] if header else [],
        "rows": [_row(item, shown, form) for item, shown in zip(items, cells(kind, items, now), strict=True)],
    }


def _row(item: Object, shown: list[Any], form: Form) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": shown}
    if form.include == "Object":
        row["object"] = item
    else:
        row["object"] = None if form.include == "None" else partial(item, form.version)
    return row


def partial(item: Object, version: str = "v1") -> Object:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"{_META_GROUP}/{version}",
        "metadata": item["metadata"],
    }


def project(kind: Kind, item: Object, form: Form, now: float, *, header: bool = True) -> Object:
    """One object in the form asked for."""
    if form.name == "Table":
        meta = {"resourceVersion": item["metadata"].get("resourceVersion", "")}
        return table(kind, [item], form, now, meta, header=header)
    return partial(item, form.version) if form.name else item
