"""Pulls from a registry: what is asked for, with which credentials, and what happens when it goes wrong."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import TYPE_CHECKING

import orjson
import pytest
from aiohttp import web
from tests.unit.cluster.node.images.making import (
    BuiltImage,
    archive,
    digest_of,
    entry,
    rules,
    simple_image,
)

from seatrial.base.clock import SystemClock
from seatrial.cluster.node.images import blobs, credentials, puller, reference
from seatrial.cluster.node.images.endpoint import Registries
from seatrial.cluster.node.images.errors import (
    AccessDenied,
    ImageError,
    ImageNotFound,
    PullFailed,
    PullRefused,
    RegistryUnavailable,
)
from seatrial.cluster.node.images.platform import Platform
from seatrial.cluster.node.images.store import ImageStore
from seatrial.cluster.node.images.stream import BadLayer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cluster.node.images.conftest import FakeRegistry

    from seatrial.cluster.node.images.credentials import Keyring
    from seatrial.cluster.node.images.puller import Pulled


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(puller, "RETRY_BASE_SECONDS", 0.001)


async def pull(
    store: ImageStore, registry: FakeRegistry, name: str = "team/app:1", keyring: Keyring | None = None
) -> Pulled:
    return await store.pull(reference.parse(f"{registry.host}/{name}"), keyring)


def login(registry: FakeRegistry, *users: str) -> Keyring:
    """A keyring of pull secrets; later users are less specific."""
    ring = credentials.Keyring()
    for number, user in enumerate(users):
        key = registry.host + ("/team" if number == 0 and len(users) > 1 else "")
        auth = base64.b64encode(user.encode()).decode()
        ring += credentials.from_docker_config(orjson.dumps({"auths": {key: {"auth": auth}}}), "test")
    return ring


def once(status: int, part: str) -> Callable[[web.Request], web.StreamResponse | None]:
    """The first request whose path has `part` is answered with `status`."""
    left = [status]

    def answer(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=left.pop()) if left and part in request.path else None

    return answer


async def test_a_tag_becomes_layers_and_a_record(store: ImageStore, registry: FakeRegistry) -> None:
    top = registry.add("1", simple_image())
    pulled = await pull(store, registry)
    image = store.get(f"{registry.host}/team/app:1")
    assert image == pulled.image
    assert image.digests == (f"{registry.host}/team/app@{top}",)
    upper, lower = store.lower_directories(image)
    assert (lower / "etc/base").read_bytes() == b"base"
    assert (upper / "tmp/said").read_bytes() == b"hello"
    assert store.config(image).command == ("/bin/sh",)
    assert pulled.transferred == sum(map(len, registry.blobs.values()))


async def test_a_directory_a_layer_only_uses_looks_as_below(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", simple_image())
    upper, _ = store.lower_directories((await pull(store, registry)).image)
    assert (upper / "tmp").stat().st_mode & 0o7777 == 0o1777


async def test_a_digest_is_pulled_as_such(store: ImageStore, registry: FakeRegistry) -> None:
    top = registry.add("1", simple_image())
    image = (await pull(store, registry, f"team/app@{top}")).image
    assert image.tags == ()
    assert store.get(f"{registry.host}/team/app@{top}") == image


async def test_of_an_index_the_variant_for_this_machine_is_pulled(store: ImageStore, registry: FakeRegistry) -> None:
    arm, amd = simple_image("arm"), simple_image("amd")
    arm = BuiltImage(arm.layers, architecture="arm64")
    top = registry.add("1", arm, amd)
    image = (await pull(store, registry)).image
    assert image.architecture == "amd64"
    assert image.digests == (f"{registry.host}/team/app@{top}",)


async def test_no_variant_for_this_machine_says_which_there_are(store: ImageStore, registry: FakeRegistry) -> None:
    arms = [BuiltImage(simple_image(text).layers, architecture=text) for text in ("arm64", "s390x")]
    registry.add("1", *arms)
    with pytest.raises(ImageNotFound, match=r"for linux/amd64/v1; it is there for: linux/arm64, linux/s390x"):
        await pull(store, registry)


async def test_what_is_here_is_not_sent_again(store: ImageStore, registry: FakeRegistry) -> None:
    first, second = simple_image("one"), simple_image("two")
    registry.add("1", first)
    await pull(store, registry)
    assert (await pull(store, registry)).transferred == 0
    registry.add("2", second)
    registry.requests.clear()
    await pull(store, registry, "team/app:2")
    assert first.layer_digests[0] == second.layer_digests[0]
    assert not registry.sent(f"blobs/{first.layer_digests[0]}")


async def test_a_tag_that_moved_leaves_its_old_image(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", simple_image("one"))
    old = (await pull(store, registry)).image
    registry.add("1", simple_image("two"))
    new = (await pull(store, registry)).image
    assert store.get(f"{registry.host}/team/app:1").id == new.id != old.id
    assert store.get(old.id).tags == ()


async def test_pulls_side_by_side_fetch_each_layer_once(store: ImageStore, registry: FakeRegistry) -> None:
    built = simple_image()
    registry.add("1", built)
    await asyncio.gather(*(pull(store, registry) for _ in range(8)))
    assert sorted(registry.sent("blobs")) == sorted(f"/v2/team/app/blobs/{digest}" for digest in built.blobs)


# Credentials


async def test_a_token_is_fetched_once_and_used_for_all(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", simple_image())
    registry.auth = "bearer"
    await pull(store, registry)
    assert len(registry.sent("/token")) == 1


@pytest.mark.parametrize("auth", ["bearer", "basic"])
async def test_pull_secrets_are_tried_in_turn(store: ImageStore, registry: FakeRegistry, auth: str) -> None:
    registry.add("1", simple_image())
    registry.auth, registry.users = auth, {"right": "p"}
    await pull(store, registry, keyring=login(registry, "wrong:p", "right:p"))


async def test_refused_credentials_name_the_user_and_not_the_password(
    store: ImageStore, registry: FakeRegistry
) -> None:
    registry.add("1", simple_image())
    registry.auth, registry.users = "basic", {"right": "p"}
    with pytest.raises(AccessDenied, match=r"refuses user 'me'.*imagePullSecrets") as caught:
        await pull(store, registry, keyring=login(registry, "me:hunter2"))
    assert "hunter2" not in caught.value.message


async def test_missing_credentials_are_asked_for(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", simple_image())
    registry.auth, registry.users = "basic", {"right": "p"}
    with pytest.raises(AccessDenied, match="does not let everybody pull team/app"):
        await pull(store, registry)


async def test_an_expired_token_is_renewed(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", simple_image())
    registry.auth = "bearer"
    registry.interfere = once(401, "/blobs/")
    with pytest.raises(AccessDenied):
        await pull(store, registry)  # an answer without a challenge is final
    await pull(store, registry)


async def test_credentials_do_not_follow_a_redirect_to_another_host(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", simple_image())
    registry.auth, registry.users = "basic", {"me": "p"}

    def elsewhere(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" in request.path and request.host != f"localhost:{registry.port}":
            raise web.HTTPTemporaryRedirect(f"http://localhost:{registry.port}{request.path}")
        if request.host == f"localhost:{registry.port}":
            return web.Response(body=registry.blobs[request.path.rsplit("/", 1)[1]])
        return None

    registry.interfere = elsewhere
    await pull(store, registry, keyring=login(registry, "me:p"))
    redirected = [
        given
        for path, before, given in zip(
            registry.requests[1:], registry.requests, registry.authorizations[1:], strict=False
        )
        if "/blobs/" in path and path == before
    ]
    assert redirected
    assert set(redirected) == {""}


async def test_a_redirect_away_from_http_is_refused(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", simple_image())

    def elsewhere(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=307, headers={"location": "ftp://x/y"}) if "blobs" in request.path else None

    registry.interfere = elsewhere
    with pytest.raises(PullRefused, match="redirects to ftp"):
        await pull(store, registry)


# Failures


async def test_a_missing_tag_is_named(store: ImageStore, registry: FakeRegistry) -> None:
    with pytest.raises(ImageNotFound, match=r"no tag or digest 'nope' in repository team/app: nope unknown") as caught:
        await pull(store, registry, "team/app:nope")
    assert caught.value.reason == "ErrImagePull"


@pytest.mark.parametrize(("status", "part"), [(500, "manifests"), (503, "blobs"), (429, "blobs")])
async def test_a_passing_failure_is_tried_again(
    store: ImageStore, registry: FakeRegistry, status: int, part: str
) -> None:
    registry.add("1", simple_image())
    registry.interfere = once(status, part)
    await pull(store, registry)


async def test_a_registry_out_of_order_is_unavailable(store: ImageStore, registry: FakeRegistry) -> None:
    registry.interfere = lambda _request: web.Response(status=503)
    with pytest.raises(RegistryUnavailable, match="answered 503") as caught:
        await pull(store, registry)
    assert caught.value.reason == "RegistryUnavailable"
    assert len(registry.requests) == puller.TRIES


async def test_nobody_there_is_unavailable(store: ImageStore) -> None:
    with pytest.raises(RegistryUnavailable, match=r"registry 127.0.0.1:9 .* cannot be reached"):
        await store.pull(reference.parse("127.0.0.1:9/a"))


async def test_tls_where_there_is_none_is_explained(tmp_path: Path, registry: FakeRegistry) -> None:
    registries = Registries(mirrors={"r.test": (f"https://localhost:{registry.port}",)}, plain=frozenset({"r.test"}))
    async with ImageStore(tmp_path / "images", SystemClock(), registries=registries) as store:
        with pytest.raises(ImageError, match="no TLS connection that can be trusted"):
            await store.pull(reference.parse("r.test/a"))


async def test_a_transfer_that_breaks_goes_on_where_it_was(store: ImageStore, registry: FakeRegistry) -> None:
    big = BuiltImage([archive([entry("big", os.urandom(300_000))])])
    registry.add("1", big)
    cut: list[str] = []

    def cut_first(request: web.Request) -> None:
        if request.path.endswith(big.layer_digests[0]) and not cut:
            cut.append(request.path)
            registry.cut_after = 100_000

    registry.interfere = cut_first
    pulled = await pull(store, registry)
    size = len(big.blobs[big.layer_digests[0]])
    config_size = sum(map(len, big.blobs.values())) - size
    assert pulled.transferred == size + config_size
    assert len(registry.sent(big.layer_digests[0])) == 2


async def test_what_a_killed_pull_left_is_used(store: ImageStore, registry: FakeRegistry, tmp_path: Path) -> None:
    built = BuiltImage([archive([entry("big", os.urandom(300_000))])])
    registry.add("1", built)
    name = built.layer_digests[0]
    (tmp_path / "images/ingest" / name.replace(":", "-")).write_bytes(built.blobs[name][:200_000])
    pulled = await pull(store, registry)
    assert pulled.transferred < 200_000


async def test_what_a_killed_pull_left_broken_is_fetched_anew(
    store: ImageStore, registry: FakeRegistry, tmp_path: Path
) -> None:
    built = BuiltImage([archive([entry("big", os.urandom(300_000))])])
    registry.add("1", built)
    name = built.layer_digests[0]
    for junk in (b"junk" * 1000, b"j" * 900_000):
        (tmp_path / "images/ingest" / name.replace(":", "-")).write_bytes(junk)
        image = (await pull(store, registry)).image
        await store.remove(image.id)


async def test_other_bytes_than_the_digest_says_are_refused(store: ImageStore, registry: FakeRegistry) -> None:
    built = simple_image()
    registry.add("1", built)
    name = built.layer_digests[0]
    registry.blobs[name] = bytes(len(built.blobs[name]))
    with pytest.raises(blobs.DigestMismatch, match=name):
        await pull(store, registry)
    assert not store.images()


async def test_more_bytes_than_the_manifest_says_are_refused(store: ImageStore, registry: FakeRegistry) -> None:
    built = simple_image()
    registry.add("1", built)
    registry.blobs[built.layer_digests[0]] += b"more"
    with pytest.raises(blobs.DigestMismatch, match="longer than"):
        await pull(store, registry)


async def test_an_altered_manifest_is_refused(store: ImageStore, registry: FakeRegistry) -> None:
    top = registry.add("1", simple_image("one"))
    registry.manifests[top] = simple_image("two").manifest
    with pytest.raises(PullFailed, match="not what its digest"):
        await pull(store, registry, f"team/app@{top}")


async def test_a_layer_that_is_not_the_one_the_configuration_names_is_refused(
    store: ImageStore, registry: FakeRegistry, tmp_path: Path
) -> None:
    honest, other = simple_image("one"), simple_image("two")
    document = orjson.loads(honest.manifest)
    document["layers"][1] = orjson.loads(other.manifest)["layers"][1]
    forged = orjson.dumps(document)
    registry.add("1", honest)
    registry.add("2", other)
    registry.manifests["3"] = forged
    with pytest.raises(BadLayer, match="unpacks to"):
        await pull(store, registry, "team/app:3")
    assert len(list((tmp_path / "images/layers").iterdir())) <= 1


async def test_a_hostile_layer_leaves_no_image(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", BuiltImage([archive([entry("../../escaped", b"x")])]))
    with pytest.raises(BadLayer, match="leads out") as caught:
        await pull(store, registry)
    assert caught.value.reason == "ErrImagePull"
    assert not store.images()


async def test_a_mirror_is_asked_first_and_the_registry_itself_after_it(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.add("1", simple_image())
    dead, alive = "http://127.0.0.1:9", f"http://{registry.host}"
    registries = Registries(mirrors={"docker.io": (dead, alive)})
    clock = SystemClock()
    async with ImageStore(tmp_path / "images", clock, registries=registries, rules=rules()) as store:
        image = (await store.pull(reference.parse("team/app:1"))).image
    assert image.tags == ("docker.io/team/app:1",)


async def test_uncompressed_layers_are_pulled(store: ImageStore, registry: FakeRegistry) -> None:
    registry.add("1", BuiltImage(simple_image().layers, compress=False))
    await pull(store, registry)


async def test_a_wanted_platform_is_pulled(tmp_path: Path, registry: FakeRegistry) -> None:
    arm = BuiltImage(simple_image("arm").layers, architecture="arm64")
    registry.add("1", arm, simple_image("amd"))
    wanted = Platform("linux", "arm64", "v8")
    async with ImageStore(tmp_path / "images", SystemClock(), wanted=wanted, rules=rules()) as store:
        assert (await pull(store, registry)).image.architecture == "arm64"


async def test_the_digest_of_a_tag_is_the_registrys(store: ImageStore, registry: FakeRegistry) -> None:
    built = simple_image()
    registry.add("1", built)
    image = (await pull(store, registry)).image
    assert image.manifest == digest_of(built.manifest) == built.digest
