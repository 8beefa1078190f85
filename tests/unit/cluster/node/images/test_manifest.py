"""What registries say about images, as checked data."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.cluster.node.images import manifest, platform
from seatrial.cluster.node.images.manifest import BadManifest, Descriptor, Index, Manifest
from seatrial.cluster.node.images.platform import Platform

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def entry(digest: str, os: str = "linux", architecture: str = "amd64", variant: str = "") -> Descriptor:
    return Descriptor(manifest.OCI_MANIFEST, digest, 1, Platform(os, architecture, variant))


def image(**changes: Any) -> bytes:
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": manifest.OCI_MANIFEST,
        "config": {"mediaType": manifest.OCI_CONFIG, "digest": A, "size": 7},
        "layers": [{"mediaType": manifest.OCI_LAYER, "digest": B, "size": 9}],
    }
    return orjson.dumps(document | changes)


@pytest.mark.parametrize(
    ("kind", "config"),
    [(manifest.OCI_MANIFEST, manifest.OCI_CONFIG), (manifest.DOCKER_MANIFEST, manifest.DOCKER_CONFIG)],
)
def test_oci_and_docker_manifests_say_the_same(kind: str, config: str) -> None:
    decoded = manifest.decode(image(mediaType=kind, config={"mediaType": config, "digest": A, "size": 7}))
    assert isinstance(decoded, Manifest)
    assert (decoded.config.digest, [layer.digest for layer in decoded.layers]) == (A, [B])


@pytest.mark.parametrize("kind", [manifest.OCI_INDEX, manifest.DOCKER_LIST])
def test_the_content_type_tells_what_the_document_does_not(kind: str) -> None:
    body = orjson.dumps({"schemaVersion": 2, "manifests": [{"digest": A, "size": 3}]})
    decoded = manifest.decode(body, f"{kind}; charset=utf-8")
    assert isinstance(decoded, Index)
    assert decoded.entries[0].platform is None


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"<html>", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
        (b'{"schemaVersion": 2}', "no config and layers"),
        (image(layers={}), "layers must be a JSON list"),
        (image(layers=[3]), "an entry of layers"),
        (image(layers=[{"digest": "sha256:../../etc", "size": 1}]), "no digest"),
        (image(layers=[{"digest": B, "size": -1}]), "size -1"),
        (image(layers=[{"digest": B, "size": 10**18}]), "size"),
        (image(layers=[{"digest": B, "size": True}]), "size must be a JSON int"),
        (image(layers=[{"digest": B, "size": 1}] * 129), "129 layers"),
        (image(config={"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": A, "size": 1}), "artifact"),
        (image(config={"mediaType": manifest.OCI_CONFIG, "digest": A, "size": 2**40}), "size"),
        (b"x" * (manifest.MAX_MANIFEST_BYTES + 1), "at most"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_with_the_field(body: bytes, complaint: str) -> None:
    with pytest.raises(BadManifest, match=complaint):
        manifest.decode(body)


_keys = st.sampled_from(
    ["config", "layers", "manifests", "mediaType", "digest", "size", "platform", "schemaVersion", "rootfs", "Env"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=5),
)


@given(_json)
def test_whatever_json_comes_nothing_but_bad_manifest_is_raised(document: Any) -> None:
    body = orjson.dumps(document)
    for decode in (manifest.decode, manifest.decode_config):
        try:
            decode(body)
        except BadManifest as error:
            assert error.message


def test_a_configuration_says_how_to_run_the_image() -> None:
    config = manifest.decode_config(
        orjson.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": "2026-01-02T03:04:05Z",
                "config": {"User": "1000:100", "Env": ["A=b"], "Cmd": ["sh"], "Entrypoint": None, "WorkingDir": "/w"}
                | {"StopSignal": "SIGINT", "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}},
                "rootfs": {"type": "layers", "diff_ids": [A, B]},
            }
        )
    )
    assert (config.user, config.environment, config.command, config.entrypoint) == ("1000:100", ("A=b",), ("sh",), ())
    assert (config.working_directory, config.stop_signal, config.exposed_ports) == ("/w", "SIGINT", ("80/tcp",))


def test_the_first_chain_id_is_the_diff_id_and_each_next_covers_those_below() -> None:
    # From the OCI image specification: ChainID(A|B) = sha256("<A> <B>").
    from hashlib import sha256

    config = manifest.decode_config(orjson.dumps({"rootfs": {"diff_ids": [A, B, C]}}))
    second = "sha256:" + sha256(f"{A} {B}".encode()).hexdigest()
    assert config.chain_ids == (A, second, "sha256:" + sha256(f"{second} {C}".encode()).hexdigest())


def test_the_variant_for_this_machine_is_chosen() -> None:
    entries = [entry(A, architecture="arm64", variant="v8"), entry(B), entry(C, os="windows")]
    assert platform.choose(entries, Platform("linux", "amd64", "v1")) == entries[1]
    assert platform.choose(entries, Platform("linux", "arm64", "v8")) == entries[0]
    assert platform.choose(entries, Platform("linux", "s390x")) is None


def test_the_newest_variant_that_runs_here_wins() -> None:
    arms = [entry(A, architecture="arm", variant="v6"), entry(B, architecture="arm", variant="v7")]
    assert platform.choose(arms, Platform("linux", "arm", "v7")) == arms[1]
    assert platform.choose(arms, Platform("linux", "arm", "v6")) == arms[0]
    levels = [entry(A, variant="v3"), entry(B)]
    assert platform.choose(levels, Platform("linux", "amd64", "v1")) == levels[1]


def test_attestations_are_no_platform() -> None:
    entries = [entry(A, os="unknown", architecture="unknown"), entry(B, architecture="arm64")]
    assert platform.offered(entries) == "linux/arm64"
    assert platform.choose(entries, Platform("linux", "amd64", "v1")) is None
