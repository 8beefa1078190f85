"""A Secret into a SealedSecret (`bitnami.com/v1alpha1`) and back, as kubeseal and its controller do it. Pure."""

from __future__ import annotations

import base64
import binascii
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Terminal
from seatrial.kube.model import objects
from seatrial.kube.model.resources import Resource
from seatrial.unseal import sealing
from seatrial.unseal.sealing import CannotUnseal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    from seatrial.kube.model.objects import Object

GROUP, VERSION, KIND = "bitnami.com", "v1alpha1", "SealedSecret"
API_VERSION = f"{GROUP}/{VERSION}"
RESOURCE = Resource(GROUP, VERSION, KIND, "sealedsecrets", namespaced=True)

_ANNOTATIONS = "sealedsecrets.bitnami.com/"
CLUSTER_WIDE = _ANNOTATIONS + "cluster-wide"
NAMESPACE_WIDE = _ANNOTATIONS + "namespace-wide"
MANAGED = _ANNOTATIONS + "managed"
PATCH = _ANNOTATIONS + "patch"
SKIP_OWNER = _ANNOTATIONS + "skip-set-owner-references"
_COPIES_OF_THE_OBJECT = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubecfg.ksonnet.io/last-applied-configuration",
)
_OF_THE_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")


class Scope(StrEnum):
    """Where a sealed value may be unsealed: under this very name, in this namespace, anywhere in the cluster."""

    STRICT = "strict"
    NAMESPACE = "namespace-wide"
    CLUSTER = "cluster-wide"


class InvalidSecret(Terminal):
    reason = "InvalidSecret"


def scope_of(obj: Object) -> Scope:
    annotations = objects.annotations(obj)
    if annotations.get(CLUSTER_WIDE) == "true":
        return Scope.CLUSTER
    return Scope.NAMESPACE if annotations.get(NAMESPACE_WIDE) == "true" else Scope.STRICT


def label(namespace: str, name: str, scope: Scope) -> bytes:
    """What binds a ciphertext to its place."""
    match scope:
        case Scope.CLUSTER:
            return b""
        case Scope.NAMESPACE:
            return namespace.encode()
        case Scope.STRICT:
            return f"{namespace}/{name}".encode()


def seal_value(key: RSAPublicKey, value: bytes, namespace: str, name: str, scope: Scope) -> str:
    return base64.b64encode(sealing.encrypt(key, value, label(namespace, name, scope))).decode()


