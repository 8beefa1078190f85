"""Sealing and unsealing: where a value may be opened, and what a Secret keeps on the way."""

from __future__ import annotations

import base64
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from seatrial.unseal import keys, sealedsecret
from seatrial.unseal.sealedsecret import Scope
from seatrial.unseal.sealing import CannotUnseal

if TYPE_CHECKING:
    from seatrial.unseal.keys import SealingKey

DATA = Path(__file__).parent / "data"
NOW = 1_700_000_000.0


def key(number: int = 0) -> SealingKey:
    return _made(number)


@functools.cache
def _made(number: int) -> SealingKey:
    made = keys.generate("kube-system", NOW + number * 86400, bits=2048)
    return keys.parse({**made, "metadata": {**made["metadata"], "name": f"key-{number}"}})


def secret(**fields: Any) -> dict[str, Any]:
    metadata = {"name": "db", "namespace": "shop", **fields.pop("metadata", {})}
    data = {"password": base64.b64encode(b"canary").decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data, **fields}


def sealed(scope: Scope = Scope.STRICT, **fields: Any) -> dict[str, Any]:
    return sealedsecret.seal(secret(**fields), key().private.public_key(), scope)


def opened(obj: dict[str, Any], *found: SealingKey) -> dict[str, bytes]:
    data = sealedsecret.unseal(obj, [item.private for item in found or (key(),)])["data"]
    return {name: base64.b64decode(value) for name, value in data.items()}


def renamed(obj: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


def test_what_was_sealed_is_unsealed() -> None:
    obj = sealed(stringData={"user": "admin"}, type="example.com/thing", immutable=True)
    made = sealedsecret.unseal(obj, [key().private])
    assert opened(obj) == {"password": b"canary", "user": b"admin"}
    assert (made["type"], made["immutable"]) == ("example.com/thing", True)
    assert "canary" not in str(obj) and base64.b64encode(b"canary").decode() not in str(obj)


@pytest.mark.parametrize(
    ("scope", "name", "namespace", "opens"),
    [
        (Scope.STRICT, "db", "shop", True),
        (Scope.STRICT, "other", "shop", False),
        (Scope.STRICT, "db", "other", False),
        (Scope.NAMESPACE, "other", "shop", True),
        (Scope.NAMESPACE, "db", "other", False),
        (Scope.CLUSTER, "other", "elsewhere", True),
    ],
)
def test_the_scope_says_where_a_value_may_be_unsealed(scope: Scope, name: str, namespace: str, opens: bool) -> None:
    obj = renamed(sealed(scope), name=name, namespace=namespace)
    if opens:
        assert opened(obj) == {"password": b"canary"}
    else:
        with pytest.raises(CannotUnseal, match="no key could decrypt secret: password"):
            opened(obj)


def test_a_wider_scope_claimed_afterwards_opens_nothing() -> None:
    obj = renamed(sealed(Scope.STRICT), name="other")
    obj["metadata"]["annotations"] = {sealedsecret.CLUSTER_WIDE: "true"}
    with pytest.raises(CannotUnseal):
        opened(obj)


def test_an_older_key_still_unseals() -> None:
    assert opened(sealed(), key(1), key(0)) == {"password": b"canary"}
    assert [found.name for found in keys.newest_first([key(0), key(1)])] == ["key-1", "key-0"]


def test_the_copy_kubectl_keeps_of_a_secret_is_not_sealed_in_clear() -> None:
    copy = {"kubectl.kubernetes.io/last-applied-configuration": "canary", "keep": "me"}
    obj = sealed(metadata={"annotations": copy, "ownerReferences": [{"uid": "x"}], "uid": "u"})
    assert obj["spec"]["template"]["metadata"] == {"name": "db", "namespace": "shop", "annotations": {"keep": "me"}}


def test_the_secret_belongs_to_its_sealed_secret() -> None:
    obj = sealed()
    made = sealedsecret.unseal(renamed(obj, uid="u-1"), [key().private])
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    obj["spec"]["template"]["metadata"]["annotations"] = {sealedsecret.SKIP_OWNER: "true"}
    assert "ownerReferences" not in sealedsecret.unseal(obj, [key().private])["metadata"]


@pytest.mark.parametrize("value", ["", "!", "AAA=", base64.b64encode(b"\x00\x05abc").decode(), None, 7])
def test_damaged_values_name_their_entry_only(value: Any) -> None:
    obj = sealed()
    obj["spec"]["encryptedData"]["broken"] = value
    with pytest.raises(CannotUnseal, match="broken") as failed:
        opened(obj)
    assert "password" not in failed.value.message


def test_template_data_adds_and_leaves_out() -> None:
    obj = sealed()
    obj["spec"]["template"]["data"] = {"password": None, "url": "db.example.com"}
    assert opened(obj) == {"url": b"db.example.com"}
    obj["spec"]["template"]["data"] = {"url": "{{ .password }}"}
    with pytest.raises(CannotUnseal, match=r"template.data.url is a Go template"):
        opened(obj)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "ConfigMap"}, "expected a v1 Secret, found v1 ConfigMap"),
        ({"metadata": {"namespace": ""}}, "metadata.namespace is missing"),
        ({"metadata": {"name": ""}}, "no metadata.name"),
        ({"data": {"x": "not base64"}}, "data.x is not base64"),
        ({"stringData": {"x": 5}}, "stringData.x must be a string"),
    ],
)
def test_what_cannot_be_sealed_is_named(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(sealedsecret.InvalidSecret, match=why):
        sealedsecret.seal(secret(**fields), key().private.public_key())


@pytest.mark.parametrize("name", ["strict", "namespace-wide", "cluster-wide"])
def test_what_kubeseal_sealed_is_unsealed(name: str) -> None:
    """data/ was made by kubeseal 0.30 with the key beside it."""
    found = keys.parse(yaml.safe_load((DATA / "key.yaml").read_text()))
    obj = yaml.safe_load((DATA / f"{name}.yaml").read_text())
    assert opened(obj, found) == {"password": b"canary", "user": b"admin"}
    assert sealedsecret.scope_of(obj) == name
