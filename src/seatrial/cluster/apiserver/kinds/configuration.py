"""ConfigMaps and Secrets: keys that can be file names, a size limit, the `immutable` switch, secret types."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.cluster.apiserver.kinds import checks, names
from seatrial.cluster.apiserver.kinds.rules import Rules, text
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

SIZE_LIMIT = 1024 * 1024
"""Bytes of all values together, as etcd's own limit once set it."""

_ACCOUNT = "kubernetes.io/service-account.name"
_FROZEN = "field is immutable when `immutable` is set"

_DOCKER_KEYS = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}


def default_secret(obj: Object) -> None:
    merge_string_data(obj)
    obj["type"] = obj.get("type") or "Opaque"


def merge_string_data(obj: Object) -> None:
    """`stringData` is for writing only: its values end up in `data`, over what is there."""
    plain = obj.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode((value or "").encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def validate_config_map(obj: Object) -> list[Cause]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    causes = _keys(data, "data") + _keys(binary, "binaryData")
    causes += [
        invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData") for key in data if key in binary
    ]
    size = sum(len((value or "").encode()) for value in data.values())
    return causes + _size(size + _decoded_size(binary), "")


def validate_secret(obj: Object) -> list[Cause]:
    data = obj.get("data") or {}
    return [
        *_keys(data, "data"),
        *_size(_decoded_size(data), "data"),
        *_typed(obj.get("type") or "", data, obj),
    ]


def _keys(data: dict[str, Any], field: str) -> list[Cause]:
    return [invalid_value(f"{field}[{key}]", key, complaint) for key in data for complaint in names.config_key(key)]


def _size(size: int, field: str) -> list[Cause]:
    if size <= SIZE_LIMIT:
        return []
    return [Cause("FieldValueTooLong", f"Too long: may not be more than {SIZE_LIMIT} bytes", field)]


def _decoded_size(data: dict[str, Any]) -> int:
    return sum(len(value or "") * 3 // 4 for value in data.values())


def _typed(kind: str, data: dict[str, Any], obj: Object) -> list[Cause]:
    """Each well-known type promises certain keys."""
    match kind:
        case "kubernetes.io/service-account-token":
            if not objects.annotations(obj).get(_ACCOUNT):
                return [required(f"metadata.annotations[{_ACCOUNT}]")]
        case "kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson":
            return _docker(data, _DOCKER_KEYS[kind])
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                return [required("data[username]"), required("data[password]")]
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                return [required("data[ssh-privatekey]")]
        case "kubernetes.io/tls":
            return [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return []


def _docker(data: dict[str, Any], key: str) -> list[Cause]:
    if key not in data:
        return [required(f"data[{key}]")]
    try:
        content = orjson.loads(base64.b64decode(data[key] or ""))
        problem = "" if isinstance(content, dict) else "must be a JSON object"
    except (orjson.JSONDecodeError, binascii.Error) as error:
        problem = str(error)
    if not problem:
        return []
    return [invalid_value(f"data[{key}]", "<secret contents redacted>", problem)]


def _frozen(obj: Object, old: Object) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = [] if obj.get("immutable") else [forbidden_value("immutable", _FROZEN)]
    return causes + [
        forbidden_value(field, _FROZEN)
        for field in ("data", "binaryData")
        if not checks.same(obj.get(field), old.get(field))
    ]


def _secret_update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(obj.get("type"), old.get("type"), "type") + _frozen(obj, old)


CONFIG_MAPS = Rules(validate=validate_config_map, validate_update=_frozen)
SECRETS = Rules(
    default=default_secret,
    validate=validate_secret,
    validate_update=_secret_update,
    fields={"type": text("type")},
)
