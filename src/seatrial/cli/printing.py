"""Tables and documents on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = 2
_LABEL = 20


def table(rows: Sequence[Sequence[object]], heads: Sequence[str]) -> list[str]:
    """Lines with columns as wide as their widest cell, two blanks between them; a cell is one line."""
    cells = [list(heads), *([_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) + _GAP for column in range(len(heads))]
    return ["".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def field(label: str, value: object, width: int = _LABEL) -> str:
    return f"{label:<{width}}{'' if value is None else value}".rstrip()


def echo(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line)


def document(value: Any, output: str) -> None:
    """`json` or `yaml`."""
    if output == "json":
        click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    else:
        import yaml  # slow to import, and seldom needed

        click.echo(yaml.safe_dump(value, sort_keys=False), nl=False)


def without_managers(obj: dict[str, Any]) -> dict[str, Any]:
    """An object to show: nobody reads managedFields."""
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def _line(cell: object) -> str:
    return "" if cell is None else " ".join(str(cell).split("\n"))
