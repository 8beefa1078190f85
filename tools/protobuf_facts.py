"""Reads how built-in kinds look in protobuf, and which JSON field each protobuf field is.

Numbers and types come from the `generated.proto` files; JSON names, `omitempty` and inlining from the tags of
the Go structs beside them, joined by field number. Only messages that a request body can contain are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import go_modules
import resource_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MODULES = ("k8s.io/api", "k8s.io/apimachinery", "k8s.io/apiextensions-apiserver")
OWN_JSON = frozenset(
    {
        "apiextensions.v1.JSON",
        "apiextensions.v1.JSONSchemaPropsOrArray",
        "apiextensions.v1.JSONSchemaPropsOrBool",
        "apiextensions.v1.JSONSchemaPropsOrStringArray",
        "intstr.IntOrString",
        "meta.v1.Duration",
        "meta.v1.FieldsV1",
        "meta.v1.MicroTime",
        "meta.v1.Time",
        "resource.Quantity",
        "runtime.RawExtension",
    }
)
"""Types that write their JSON themselves: kept under the names of the protobuf fields, for the decoder to convert."""
EMPTY_IS_ZERO = frozenset({"intstr.IntOrString"})
"""Structs that `omitempty` may leave out when zero; Go never does, but here 0 means the same as nothing."""
META_KINDS = ("CreateOptions", "DeleteOptions", "PatchOptions", "Status", "UpdateOptions")
SCALARS = frozenset({"string", "bytes", "bool", "int32", "int64", "double"})

_MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_PROTO_FIELD = re.compile(r"^  (?:(optional|repeated) ([\w.]+)|(map)<string, ([\w.]+)>) (\w+) = (\d+);", re.MULTILINE)
_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_SLICE = re.compile(r"^type (\w+) \[\]\w+$", re.MULTILINE)
_GO_FIELD = re.compile(r"^\t(?:(\w+)\s+)?([*\[\]\w.]+)\s+`(.*)`", re.MULTILINE)
_JSON_TAG = re.compile(r'json:"([^"]*)"')
_NUMBER_TAG = re.compile(r'protobuf:"\w+,(\d+),')
_GROUP = re.compile(r'GroupName = "([^"]*)"')


@dataclass
class Package:
    """One generated.proto and the Go files beside it."""

    name: str
    """`core.v1`, `meta.v1`, `intstr`."""
    group: str
    messages: dict[str, str]
    structs: dict[str, str]
    slices: frozenset[str]


@dataclass
class Facts:
    packages: dict[str, Package]
    messages: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    wrappers: set[str] = field(default_factory=set)

    def add(self, name: str) -> None:
        """Add a message and all it refers to."""
        if name in self.messages:
            return
        home, _, message = name.rpartition(".")
        package = self.packages[home]
        if message in package.slices:
            self.wrappers.add(name)
        plain = name in OWN_JSON or message in package.slices
        tags = {} if plain else dict(_json_fields(package.structs.get(message, "")))
        table = self.messages[name] = {}
        for label, kind, proto_name, number in _proto_fields(package.messages[message]):
            kind = _full_name(kind, home)
            entry = [proto_name, kind, _plain_mode(label)] if plain else _entry(tags, number, label, kind)
            if entry:
                table[number] = entry
            if kind not in SCALARS:
                self.add(kind)


def collect() -> dict[str, Any]:
    facts = Facts({package.name: package for package in _packages()})
    kinds = {}
    for api_version, group, version, kind in _body_kinds():
        home = f"{_package_of(facts.packages.values(), group, version)}.{kind}"
        if kind in facts.packages[home.rpartition(".")[0]].messages:
            kinds[f"{api_version} {kind}"] = home
            facts.add(home)
    facts.add("runtime.TypeMeta")
    for kind in META_KINDS:
        kinds[kind] = f"meta.v1.{kind}"
        facts.add(kinds[kind])
    return {
        "kubernetes": go_modules.STAGING,
        "kinds": kinds,
        "wrappers": sorted(facts.wrappers),
        "messages": dict(sorted(facts.messages.items())),
    }


def _packages() -> Iterator[Package]:
    for module in MODULES:
        for file in sorted(go_modules.directory(module, go_modules.STAGING).rglob("generated.proto")):
            text = file.read_text(encoding="utf-8")
            declared = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
            assert declared, file
            go = _go_source(file.parent)
            group = _GROUP.search(go)
            yield Package(
                _short(declared[1]),
                group[1] if group else "",
                dict(_MESSAGE.findall(text)),
                dict(_STRUCT.findall(go)),
                frozenset(_SLICE.findall(go)),
            )


def _go_source(folder: Path) -> str:
    files = [file for file in sorted(folder.glob("*.go")) if not file.name.endswith((".pb.go", "_test.go"))]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _short(package: str) -> str:
    """`k8s.io.api.core.v1` -> `core.v1`; `k8s.io.apimachinery.pkg.util.intstr` -> `intstr`."""
    parts = package.split(".")
    return ".".join(parts[-2:] if re.fullmatch(r"v\d\w*", parts[-1]) else parts[-1:])


def _full_name(kind: str, home: str) -> str:
    if kind in SCALARS:
        return kind
    package, _, message = kind.removeprefix(".").rpartition(".")
    return f"{_short(package) if package else home}.{message}"


def _proto_fields(body: str) -> Iterator[tuple[str, str, str, str]]:
    """(label, type, name, number); a type in a map is the value's, the key is always a string."""
    for label, kind, is_map, value, name, number in _PROTO_FIELD.findall(body):
        yield label or is_map, kind or value, name, number
    written = len(re.findall(r"^  .* = \d+;", body, re.MULTILINE))
    if written != len(_PROTO_FIELD.findall(body)):
        raise SystemExit(f"a field this script cannot read:\n{body}")


def _json_fields(body: str) -> Iterator[tuple[str, tuple[str, str, bool]]]:
    """Field number -> (JSON name, "" when inlined; the tag's options; is it a pointer)."""
    for name, kind, tags in _GO_FIELD.findall(body):
        number, json = _NUMBER_TAG.search(tags), _JSON_TAG.search(tags)
        if number and json:
            json_name, _, options = json[1].partition(",")
            inlined = not json_name and (not name or "inline" in options)
            yield number[1], ("" if inlined else json_name or name, options, kind.startswith("*"))


def _entry(tags: dict[str, tuple[str, str, bool]], number: str, label: str, kind: str) -> list[str]:
    json_name, options, is_pointer = tags[number]
    if json_name == "-":
        return []
    if not json_name:
        return ["", kind, "inline"]
    mode = _plain_mode(label)
    can_be_empty = kind in SCALARS or kind in EMPTY_IS_ZERO
    if mode == "keep" and "omit" in options and can_be_empty and not is_pointer:
        mode = "omit"
    return [json_name, kind, mode]


def _plain_mode(label: str) -> str:
    return "keep" if label == "optional" else label


def _body_kinds() -> Iterator[tuple[str, str, str, str]]:
    """(apiVersion, group, version, kind) of everything that can be sent to a resource or sub-resource."""
    for resource in resource_facts.collect()["resources"]:
        for entry in (resource, *resource["subresources"]):
            group, version = entry["group"], entry["version"]
            yield f"{group}/{version}" if group else version, group, version, entry["kind"]


def _package_of(packages: Iterable[Package], group: str, version: str) -> str:
    """The package that declares a group; `meta.v1` and the like declare other groups, or none."""
    if not group:
        return f"core.{version}"
    return next(p.name for p in packages if p.group == group and p.name.endswith(f".{version}"))
