"""The volumes of pods, before a whole API."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seatrial.cluster.node.volumes.errors import NoSuchMount, VolumeNotReady
from seatrial.cluster.node.volumes.facts import PodFacts
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cluster.node.volumes.conftest import Stage

CONF = {"name": "conf", "configMap": {"name": "settings"}}


def token_volume(**source: Any) -> dict[str, Any]:
    return {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token", **source}}]}}


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


async def until_text(stage: Stage, path: Path, text: str) -> None:
    async def check() -> bool:
        return path.exists() and path.read_text() == text

    await stage.until(check, f"{path.name} says {text!r}")


async def test_a_config_map_is_shown_and_its_changes_follow_at_once(stage: Stage) -> None:
    await stage.config_map("settings", color="red", size="1")
    mounted = await stage.prepare(await stage.pod(CONF))
    directory = mounted["/conf"]
    assert (directory / "color").read_text() == "red"
    await stage.change("configmaps", "settings", {"data": {"color": "blue", "size": None, "new": "x"}})
    await until_text(stage, directory / "color", "blue")
    names = [name for name in os.listdir(directory) if not name.startswith("..")]
    assert sorted(names) == ["color", "new"]


async def test_files_of_the_api_are_read_only_in_containers(stage: Stage) -> None:
    await stage.config_map("settings", a="1")
    pod = await stage.pod(CONF, {"name": "tmp", "emptyDir": {}})
    await stage.prepare(pod)
    mounts = stage.volumes.mounts(pod, pod["spec"]["containers"][0], {})
    assert {mount.target: mount.read_only for mount in mounts} == {"/conf": True, "/tmp": False}


async def test_a_missing_object_is_named_and_waited_for(stage: Stage) -> None:
    pod = await stage.pod(CONF)
    with pytest.raises(VolumeNotReady) as raised:
        await stage.prepare(pod)
    assert raised.value.message == 'MountVolume.SetUp failed for volume "conf" : configmap "settings" not found'
    assert raised.value.reason == "FailedMount"
    await stage.config_map("settings", a="1")
    mounted = await stage.prepare(pod)
    assert (mounted["/conf"] / "a").read_text() == "1"


async def test_what_was_optional_and_missing_appears_when_it_comes(stage: Stage) -> None:
    volume = {"name": "conf", "configMap": {"name": "settings", "optional": True}}
    mounted = await stage.prepare(await stage.pod(volume))
    assert [name for name in os.listdir(mounted["/conf"]) if not name.startswith("..")] == []
    await stage.config_map("settings", a="1")
    await until_text(stage, mounted["/conf"] / "a", "1")


async def test_a_deleted_object_leaves_its_files(stage: Stage) -> None:
    await stage.config_map("settings", a="1")
    mounted = await stage.prepare(await stage.pod(CONF))
    await stage.delete("configmaps", "settings")
    await stage.config_map("settings", a="2")
    await until_text(stage, mounted["/conf"] / "a", "2")


async def test_secrets_lie_in_memory(stage: Stage) -> None:
    await stage.secret("pass", key="s3")
    volume = {"name": "pw", "secret": {"secretName": "pass", "defaultMode": 0o400}}
    mounted = await stage.prepare(await stage.pod(volume))
    assert (mounted["/pw"] / "key").read_text() == "s3"
    assert mode(mounted["/pw"] / "key") == 0o400
    assert mounted["/pw"].is_relative_to(stage.directory / "node" / "memory")
    assert stage.mounter.mounted == [stage.directory / "node" / "memory"]


async def test_a_projected_volume_has_all_of_its_sources(stage: Stage) -> None:
    await stage.config_map("settings", a="1")
    await stage.secret("pass", key="s3")
    sources = [
        {"configMap": {"name": "settings", "items": [{"key": "a", "path": "conf/a"}]}},
        {"secret": {"name": "pass", "items": [{"key": "key", "path": "key", "mode": 0o600}]}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    volume = {"name": "all", "projected": {"sources": sources, "defaultMode": 0o440}}
    directory = (await stage.prepare(await stage.pod(volume)))["/all"]
    assert [(directory / name).read_text() for name in ("conf/a", "key", "name")] == ["1", "s3", "web"]
    assert [mode(directory / name) for name in ("conf/a", "key", "name")] == [0o440, 0o600, 0o440]
    await stage.change("secrets", "pass", {"stringData": {"key": "s4"}})
    await until_text(stage, directory / "key", "s4")


async def test_labels_of_the_pod_follow_at_once(stage: Stage) -> None:
    item = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    mounted = await stage.prepare(await stage.pod({"name": "me", "downwardAPI": {"items": [item]}}))
    assert (mounted["/me"] / "labels").read_text() == 'app="web"'
    await stage.change("pods", "web", {"metadata": {"labels": {"tier": "front"}}})
    await until_text(stage, mounted["/me"] / "labels", 'app="web"\ntier="front"')


async def test_a_token_is_bound_to_its_pod_and_renewed_in_time(stage: Stage) -> None:
    pod = await stage.pod(token_volume(expirationSeconds=1000, audience="vault"))
    file = (await stage.prepare(pod))["/token"] / "token"
    first = file.read_text()
    claims = claims_of(first)
    assert claims["aud"] == ["vault"]
    assert claims["kubernetes.io"]["pod"] == {"name": "web", "uid": objects.uid(pod)}
    assert claims["exp"] - claims["iat"] == 1000
    await stage.clock.advance(790)
    assert file.read_text() == first
    await stage.clock.advance(15)

    async def renewed() -> bool:
        return file.read_text() != first

    await stage.until(renewed, "another token is there")


async def test_a_token_that_cannot_be_renewed_stays_and_is_tried_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    pod = await stage.pod(token_volume(expirationSeconds=1000))
    file = (await stage.prepare(pod))["/token"] / "token"
    first = file.read_text()
    await stage.delete("pods", "web")
    await stage.clock.advance(801)

    async def warned() -> bool:
        return "a volume stays as it was" in caplog.text

    await stage.until(warned, "a warning")
    assert file.read_text() == first
    assert first not in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
async def test_a_token_is_for_the_user_of_the_pod_alone(stage: Stage) -> None:
    pod = await stage.pod(token_volume(), securityContext={"runAsUser": 1234, "fsGroup": 4321})
    file = (await stage.prepare(pod))["/token"] / "token"
    assert (file.stat().st_uid, file.stat().st_gid, mode(file)) == (1234, 4321, 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
async def test_the_group_of_the_pod_has_its_volumes(stage: Stage) -> None:
    await stage.secret("pass", key="s3")
    secret = {"name": "pw", "secret": {"secretName": "pass", "defaultMode": 0o400}}
    pod = await stage.pod(secret, {"name": "tmp", "emptyDir": {}}, securityContext={"fsGroup": 4321})
    mounted = await stage.prepare(pod)
    assert (mounted["/tmp"].stat().st_gid, mode(mounted["/tmp"])) == (4321, 0o2777)
    assert ((mounted["/pw"] / "key").stat().st_gid, mode(mounted["/pw"] / "key")) == (4321, 0o440)
    await stage.change("secrets", "pass", {"stringData": {"key": "s4"}})
    await until_text(stage, mounted["/pw"] / "key", "s4")
    assert ((mounted["/pw"] / "key").stat().st_gid, mode(mounted["/pw"] / "key")) == (4321, 0o440)


async def test_an_empty_directory_is_for_everybody_and_goes_with_its_pod(stage: Stage) -> None:
    pod = await stage.pod({"name": "tmp", "emptyDir": {}})
    directory = (await stage.prepare(pod))["/tmp"]
    assert mode(directory) == 0o777
    assert directory.relative_to(stage.directory / "node" / "pods") is not None
    (directory / "file").write_text("x")
    assert (await stage.prepare(pod))["/tmp"] == directory
    assert (directory / "file").exists()
    await stage.volumes.remove(objects.uid(pod))
    assert not directory.exists()


@pytest.mark.parametrize(
    ("limit", "memory", "size"),
    [("64Mi", None, 64 << 20), (None, "128Mi", 128 << 20), ("1Gi", "128Mi", 128 << 20), (None, None, 4 << 30)],
)
async def test_a_directory_of_memory_is_limited(stage: Stage, limit: str | None, memory: str | None, size: int) -> None:
    volume = {"name": "mem", "emptyDir": {"medium": "Memory", **({"sizeLimit": limit} if limit else {})}}
    resources = {"resources": {"limits": {"memory": memory}}} if memory else {}
    mounts = [{"name": "mem", "mountPath": "/mem"}]
    container = {"name": "main", "image": "x", "volumeMounts": mounts, **resources}
    pod = await stage.pod(volume, containers=[container])
    await stage.prepare(pod)
    assert stage.mounter.memory_sizes == {"mem": size}
    await stage.volumes.remove(objects.uid(pod))
    assert stage.mounter.mounted == []


async def test_host_paths_are_what_they_are_said_to_be(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    made = {"name": "made", "hostPath": {"path": str(tmp_path / "a" / "b"), "type": "DirectoryOrCreate"}}
    wrong = {"name": "wrong", "hostPath": {"path": str(tmp_path / "file"), "type": "Directory"}}
    absent = {"name": "absent", "hostPath": {"path": str(tmp_path / "no"), "type": "Socket"}}
    pod = await stage.pod(made, wrong, absent)
    with pytest.raises(VolumeNotReady) as raised:
        await stage.prepare(pod)
    assert (tmp_path / "a" / "b").is_dir()
    assert f'volume "wrong" : hostPath type check failed: {tmp_path}/file is not a directory' in raised.value.message
    assert f'volume "absent" : hostPath type check failed: {tmp_path}/no: No such file' in raised.value.message
    assert "made" not in raised.value.message


async def test_a_host_path_outlives_its_pod(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    pod = await stage.pod({"name": "h", "hostPath": {"path": str(tmp_path / "kept")}})
    assert (await stage.prepare(pod))["/h"] == tmp_path / "kept"
    await stage.volumes.remove(objects.uid(pod))
    assert (tmp_path / "kept" / "file").exists()


async def test_a_kind_of_volume_the_node_does_not_have_is_said_so(stage: Stage) -> None:
    pod = await stage.pod({"name": "share", "nfs": {"server": "s", "path": "/"}})
    with pytest.raises(VolumeNotReady, match='volume "share" : this node has no volumes of kind nfs'):
        await stage.prepare(pod)
    bundle = {"clusterTrustBundle": {"name": "b", "path": "p"}}
    await stage.delete("pods", "web")
    pod = await stage.pod({"name": "trust", "projected": {"sources": [bundle]}})
    with pytest.raises(VolumeNotReady, match="projected source clusterTrustBundle"):
        await stage.prepare(pod)


# claims


def claim(name: str = "data", **spec: Any) -> dict[str, Any]:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": asked}


DATA = {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}


async def test_the_data_of_a_claim_outlives_its_pods(stage: Stage) -> None:
    made = await stage.create(claim())
    pod = await stage.pod(DATA)
    directory = (await stage.prepare(pod))["/d"]
    assert directory == stage.directory / "volumes" / objects.uid(made)
    assert mode(directory) == 0o777
    (directory / "file").write_text("x")
    await stage.volumes.remove(objects.uid(pod))
    await stage.delete("pods", "web")
    again = await stage.prepare(await stage.pod(DATA))
    assert (again["/d"] / "file").read_text() == "x"


async def test_a_pod_waits_for_its_claim_to_be_bound(stage: Stage) -> None:
    pod = await stage.pod(DATA)
    preparing = asyncio.ensure_future(stage.prepare(pod))
    await stage.create(claim())
    assert "/d" in await preparing


async def test_a_claim_that_stays_unbound_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.cluster.node.volumes.claims.PATIENCE", 0.05)
    pod = await stage.pod(DATA)
    with pytest.raises(VolumeNotReady, match='volume "d" : persistentvolumeclaim "data" not found'):
        await stage.prepare(pod)
    await stage.create(claim(storageClassName="none"))
    with pytest.raises(VolumeNotReady, match='persistentvolumeclaim "data" is not bound: it is Pending'):
        await stage.prepare(pod)


async def test_volumes_made_by_hand_are_mounted_where_they_say(stage: Stage, tmp_path: Path) -> None:
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "m"}
    spec["hostPath"] = {"path": str(tmp_path / "srv")}
    await stage.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": spec})
    await stage.create(claim(storageClassName="m"))
    assert (await stage.prepare(await stage.pod(DATA)))["/d"] == tmp_path / "srv"


# mounting


async def test_a_sub_path_is_mounted_from_a_place_no_container_can_swap(stage: Stage) -> None:
    await stage.config_map("settings", a="1")
    mounts = [
        {"name": "conf", "mountPath": "/etc/a", "subPath": "a"},
        {"name": "tmp", "mountPath": "/work", "subPathExpr": "$(POD)/work"},
    ]
    pod = await stage.pod(CONF, {"name": "tmp", "emptyDir": {}}, mounts=mounts)
    await stage.volumes.prepare(pod, PodFacts())
    container = pod["spec"]["containers"][0]
    places = [mount.source for mount in stage.volumes.mounts(pod, container, {"POD": "web"})]
    root = stage.directory / "node" / "subpaths" / objects.uid(pod) / "main"
    assert places == [str(root / "0"), str(root / "1")]
    assert (root / "0").is_file()
    assert (root / "1").is_dir()
    assert (
        stage.directory / "node" / "pods" / objects.uid(pod) / "volumes" / "emptyDir" / "tmp" / "web" / "work"
    ).is_dir()
    again = [mount.source for mount in stage.volumes.mounts(pod, container, {"POD": "web"})]
    assert again == places
    assert stage.mounter.mounted == [root / "0", root / "1"]
    await stage.volumes.remove(objects.uid(pod))
    assert stage.mounter.mounted == []
    assert not root.parent.exists()


async def test_a_link_out_of_the_volume_is_not_mounted(stage: Stage) -> None:
    pod = await stage.pod({"name": "tmp", "emptyDir": {}}, mounts=[{"name": "tmp", "mountPath": "/x", "subPath": "l"}])
    await stage.volumes.prepare(pod, PodFacts())
    directory = stage.directory / "node" / "pods" / objects.uid(pod) / "volumes" / "emptyDir" / "tmp"
    (directory / "l").symlink_to("/etc")
    with pytest.raises(NoSuchMount, match="leads out of the volume") as raised:
        stage.volumes.mounts(pod, pod["spec"]["containers"][0], {})
    assert raised.value.reason == "CreateContainerConfigError"


async def test_mounts_carry_their_options(stage: Stage) -> None:
    mounts: list[dict[str, Any]] = [
        {"name": "tmp", "mountPath": "/a", "readOnly": True, "recursiveReadOnly": "Enabled"},
        {"name": "tmp", "mountPath": "b", "mountPropagation": "HostToContainer"},
    ]
    pod = await stage.pod({"name": "tmp", "emptyDir": {}}, mounts=mounts)
    await stage.volumes.prepare(pod, PodFacts())
    first, second = stage.volumes.mounts(pod, pod["spec"]["containers"][0], {})
    assert (first.read_only, first.recursive_read_only, first.propagation) == (True, True, "None")
    assert (second.target, second.read_only, second.propagation) == ("/b", False, "HostToContainer")


async def test_mount_points_of_an_earlier_start_are_swept_but_nothing_in_them(stage: Stage) -> None:
    """The files stand for what is mounted: a mount point that is in use is not empty, or busy."""
    root = stage.directory / "node" / "subpaths" / "uid" / "main"
    (root / "0").mkdir(parents=True)
    (root / "1").touch()
    (root / "2").mkdir()
    (root / "2" / "data").write_text("x")
    running = asyncio.ensure_future(stage.volumes.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [path.name for path in root.iterdir()] == ["2"]
    assert (root / "2" / "data").read_text() == "x"
