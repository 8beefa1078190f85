"""The CustomResourceDefinition of SealedSecrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.unseal import sealedsecret

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


def definition() -> Object:
    """The CustomResourceDefinition `sealedsecrets.bitnami.com`."""
    text: Object = {"type": "string"}
    texts: Object = {"type": "object", "additionalProperties": text}
    metadata = {
        "type": "object",
        "nullable": True,
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            "name": text,
            "namespace": text,
            "labels": texts,
            "annotations": texts,
            "finalizers": {"type": "array", "items": text},
        },
    }
    template = {
        "type": "object",
        "properties": {
            "data": {"type": "object", "nullable": True, "additionalProperties": {"type": "string", "nullable": True}},
            "immutable": {"type": "boolean"},
            "metadata": metadata,
            "type": text,
        },
    }
    encrypted = {**texts, "x-kubernetes-preserve-unknown-fields": True}
    del encrypted["additionalProperties"]
    spec = {
        "type": "object",
        "required": ["encryptedData"],
        "properties": {
            "data": {"type": "string", "format": "byte"},
            "encryptedData": encrypted,
            "template": template,
        },
    }
    time = {"type": "string", "format": "date-time"}
    condition = {
        "type": "object",
        "required": ["status", "type"],
        "properties": {
            **dict.fromkeys(("type", "status", "reason", "message"), text),
            **dict.fromkeys(("lastUpdateTime", "lastTransitionTime"), time),
        },
    }
    status = {
        "type": "object",
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64"},
            "conditions": {"type": "array", "items": condition},
        },
    }
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": text,
            "kind": text,
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    columns = [
        {"name": "Status", "type": "string", "jsonPath": ".status.conditions[0].message"},
        {"name": "Synced", "type": "string", "jsonPath": ".status.conditions[0].status"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    version = {
        "name": sealedsecret.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": schema},
    }
    names = {
        "kind": "SealedSecret",
        "listKind": "SealedSecretList",
        "plural": "sealedsecrets",
        "singular": "sealedsecret",
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"sealedsecrets.{sealedsecret.GROUP}"},
        "spec": {"group": sealedsecret.GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }
