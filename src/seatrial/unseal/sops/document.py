"""A file in one of SOPS' formats: YAML and JSON as trees, dotenv as lines, anything else wrapped in JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson
import yaml

from seatrial.base import yamldepth
from seatrial.unseal.sops.errors import SopsFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Format = Literal["yaml", "json", "dotenv", "binary"]
_STANZA = re.compile(rb'^\s*"?sops"?\s*:|"sops"\s*:|^sops_', re.MULTILINE)
_MAX_DEPTH = 100
_MAX_VALUES = 100_000


@dataclass(frozen=True, slots=True)
class Document:
    format: Format
    trees: tuple[dict[str, Any], ...]
    """Without the metadata."""
    metadata: Mapping[str, Any]


def may_be_encrypted(data: bytes) -> bool:
    """A quick look: False is certain, True is not."""
    return b"ENC[AES256_GCM," in data and _STANZA.search(data) is not None


def format_of(path: str) -> Format:
    """By the name, as SOPS chooses."""
    lower = path.lower()
    if lower.endswith((".yaml", ".yml")):
        return "yaml"
    if lower.endswith(".json"):
        return "json"
    return "dotenv" if lower.endswith(".env") else "binary"


def parse(data: bytes, format_: Format) -> Document | None:
    """None: there is no SOPS metadata in it. Raises SopsFailed for what cannot be read."""
    match format_:
        case "yaml":
            trees = _yaml(data)
        case "json" | "binary":
            trees = [_json(data)] if format_ == "json" or data.lstrip().startswith(b"{") else []
        case "dotenv":
            return _dotenv(data)
    metadata = next((tree["sops"] for tree in trees if isinstance(tree.get("sops"), dict)), None)
    if metadata is None:
        return None
    bare = tuple({key: value for key, value in tree.items() if key != "sops"} for tree in trees)
    return Document(format_, bare, metadata)


def emit(format_: Format, trees: tuple[dict[str, Any], ...]) -> bytes:
    """The plain file. YAML is written as JSON, which is YAML: nothing in it can be read in two ways."""
    match format_:
        case "yaml" | "json":
            return b"\n---\n".join(orjson.dumps(_plain(tree)) for tree in trees) + b"\n"
        case "dotenv":
            lines = [f"{key}={str(value).replace(chr(10), chr(92) + 'n')}" for key, value in trees[0].items()]
            return ("\n".join(lines) + "\n").encode()
        case "binary":
            content = trees[0].get("data")
            return content if isinstance(content, bytes) else str(content).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class _Loader(yaml.CSafeLoader):
    """YAML as SOPS reads it: only true and false are booleans, and times stay text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*|0x[0-9a-fA-F]+)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def _yaml(data: bytes) -> list[dict[str, Any]]:
    try:
        yamldepth.check(data)
        found = [tree for tree in yaml.load_all(data, _Loader) if tree is not None]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        raise SopsFailed(f"the file is no YAML{f' (line {where.line + 1})' if where else ''}") from None
    return [_checked(tree) for tree in found]


def _json(data: bytes) -> dict[str, Any]:
    try:
        return _checked(orjson.loads(data))
    except orjson.JSONDecodeError:
        raise SopsFailed("the file is no JSON") from None


def _checked(tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise SopsFailed("the file is no map at its top level")
    _check_size(tree)
    return tree


def _check_size(tree: dict[str, Any]) -> None:
    """Aliases can make a small file endless, and a deep one breaks whoever walks it."""
    level: list[Any] = [tree]
    seen = 0
    for _ in range(_MAX_DEPTH):
        seen += len(level)
        if seen > _MAX_VALUES:
            raise SopsFailed(f"the file holds more than {_MAX_VALUES} values")
        level = [item for found in level for item in _children(found)]
        if not level:
            return
    raise SopsFailed(f"the file is nested more than {_MAX_DEPTH} levels deep")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _dotenv(data: bytes) -> Document | None:
    tree: dict[str, Any] = {}
    flat: dict[str, str] = {}
    for line in data.decode(errors="replace").split("\n"):
        if not line or line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        if not separator:
            raise SopsFailed("the file is no dotenv: a line has no '='")
        if key.startswith("sops_"):
            flat[key.removeprefix("sops_")] = value.replace("\\n", "\n")
        else:
            tree[key] = value.replace("\\n", "\n")
    return Document("dotenv", (tree,), _unflattened(flat)) if flat else None


def _unflattened(flat: Mapping[str, str]) -> dict[str, Any]:
    """`age__list_0__map_recipient` is `age[0].recipient`."""
    metadata: dict[str, Any] = {}
    entries: dict[str, dict[int, dict[str, str]]] = {}
    for key, value in flat.items():
        found = re.fullmatch(r"([a-z_]+?)__list_(\d{1,4})__map_([a-z_]+)", key)
        if found:
            entries.setdefault(found[1], {}).setdefault(int(found[2]), {})[found[3]] = value
        else:
            metadata[key] = value
    return metadata | {name: [items[index] for index in sorted(items)] for name, items in entries.items()}