def seal(secret: Object, key: RSAPublicKey, scope: Scope | None = None) -> Object:
    """`scope` None: as the Secret's annotations say. Raises InvalidSecret."""
    if (secret.get("apiVersion"), secret.get("kind")) != ("v1", "Secret"):
        raise InvalidSecret(f"expected a v1 Secret, found {secret.get('apiVersion')} {secret.get('kind')}")
    namespace, name = objects.namespace(secret), objects.name(secret)
    scope = scope or scope_of(secret)
    if not namespace and scope is not Scope.CLUSTER:
        raise InvalidSecret(f'secret "{name}": metadata.namespace is missing: it is part of what is sealed. Name it')
    if not name and scope is Scope.STRICT:
        raise InvalidSecret("the secret has no metadata.name: it is part of what is sealed with scope strict")
    values = _plain(secret)
    encrypted = {entry: seal_value(key, value, namespace, name, scope) for entry, value in values.items()}
    metadata = _place(name, namespace, _scoped({}, scope))
    template: Object = {"metadata": _template_metadata(secret, scope)}
    template |= {field: secret[field] for field in ("type", "immutable") if field in secret}
    spec = {"encryptedData": encrypted, "template": template}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def _plain(secret: Object) -> dict[str, bytes]:
    values = {}
    for entry, text in (secret.get("data") or {}).items():
        try:
            values[entry] = base64.b64decode(text or "", validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise InvalidSecret(f'secret "{objects.name(secret)}": data.{entry} is not base64') from None
    for entry, text in (secret.get("stringData") or {}).items():
        if not isinstance(text, str):
            raise InvalidSecret(f'secret "{objects.name(secret)}": stringData.{entry} must be a string')
        values[entry] = text.encode()
    return values


def _place(name: str, namespace: str, annotations: dict[str, str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "annotations": annotations}
    return {field: value for field, value in metadata.items() if value}


def _scoped(annotations: dict[str, str], scope: Scope) -> dict[str, str]:
    kept = {key: value for key, value in annotations.items() if key not in (CLUSTER_WIDE, NAMESPACE_WIDE)}
    marks = {Scope.CLUSTER: {CLUSTER_WIDE: "true"}, Scope.NAMESPACE: {NAMESPACE_WIDE: "true"}}
    return kept | marks.get(scope, {})


def _template_metadata(secret: Object, scope: Scope) -> dict[str, Any]:
    """The Secret's own, without what would give its values away or belongs to the server."""
    metadata = {key: value for key, value in objects.metadata(secret).items() if key not in _OF_THE_SERVER}
    metadata.pop("ownerReferences", None)
    annotations = {k: v for k, v in objects.annotations(secret).items() if k not in _COPIES_OF_THE_OBJECT}
    metadata.pop("annotations", None)
    if annotations := _scoped(annotations, scope):
        metadata["annotations"] = annotations
    return metadata


def unseal(sealed: Object, keys: Sequence[RSAPrivateKey]) -> Object:
    """The Secret, owned by its SealedSecret. Raises CannotUnseal, naming the entries and never a value."""
    spec = sealed.get("spec") or {}
    if spec.get("data") is not None:
        raise CannotUnseal("spec.data is the format of before 2018: seal it again, into spec.encryptedData")
    template = spec.get("template") or {}
    data = _decrypted(sealed, keys)
    data = _templated(data, template.get("data") or {})
    given = template.get("metadata") or {}
    metadata: dict[str, Any] = {
        field: given[field] for field in ("labels", "annotations", "finalizers") if given.get(field)
    }
    metadata |= {"name": objects.name(sealed), "namespace": objects.namespace(sealed)}
    if objects.annotations({"metadata": given}).get(SKIP_OWNER) != "true":
        metadata["ownerReferences"] = [_owner(sealed)]
    secret: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    secret["type"] = template.get("type") or "Opaque"
    if template.get("immutable") is not None:
        secret["immutable"] = template["immutable"]
    secret["data"] = {entry: base64.b64encode(value).decode() for entry, value in sorted(data.items())}
    return secret


def _decrypted(sealed: Object, keys: Sequence[RSAPrivateKey]) -> dict[str, bytes]:
    bound = label(objects.namespace(sealed), objects.name(sealed), scope_of(sealed))
    data, failed = {}, {}
    for entry, text in (sealed["spec"].get("encryptedData") or {}).items():
        try:
            data[entry] = sealing.decrypt(keys, base64.b64decode(text, validate=True), bound)
        except (binascii.Error, TypeError, ValueError):
            failed[entry] = "not base64"
        except CannotUnseal as error:
            failed[entry] = error.message
    if failed:
        raise CannotUnseal("; ".join(f"{why}: {entry}" for entry, why in sorted(failed.items())))
    return data


def _templated(data: dict[str, bytes], template: dict[str, Any]) -> dict[str, bytes]:
    """`template.data`: null leaves an entry out, text adds one. Raises CannotUnseal for Go templates."""
    data = dict(data)
    for entry, text in template.items():
        if text is None:
            data.pop(entry, None)
        elif "{{" in str(text):
            raise CannotUnseal(f"spec.template.data.{entry} is a Go template: these are not supported")
        else:
            data[entry] = str(text).encode()
    return data


def _owner(sealed: Object) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": objects.name(sealed),
        "uid": objects.uid(sealed),
        "controller": True,
    }
