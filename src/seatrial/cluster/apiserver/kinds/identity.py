"""The certificates group: signing requests. The server fills in who asks before these rules run."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.kinds import checks, names
from seatrial.cluster.apiserver.kinds.rules import Rules, setdefaults, struct, text
from seatrial.kube.model.status import Cause, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_SHORTEST_LIFE = 600


def _default_request(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, usages=["digital signature", "key encipherment"])


def _keep_spec(obj: Object, old: Object) -> None:
    """A request cannot be changed once made; approval and issue are sub-resources."""
    obj["spec"] = old.get("spec") or {}


def _validate_request(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    if not spec.get("request"):
        causes.append(required("spec.request"))
    elif not _is_request(spec["request"]):
        detail = "PEM block type must be CERTIFICATE REQUEST"
        causes.append(invalid_value("spec.request", spec["request"], detail))
    signer = spec.get("signerName") or ""
    if not signer:
        causes.append(required("spec.signerName"))
    elif signer.count("/") != 1:
        detail = 'must be a fully qualified domain and path of the form "example.com/signer-name"'
        causes.append(invalid_value("spec.signerName", signer, detail))
    if not spec.get("usages"):
        causes.append(required("spec.usages"))
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _SHORTEST_LIFE:
        detail = "may not specify a duration less than 600 seconds (10 minutes)"
        causes.append(invalid_value("spec.expirationSeconds", seconds, detail))
    return causes


def _is_request(encoded: str) -> bool:
    try:
        return b"-----BEGIN CERTIFICATE REQUEST-----" in base64.b64decode(encoded)
    except binascii.Error:
        return False


def _validate_bundle(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    return [] if spec.get("trustBundle") else [required("spec.trustBundle")]


def _bundle_update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(
        (obj.get("spec") or {}).get("signerName"), (old.get("spec") or {}).get("signerName"), "spec.signerName"
    )


def _bundle_name(name: str) -> list[str]:
    """`signer:domain:name` for a bundle of a signer, a plain name otherwise."""
    return names.subdomain(name.rpartition(":")[2])


RULES = {
    "certificatesigningrequests.certificates.k8s.io": Rules(
        default=_default_request,
        update=_keep_spec,
        validate=_validate_request,
        fields={"spec.signerName": text("spec", "signerName")},
        name=names.path_segment,
    ),
    "clustertrustbundles.certificates.k8s.io": Rules(
        validate=_validate_bundle,
        validate_update=_bundle_update,
        fields={"spec.signerName": text("spec", "signerName")},
        name=_bundle_name,
        unconditional_update=False,
    ),
    "podcertificaterequests.certificates.k8s.io": Rules(
        fields={
            "spec.signerName": text("spec", "signerName"),
            "spec.podName": text("spec", "podName"),
            "spec.nodeName": text("spec", "nodeName"),
        },
        unconditional_update=False,
    ),
}
