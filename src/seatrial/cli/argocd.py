"""What makes a command read its flags as `argocd` does: `--prune=false`, and `-N` for the Application's namespace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_ASSIGNED = re.compile(r"(--[a-zA-Z-]+)=(.*)")
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


class Command(click.Command):
    """`--flag=true` and `--flag=false` are as good as `--flag` and `--no-flag`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flags = {
            name: param
            for param in self.params
            if isinstance(param, click.Option) and param.is_flag
            for name in param.opts
        }
        return super().parse_args(ctx, [_spelled(arg, flags) for arg in args])


class Group(click.Group):
    command_class = Command


def _spelled(arg: str, flags: dict[str, click.Option]) -> str:
    found = _ASSIGNED.fullmatch(arg)
    if found is None or found[1] not in flags:
        return arg
    if found[2] in _TRUE:
        return found[1]
    if found[2] in _FALSE:
        return flags[found[1]].secondary_opts[0] if flags[found[1]].secondary_opts else arg
    raise click.BadParameter(f"{found[2]!r}: expected true or false", param_hint=found[1])


def flag(name: str, help: str, *, default: bool | None = False) -> Callable[..., Any]:
    """A boolean. `default=None` tells apart what was not given."""
    return click.option(f"--{name}/--no-{name}", name.replace("-", "_"), default=default, help=help)


def app_namespace(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("-N", "--app-namespace", default="", metavar="NAMESPACE", help="Of the Application.")(command)


def qualified(name: str, namespace: str, default: str) -> tuple[str, str]:
    """(namespace, name) of `name` or `namespace/name`."""
    own, slash, rest = name.partition("/")
    return (own, rest) if slash else (namespace or default, name)


def parse_pairs(pairs: tuple[str, ...], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{pair!r}: expected KEY=VALUE", param_hint=option)
        found[key] = value
    return found
