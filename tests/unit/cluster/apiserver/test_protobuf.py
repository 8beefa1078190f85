"""Protobuf bodies mean what the same object means as JSON; the golden pairs are written by Go's own encoders."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seatrial.cluster.apiserver import protobuf
from seatrial.kube.model import resources
from seatrial.kube.model.status import StatusError

GOLDEN = Path(__file__).parents[3] / "golden/protobuf"
DEPLOYMENT = (GOLDEN / "example_deployment.pb").read_bytes()
POD = (GOLDEN / "core_v1_Pod.pb").read_bytes()


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def body(api_version: str, kind: str, raw: bytes, content_type: str = "") -> bytes:
    type_meta = field(1, api_version.encode()) + field(2, kind.encode())
    return b"k8s\x00" + field(1, type_meta) + field(2, raw) + field(3, b"") + field(4, content_type.encode())


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.pb")))
def test_a_body_decodes_to_the_json_of_the_same_object(name: str) -> None:
    expected = without_nulls(json.loads((GOLDEN / f"{name}.json").read_text()))
    if name == "example_service":
        del expected["spec"]["ports"][1]["targetPort"]  # 0, which means unset

    assert protobuf.decode((GOLDEN / f"{name}.pb").read_bytes()) == expected


def test_every_kind_that_can_be_created_has_a_golden_pair() -> None:
    covered = {(found["apiVersion"], found["kind"]) for found in _golden_objects()}

    creatable = {(r.api_version, r.kind) for r in resources.builtin() if "create" in r.verbs}
    assert creatable - covered == set()


def _golden_objects() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in GOLDEN.glob("*.json")]


def test_a_pointer_to_zero_is_kept_and_an_empty_optional_value_is_not() -> None:
    found = protobuf.decode(DEPLOYMENT)

    assert found["spec"]["replicas"] == 0
    assert "minReadySeconds" not in found["spec"]
    assert "creationTimestamp" not in found["metadata"]


def test_options_are_known_in_every_version() -> None:
    raw = varint(1 << 3) + varint(30)

    for api_version in ("v1", "apps/v1", "meta.k8s.io/v1", "sea.test/v1alpha1"):
        found = protobuf.decode(body(api_version, "DeleteOptions", raw))
        assert found == {"apiVersion": api_version, "kind": "DeleteOptions", "gracePeriodSeconds": 30}


def test_unknown_fields_of_every_wire_type_are_skipped() -> None:
    unknown = (
        varint(900 << 3 | 0)
        + varint(1 << 40)
        + varint(901 << 3 | 1)
        + bytes(8)
        + field(902, b"anything")
        + varint(903 << 3 | 3)
        + field(1, b"in a group")
        + varint(903 << 3 | 4)
        + varint(904 << 3 | 5)
        + bytes(4)
    )
    metadata = unknown + field(1, b"web") + unknown
    raw = unknown + field(1, metadata) + unknown

    found = protobuf.decode(body("v1", "ConfigMap", raw))

    assert found == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}


def test_content_that_is_json_is_read_as_json() -> None:
    sent = body("sea.test/v1", "Boat", b'{"metadata":{"name":"x"}}', "application/json")

    assert protobuf.decode(sent) == {"apiVersion": "sea.test/v1", "kind": "Boat", "metadata": {"name": "x"}}


def test_repeated_numbers_may_be_packed() -> None:
    security = field(4, varint(1) + varint(300))
    raw = field(2, field(14, security))

    found = protobuf.decode(body("v1", "Pod", raw))

    assert found["spec"]["securityContext"] == {"supplementalGroups": [1, 300]}


def test_a_map_entry_may_leave_out_key_and_value() -> None:
    raw = field(2, b"") + field(2, field(1, b"key"))

    assert protobuf.decode(body("v1", "ConfigMap", raw))["data"] == {"": "", "key": ""}


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"", "does not start with"),
        (b"k8s", "does not start with"),
        (b'{"kind":"Pod"}', "does not start with"),
        (b"k8s\x00", "no kind"),
        (DEPLOYMENT[:200], "ends too early"),
        (body("v1", "Elephant", b""), 'no kind "Elephant" is known in version "v1"'),
        (body("v1", "ConfigMap", field(1, field(1, b"\xff"))), "not UTF-8"),
        (body("v1", "ConfigMap", varint(1 << 3) + b"\x01"), "wrong wire type"),
        (body("v1", "ConfigMap", b"\x02\x01a"), "number 0"),
        (body("v1", "ConfigMap", varint(90 << 3 | 7)), "no wire type"),
        (body("v1", "ConfigMap", b"\xff" * 12), "longer than 64 bits"),
        (body("sea.test/v1", "Boat", b"{", "application/json"), "not the JSON it says"),
        (body("sea.test/v1", "Boat", b"[]", "application/json"), "not an object"),
        (b"k8s\x00" + field(3, b"gzip"), "encoded as gzip"),
        (body("v1", "ConfigMap", field(1, field(8, varint(1 << 3) + varint(1 << 50)))), "years 1 to 9999"),
    ],
)
def test_what_cannot_be_read_is_a_400_that_says_why(sent: bytes, problem: str) -> None:
    with pytest.raises(StatusError, match=problem) as caught:
        protobuf.decode(sent)

    assert caught.value.code == 400


def test_deep_nesting_is_refused() -> None:
    schema = b""
    for _ in range(300):
        schema = field(28, schema)  # `not`
    version = field(1, b"v1") + field(4, field(1, schema))
    raw = field(2, field(7, version))

    with pytest.raises(StatusError, match="levels deep"):
        protobuf.decode(body("apiextensions.k8s.io/v1", "CustomResourceDefinition", raw))


@given(st.binary(max_size=200), st.sampled_from(["Pod", "Secret", "Event", "Elephant"]))
@example(b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "Pod")
def test_garbage_is_refused_or_read_but_never_fails_otherwise(raw: bytes, kind: str) -> None:
    with contextlib.suppress(StatusError):
        protobuf.decode(body("v1", kind, raw))
    with contextlib.suppress(StatusError):
        protobuf.decode(b"k8s\x00" + raw)


@given(st.data())
def test_a_damaged_body_is_refused_or_read_but_never_fails_otherwise(data: st.DataObject) -> None:
    original = data.draw(st.sampled_from([DEPLOYMENT, POD]))
    damaged = bytearray(original)
    for at in data.draw(st.lists(st.integers(0, len(original) - 1), max_size=5)):
        damaged[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))

    with contextlib.suppress(StatusError):
        protobuf.decode(bytes(damaged[:end]))


def test_decoding_a_deployment_is_fast() -> None:
    protobuf.decode(DEPLOYMENT)

    started = time.perf_counter()
    for _ in range(20):
        protobuf.decode(DEPLOYMENT)
    each = (time.perf_counter() - started) / 20

    assert each < 0.003  # ten times what it takes on an idle machine
