"""`--json FIELDS` and `--jq EXPRESSION`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def json_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `json_fields` and `expression`."""
    command = click.option("-q", "--jq", "expression", default="", help="Filter the JSON by a jq expression.")(command)
    return click.option("--json", "json_fields", metavar="FIELDS", help="Output JSON with these fields, by commas.")(
        command
    )


def chosen(given: str | None, known: Sequence[str], expression: str) -> list[str]:
    """The fields that are asked for; [] without --json. Raises click.UsageError."""
    if given is None:
        if expression:
            raise click.UsageError("cannot use `--jq` without specifying `--json`")
        return []
    fields = [field.strip() for field in given.split(",") if field.strip()]
    for field in fields:
        if field not in known:
            raise click.UsageError(f"Unknown JSON field: {field!r}\nAvailable fields:\n  " + "\n  ".join(known))
    if not fields:
        raise click.UsageError("Specify one or more comma-separated fields for `--json`:\n  " + "\n  ".join(known))
    return fields


def echo(value: Any, expression: str) -> None:
    """Raises click.UsageError for an expression that is none."""
    if not expression:
        click.echo(orjson.dumps(value).decode())
        return
    import jq

    try:
        for item in jq.compile(expression).input_value(value):
            click.echo(item if isinstance(item, str) else orjson.dumps(item).decode())
    except ValueError as error:
        raise click.UsageError(f"--jq: {error}") from None
