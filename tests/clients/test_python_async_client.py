"""The asynchronous Python client, unmodified: the essentials, and what only many requests at once can show."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes_asyncio import client, config, dynamic, utils, watch
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.leaderelection import electionconfig, leaderelection
from kubernetes_asyncio.leaderelection.resourcelock.leaselock import LeaseLock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

SECONDS = 20
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


@pytest.fixture
async def api(up: Any) -> AsyncIterator[Any]:
    connected = await config.new_client_from_config(str(up.kubeconfig))
    async with connected:
        yield connected


@pytest.fixture
def core(api: Any) -> Any:
    return client.CoreV1Api(api)


@pytest.fixture
def space(kubectl: Any) -> str:
    """A namespace of the test's own."""
    namespace: str = kubectl.namespace
    return namespace


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def deployment(name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def refused(call: Awaitable[Any]) -> Any:
    with pytest.raises(ApiException) as caught:
        await call
    return caught.value


async def until(check: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Wait by condition."""
    try:
        async with asyncio.timeout(SECONDS):
            while not (seen := await check()):
                await asyncio.sleep(0.05)
            return seen
    except TimeoutError:
        pytest.fail(f"not within {SECONDS} s: {what}")


async def follow(list_: Callable[..., Any], *arguments: Any, last: str, **options: Any) -> list[str]:
    """`TYPE name` of each event until the one that reads `last`."""
    seen: list[str] = []
    async with asyncio.timeout(SECONDS), watch.Watch() as watching:
        async for event in watching.stream(list_, *arguments, **options):
            seen.append(f"{event['type']} {event['raw_object']['metadata']['name']}")
            if seen[-1] == last:
                break
    return seen


# One request at a time


async def test_a_deployment_becomes_ready_under_a_watch(api: Any, space: str) -> None:
    apps = client.AppsV1Api(api)
    made = await apps.create_namespaced_deployment(space, deployment("web", 2))
    assert made.spec.strategy.rolling_update.max_unavailable == "25%"
    async with asyncio.timeout(SECONDS), watch.Watch() as watching:
        since = made.metadata.resource_version
        async for event in watching.stream(apps.list_namespaced_deployment, space, resource_version=since):
            assert event["type"] == "MODIFIED"
            if event["object"].status.ready_replicas == 2:
                break
    pods = await client.CoreV1Api(api).list_namespaced_pod(space, label_selector="app=web")
    assert {pod.status.phase for pod in pods.items} == {"Running"}
    scaled = await apps.patch_namespaced_deployment_scale("web", space, {"spec": {"replicas": 0}})
    assert scaled.spec.replicas == 0
    await apps.delete_namespaced_deployment("web", space, propagation_policy="Foreground")

    async def gone() -> bool:
        return not (await apps.list_namespaced_replica_set(space)).items

    await until(gone, "its replica sets are gone")


async def test_objects_are_created_read_changed_and_deleted(core: Any, space: str) -> None:
    made = await core.create_namespaced_config_map(space, config_map("one", a="1"))
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo is not None
    body = await core.read_namespaced_config_map("one", space)
    body.data["b"] = "2"
    changed = await core.replace_namespaced_config_map("one", space, body)
    assert changed.data == {"a": "1", "b": "2"}
    stale = await refused(core.replace_namespaced_config_map("one", space, body))
    assert (stale.status, json.loads(stale.body)["reason"]) == (409, "Conflict")
    patched = await core.patch_namespaced_config_map("one", space, {"data": {"a": None}}, _content_type=MERGE)
    assert patched.data == {"b": "2"}
    operations = [{"op": "add", "path": "/data/c", "value": "3"}]
    assert (await core.patch_namespaced_config_map("one", space, operations)).data == {"b": "2", "c": "3"}
    assert (await core.delete_namespaced_config_map("one", space)).status == "Success"
    missing = await refused(core.read_namespaced_config_map("one", space))
    assert json.loads(missing.body)["message"] == 'configmaps "one" not found'


async def test_apply_meets_conflicts(core: Any, space: str) -> None:
    def applied(value: str, manager: str, **options: Any) -> Any:
        body = config_map("a", k=value)
        return core.patch_namespaced_config_map("a", space, body, field_manager=manager, _content_type=APPLY, **options)

    await applied("1", "one")
    conflict = await refused(applied("2", "two"))
    assert conflict.status == 409
    assert json.loads(conflict.body)["details"]["causes"][0]["field"] == ".data.k"
    assert (await applied("2", "two", force=True)).data == {"k": "2"}


async def test_a_long_list_comes_in_pages(core: Any, space: str) -> None:
    for number in range(5):
        await core.create_namespaced_config_map(space, config_map(f"c{number}"))
    names: list[str] = []
    token = None
    while token != "":
        page = await core.list_namespaced_config_map(space, limit=2, **({"_continue": token} if token else {}))
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    assert names == ["c0", "c1", "c2", "c3", "c4", "kube-root-ca.crt"]


async def test_a_token_that_is_not_ours_is_refused(up: Any) -> None:
    settings = client.Configuration(host=up.url)
    settings.ssl_ca_cert = str(up.ca)
    settings.api_key = {"BearerToken": "Bearer nonsense"}
    async with client.ApiClient(settings) as stranger:
        error = await refused(client.CoreV1Api(stranger).list_namespace())
    assert (error.status, json.loads(error.body)["reason"]) == (401, "Unauthorized")


async def test_objects_are_created_from_plain_data(api: Any, core: Any, space: str) -> None:
    await utils.create_from_dict(api, deployment("web", 0), namespace=space)
    await utils.create_from_dict(api, config_map("cm", a="1"), namespace=space)
    assert (await core.read_namespaced_config_map("cm", space)).data == {"a": "1"}
    with pytest.raises(utils.FailToCreateError, match="AlreadyExists"):
        await utils.create_from_dict(api, config_map("cm", a="1"), namespace=space)


async def test_the_dynamic_client_finds_applies_and_watches(api: Any, space: str, tmp_path: Path) -> None:
    async with dynamic.DynamicClient(api, cache_file=str(tmp_path / "discovery.json")) as anything:
        maps = await anything.resources.get(api_version="v1", kind="ConfigMap")
        made = await maps.server_side_apply(body=config_map("a", k="1"), namespace=space, field_manager="me")
        assert made.metadata.managedFields[0].manager == "me"
        found = await maps.get(namespace=space)
        assert [item.metadata.name for item in found.items] == ["a", "kube-root-ca.crt"]
        seen = [event async for event in maps.watch(namespace=space, name="a", timeout=1)]
        assert [(event["type"], event["object"].data.k) for event in seen] == [("ADDED", "1")]
        replica_sets = await anything.resources.get(api_version="apps/v1", kind="ReplicaSet")
        assert (await replica_sets.get(namespace=space)).items == []


# Custom resources


@pytest.fixture
async def boats(api: Any, space: str) -> AsyncIterator[str]:
    """The group of a definition of the test's own."""
    group = f"{space}.example.com"
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"boats.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    extensions = client.ApiextensionsV1Api(api)
    await extensions.create_custom_resource_definition(definition)

    async def established() -> bool:
        found = await extensions.read_custom_resource_definition(f"boats.{group}")
        return any(c.type == "Established" and c.status == "True" for c in found.status.conditions or [])

    await until(established, "the definition is established")
    yield group
    await extensions.delete_custom_resource_definition(f"boats.{group}")


async def test_custom_objects_are_written_and_watched(api: Any, boats: str, space: str) -> None:
    custom = client.CustomObjectsApi(api)
    place = (boats, "v1", space, "boats")
    following = asyncio.create_task(
        follow(custom.list_namespaced_custom_object, *place, last="DELETED a", resource_version="0")
    )
    boat = {"apiVersion": f"{boats}/v1", "kind": "Boat", "metadata": {"name": "a"}, "spec": {"size": 1, "sail": "no"}}
    made = await custom.create_namespaced_custom_object(*place, boat)
    assert made["spec"] == {"size": 1}
    wrong = await refused(
        custom.patch_namespaced_custom_object(*place, "a", {"spec": {"size": "big"}}, _content_type=MERGE)
    )
    assert wrong.status == 422
    await custom.patch_namespaced_custom_object(*place, "a", {"spec": {"size": 2}}, _content_type=MERGE)
    await custom.delete_namespaced_custom_object(*place, "a")
    assert (await following)[-3:] == ["ADDED a", "MODIFIED a", "DELETED a"]


# Many at once


async def test_many_requests_share_the_connections(core: Any, space: str) -> None:
    made = await asyncio.gather(*(core.create_namespaced_config_map(space, config_map(f"m{n}")) for n in range(100)))
    versions = [int(obj.metadata.resource_version) for obj in made]
    assert len(set(versions)) == 100
    found = await core.list_namespaced_config_map(space)
    assert len(found.items) == 101
    reads = await asyncio.gather(*(core.read_namespaced_config_map(f"m{n}", space) for n in range(100)))
    assert [int(obj.metadata.resource_version) for obj in reads] == versions


async def test_writers_of_one_object_lose_nothing(core: Any, space: str) -> None:
    """Optimistic locking: each of ten writers adds its key to what it read, and tries again after a conflict."""
    await core.create_namespaced_config_map(space, config_map("shared", start="0"))

    async def add(key: str) -> int:
        for attempt in range(100):
            body = await core.read_namespaced_config_map("shared", space)
            body.data[key] = "1"
            try:
                await core.replace_namespaced_config_map("shared", space, body)
            except ApiException as error:
                assert error.status == 409
            else:
                return attempt
        raise AssertionError("never written")

    attempts = await asyncio.gather(*(add(f"k{n}") for n in range(10)))
    assert sum(attempts) > 0
    found = await core.read_namespaced_config_map("shared", space)
    assert set(found.data) == {"start", *(f"k{n}" for n in range(10))}


async def test_watchers_at_the_same_time_see_the_same_history(core: Any, space: str) -> None:
    start = (await core.list_namespaced_config_map(space)).metadata.resource_version
    watchers = [
        asyncio.create_task(follow(core.list_namespaced_config_map, space, last="DELETED end", resource_version=start))
        for _ in range(10)
    ]

    async def live(number: int) -> None:
        name = f"w{number}"
        await core.create_namespaced_config_map(space, config_map(name))
        await core.patch_namespaced_config_map(name, space, {"data": {"a": "1"}})
        await core.delete_namespaced_config_map(name, space)

    await asyncio.gather(*(live(number) for number in range(20)))
    await live_and_die(core, space, "end")
    first, *others = await asyncio.gather(*watchers)
    assert all(other == first for other in others)
    for number in range(20):
        mine = [kind for kind, name in (line.split() for line in first) if name == f"w{number}"]
        assert mine == ["ADDED", "MODIFIED", "DELETED"]


async def live_and_die(core: Any, space: str, name: str) -> None:
    await core.create_namespaced_config_map(space, config_map(name))
    await core.delete_namespaced_config_map(name, space)


async def test_a_watch_that_is_cut_again_and_again_misses_nothing(core: Any, space: str) -> None:
    """Each connection ends after a second, the next goes on from the last version seen."""
    version = (await core.list_namespaced_config_map(space)).metadata.resource_version
    wanted = [f"r{number}" for number in range(40)]

    async def write() -> None:
        for name in wanted:
            await core.create_namespaced_config_map(space, config_map(name))
            await asyncio.sleep(0.05)

    writing = asyncio.create_task(write())
    seen: list[str] = []
    connections = 0
    async with asyncio.timeout(SECONDS):
        while len(seen) < len(wanted):
            connections += 1
            async with watch.Watch() as watching:
                stream = watching.stream(
                    core.list_namespaced_config_map, space, resource_version=version, timeout_seconds=1
                )
                async for event in stream:
                    seen.append(event["object"].metadata.name)
                    version = event["object"].metadata.resource_version
    await writing
    assert seen == wanted
    assert connections > 1


async def test_different_kinds_are_watched_at_once(api: Any, core: Any, space: str) -> None:
    apps = client.AppsV1Api(api)
    maps = asyncio.create_task(follow(core.list_namespaced_config_map, space, last="ADDED cm"))
    deployments = asyncio.create_task(follow(apps.list_namespaced_deployment, space, last="DELETED web"))
    pods = asyncio.create_task(
        follow(core.list_pod_for_all_namespaces, last="DELETED alone", label_selector="t=" + space)
    )
    await core.create_namespaced_config_map(space, config_map("cm"))
    await apps.create_namespaced_deployment(space, deployment("web", 0))
    spec = {"containers": [{"name": "c", "image": "i"}]}
    await core.create_namespaced_pod(space, {"metadata": {"name": "alone", "labels": {"t": space}}, "spec": spec})
    await core.delete_namespaced_pod("alone", space, grace_period_seconds=0)
    await apps.delete_namespaced_deployment("web", space)
    assert (await maps)[-1] == "ADDED cm"
    assert (await deployments)[-1] == "DELETED web"
    kinds = [line.split()[0] for line in await pods]
    assert (kinds[0], kinds[-1]) == ("ADDED", "DELETED")


async def test_a_second_leader_takes_over_when_the_first_goes(api: Any, core: Any, space: str) -> None:
    leading: list[str] = []

    async def candidate(name: str) -> None:
        async def lead() -> None:
            leading.append(name)
            await asyncio.Event().wait()

        async def stopped() -> None:
            pass

        lock = LeaseLock("leader", space, name, api)
        settings = electionconfig.Config(
            lock,
            lease_duration=3,
            renew_deadline=2,
            retry_period=1,
            onstarted_leading=lead,
            onstopped_leading=stopped,
        )
        await leaderelection.LeaderElection(settings).run()

    async def leaders(*wanted: str) -> None:
        async def reached() -> bool:
            return leading == list(wanted)

        await until(reached, f"the leaders so far are {wanted}, not {leading}")

    first = asyncio.create_task(candidate("first"))
    await leaders("first")
    second = asyncio.create_task(candidate("second"))
    lease = await client.CoordinationV1Api(api).read_namespaced_lease("leader", space)
    assert (lease.spec.holder_identity, lease.spec.lease_duration_seconds) == ("first", 3)
    first.cancel()
    await leaders("first", "second")
    lease = await client.CoordinationV1Api(api).read_namespaced_lease("leader", space)
    assert lease.spec.holder_identity == "second"
    second.cancel()
    for task in (first, second):
        with contextlib.suppress(asyncio.CancelledError):
            await task
