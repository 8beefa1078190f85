"""From whatever JSON a client sent to an object of its kind: unknown fields out, types checked, values canonical.

Comes after a body is parsed (JSON by the caller, YAML by `load_yaml` here), before defaults and validation. Every
write passes here, and nearly every object is already right: one quick walk (`_fits`) finds that out; only what it
doubts is walked with paths and messages. Messages are the ones users know from the API server's Go decoder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Never

import orjson

from seatrial.kube.model import status
from seatrial.kube.model.objects import TOO_DEEP, split_api_version
from seatrial.kube.model.schema import builtin, scalars
from seatrial.kube.model.schema.duplicates import duplicate_fields
from seatrial.kube.model.schema.types import Type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.kube.model.objects import Object

__all__ = ["check_metadata", "check_types", "clean", "duplicate_fields", "load_yaml", "prune"]

MAX_PROBLEMS = 100
"""Unknown fields reported of one object; a hostile one could have a hundred thousand."""


def load_yaml(body: bytes, duplicates: list[str] | None = None) -> Object:
    """The first document of a YAML body; one that is JSON, as most are, is read as such. Raises 400.

    `duplicates` gets a line for each key that a mapping has twice; the last value counts.
    """
    if body.startswith(b"{"):
        try:
            obj: Object = orjson.loads(body)
        except orjson.JSONDecodeError:
            pass  # YAML's flow style looks like JSON at first
        else:
            if duplicates is not None:
                duplicates += duplicate_fields(body, obj)
            return obj
    from seatrial.kube.model.schema import yamltext

    return yamltext.load_yaml(body, duplicates)


def clean(obj: Object, type: Type, kind: str) -> list[str]:
    """`check_types`, then `prune`, for a built-in kind; an object with nothing wrong costs one quick walk."""
    try:
        if _fits(obj, type):
            return []
        return _checked(obj, type, kind, prunes=True)
    except RecursionError:
        raise status.bad_request(TOO_DEEP) from None


def check_types(obj: Object, type: Type, kind: str) -> None:
    """Refuse values a built-in kind cannot hold, and spell the others as the API prints them. Raises 400.

    Unknown fields stay for `prune` to report; nulls, which mean unset, go. `clean` does both in one walk.
    """
    try:
        if not _fits(obj, type):
            _checked(obj, type, kind, prunes=False)
    except RecursionError:
        raise status.bad_request(TOO_DEEP) from None


def check_metadata(obj: Object, kind: str) -> None:
    """`check_types` for the metadata of a custom resource, whose other fields its own schema validates."""
    text = Type(shape="scalar", scalar="string", plain=str)
    fields = {"apiVersion": text, "metadata": builtin.type_named(builtin.OBJECT_META)}
    holder = Type(shape="struct", name=kind, fields=fields)
    if obj.get("metadata") is not None:
        part = {"apiVersion": obj.get("apiVersion"), "metadata": obj["metadata"]}
        check_types(part, holder, kind)


def prune(obj: Object, type: Type) -> list[str]:
    """Take out, in place, fields the schema does not know, and nulls that mean unset.

    Returns `unknown field "spec.foo"` for each. Values of a wrong type are left to the validation.
    """
    walk = _Prune()
    try:
        walk.value(obj, type, "")
    except RecursionError:
        raise status.bad_request(TOO_DEEP) from None
    return walk.problems


def _fits(value: Any, type: Type) -> bool:
    """Whether a value of a built-in kind is right as it is: all fields known, no nulls, canonical scalars."""
    shape = type.shape
    if shape == "struct":
        if value.__class__ is not dict:
            return False
        fields = type.fields
        for key, item in value.items():
            child = fields.get(key)
            if child is None or (item.__class__ is not child.plain and not _fits(item, child)):
                return False
        return True
    if shape == "scalar":
        return scalars.fits(value, type)
    element = type.element
    if element is None:
        return value is not None
    return _all_fit(value, shape, element)


def _all_fit(value: Any, shape: str, element: Type) -> bool:
    items: Iterable[Any]
    if shape == "list":
        if value.__class__ is not list:
            return False
        items = value
    else:
        if value.__class__ is not dict:
            return False
        items = value.values()
    plain = element.plain
    for item in items:  # noqa: SIM110 - a generator would cost a third of the walk
        if item.__class__ is not plain and not _fits(item, element):
            return False
    return True


@dataclass(slots=True)
class _Prune:
    """One walk over one object; `problems` collects what was unknown."""

    problems: list[str] = field(default_factory=list)

    def value(self, value: Any, type: Type, path: str) -> None:
        if isinstance(value, dict):
            if type.shape == "struct":
                self.struct(value, type, path)
            elif type.shape == "map" and type.element is not None:
                self.map(value, type.element, path)
        elif isinstance(value, list) and type.shape == "list" and type.element is not None:
            self.list(value, type.element, path)

    def struct(self, value: dict[str, Any], type: Type, path: str) -> None:
        fields = type.fields
        dropped: list[str] = []
        for key, item in value.items():
            child = fields.get(key)
            if child is None:
                if not type.preserve_unknown:
                    _report(self.problems, path, key)
                    dropped.append(key)
            elif item is None:
                if not child.nullable:
                    dropped.append(key)
            elif item.__class__ is dict or item.__class__ is list:
                self.value(item, child, _join(path, key))
        for key in dropped:
            del value[key]

    def map(self, value: dict[str, Any], element: Type, path: str) -> None:
        dropped: list[str] = []
        for key, item in value.items():
            if item is None:
                if not element.nullable:
                    dropped.append(key)
            else:
                self.value(item, element, _join(path, key))
        for key in dropped:
            del value[key]

    def list(self, value: list[Any], element: Type, path: str) -> None:
        if element.shape == "scalar":
            return
        for index, item in enumerate(value):
            self.value(item, element, f"{path}[{index}]")


def _report(problems: list[str], path: str, key: str) -> None:
    if len(problems) < MAX_PROBLEMS:
        problems.append(f'unknown field "{_join(path, key)}"')


def _checked(obj: Object, type: Type, kind: str, *, prunes: bool) -> list[str]:
    walk = _Check(kind, split_api_version(str(obj.get("apiVersion") or ""))[1], prunes)
    walk.value(obj, type, "", "")
    return walk.problems


@dataclass(slots=True)
class _Check:
    """Like `_Prune`, for built-in kinds: also refuses wrong types and rewrites scalars.

    `path` has list indexes (for unknown fields), `fields` has none (as the Go decoder's messages).
    """

    kind: str
    version: str
    prunes: bool
    problems: list[str] = field(default_factory=list)
    _owner: list[str] = field(default_factory=list)

    def value(self, value: Any, type: Type, path: str, fields: str) -> Any:
        """The value to keep."""
        shape = type.shape
        if shape == "scalar":
            return self.scalar(value, type, fields)
        if shape == "any":
            return value
        if shape == "list":
            if not isinstance(value, list):
                self.wrong_type(scalars.json_name(value), type, fields)
            return self.list(value, type, path, fields)
        if not isinstance(value, dict):
            self.wrong_type(scalars.json_name(value), type, fields)
        return (self.struct if shape == "struct" else self.map)(value, type, path, fields)

    def struct(self, value: dict[str, Any], type: Type, path: str, fields: str) -> dict[str, Any]:
        self._owner.append(type.name.rpartition(".")[2])
        dropped: list[str] = []
        for key, item in value.items():
            child = type.fields.get(key)
            if child is None:
                if self.prunes:
                    _report(self.problems, path, key)
                    dropped.append(key)
            elif item is None:
                dropped.append(key)
            elif item.__class__ is not child.plain:
                value[key] = self.value(item, child, _join(path, key), _join(fields, key))
        for key in dropped:
            del value[key]
        self._owner.pop()
        return value

    def map(self, value: dict[str, Any], type: Type, path: str, fields: str) -> dict[str, Any]:
        element = _element(type)
        for key, item in value.items():
            value[key] = _zero(element) if item is None else self.value(item, element, _join(path, key), fields)
        return value

    def list(self, value: list[Any], type: Type, path: str, fields: str) -> list[Any]:
        element = _element(type)
        for index, item in enumerate(value):
            value[index] = _zero(element) if item is None else self.value(item, element, f"{path}[{index}]", fields)
        return value

    def scalar(self, value: Any, type: Type, fields: str) -> Any:
        try:
            return scalars.canonical(value, type)
        except scalars.WrongTypeError as error:
            self.wrong_type(error.message, type, fields)
        except scalars.MalformedError as error:
            self.refuse(error.message)

    def wrong_type(self, given: str, type: Type, fields: str) -> Never:
        place = f"{self._owner[-1]}.{fields} of type {_go_name(type)}"
        self.refuse(f"json: cannot unmarshal {given} into Go struct field {place}")

    def refuse(self, why: str) -> Never:
        raise status.bad_request(f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: {why}')


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _element(type: Type) -> Type:
    assert type.element is not None, "every list and map of a built-in kind has an element"
    return type.element


def _zero(type: Type) -> Any:
    """Go's zero value, which is what null in a list or map becomes."""
    if type.shape == "scalar":
        return scalars.zero(type)
    return {"struct": {}, "map": {}, "list": []}.get(type.shape)


def _go_name(type: Type) -> str:
    if type.shape == "scalar":
        return scalars.go_name(type)
    if type.shape == "struct":
        # io.k8s.api.core.v1.Container is v1.Container in Go.
        return ".".join(type.name.split(".")[-2:])
    inner = _go_name(type.element) if type.element else "interface {}"
    return f"[]{inner}" if type.shape == "list" else f"map[string]{inner}"
