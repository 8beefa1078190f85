"""Endpoints follow pods: what a Service's EndpointSlices and Endpoints say, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from tests.scenarios.conftest import Scene

    from seatrial.kube.model.objects import Object


async def service(scene: Scene, **spec: Any) -> Object:
    wanted = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}], **spec}
    return await scene.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "default", "labels": {"team": "shop"}},
            "spec": wanted,
        }
    )


async def pod(scene: Scene, name: str, port: int = 8080, **fields: Any) -> Object:
    ports = [{"name": "http", "containerPort": port}]
    return await scene.create(scene.pod(name, labels={"app": "web"}, container={"ports": ports}, **fields))


async def slices(scene: Scene) -> list[Object]:
    return await scene.list("endpointslices", selector="kubernetes.io/service-name=web")


async def one_slice(scene: Scene) -> Object:
    async def check() -> Object | None:
        found = await slices(scene)
        return found[0] if found else None

    return await scene.until(check)


async def states(scene: Scene) -> dict[str, tuple[bool, bool, bool]]:
    """Ready, serving and terminating, by pod."""
    endpoints = [item for found in await slices(scene) for item in found["endpoints"] or ()]
    return {
        item["targetRef"]["name"]: (
            item["conditions"]["ready"],
            item["conditions"]["serving"],
            item["conditions"]["terminating"],
        )
        for item in endpoints
    }


async def until_states(scene: Scene, **wanted: tuple[bool, bool, bool]) -> None:
    async def check() -> bool:
        return await states(scene) == wanted

    check.__doc__ = f"the endpoints are {wanted}"
    await scene.until(check)


async def test_a_service_without_pods_has_one_empty_slice(scene: Scene) -> None:
    made = await service(scene)
    found = await one_slice(scene)
    assert not found["endpoints"]
    assert not found["ports"]
    assert found["addressType"] == "IPv4"
    assert objects.name(found).startswith("web-")
    assert objects.labels(found) == {
        "team": "shop",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert objects.owner_references(found)[0]["uid"] == objects.uid(made)


async def test_a_ready_pod_becomes_an_endpoint_in_the_same_slice(scene: Scene) -> None:
    await service(scene)
    before = await one_slice(scene)
    await pod(scene, "a")
    await until_states(scene, a=(True, True, False))
    found = await one_slice(scene)
    assert objects.name(found) == objects.name(before)
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    running = await scene.ready("a")
    (endpoint,) = found["endpoints"]
    assert endpoint["addresses"] == [running["status"]["podIP"]]
    assert endpoint["nodeName"] == running["spec"]["nodeName"]
    assert endpoint["targetRef"]["uid"] == objects.uid(running)


async def test_a_deleted_pod_is_no_endpoint_any_more(scene: Scene) -> None:
    await service(scene)
    await pod(scene, "a")
    await pod(scene, "b")
    await until_states(scene, a=(True, True, False), b=(True, True, False))
    await scene.delete("pods", "a")
    await until_states(scene, b=(True, True, False))


async def test_pods_whose_named_port_differs_are_in_different_slices(scene: Scene) -> None:
    await service(scene)
    await pod(scene, "a", 8080)
    await pod(scene, "b", 9090)
    await until_states(scene, a=(True, True, False), b=(True, True, False))
    ports = sorted(found["ports"][0]["port"] for found in await slices(scene))
    assert ports == [8080, 9090]


async def test_the_older_endpoints_say_the_same(scene: Scene) -> None:
    await service(scene)
    await pod(scene, "a")
    running = await scene.ready("a")

    async def filled() -> Object | None:
        found = await scene.get("endpoints", "web")
        return found if found and found.get("subsets") else None

    found = await scene.until(filled)
    (subset,) = found["subsets"]
    assert [address["ip"] for address in subset["addresses"]] == [running["status"]["podIP"]]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert objects.labels(found)["endpoints.kubernetes.io/managed-by"] == "endpoint-controller"


async def test_a_changed_selector_moves_the_traffic(scene: Scene) -> None:
    await service(scene)
    await pod(scene, "a")
    await until_states(scene, a=(True, True, False))
    await scene.merge("services", "web", {"spec": {"selector": {"app": "other"}}})
    await until_states(scene)


async def test_a_service_without_a_selector_is_left_to_others(scene: Scene) -> None:
    await service(scene, selector=None)
    await scene.quiet()
    assert await slices(scene) == []
    assert await scene.get("endpoints", "web") is None


async def test_what_a_deleted_service_had_goes_with_it(scene: Scene) -> None:
    await service(scene)
    await one_slice(scene)
    await scene.delete("services", "web")
    await scene.gone("endpoints", "web")

    async def none_left() -> bool:
        return not await slices(scene)

    await scene.until(none_left)


async def test_a_settled_cluster_is_not_written_to(scene: Scene) -> None:
    await service(scene)
    await pod(scene, "a")
    await until_states(scene, a=(True, True, False))
    before = await scene.quiet()
    pods = await scene.list("pods")
    await scene.merge("pods", "a", {"metadata": {"annotations": {"note": "does not show"}}})
    assert await scene.quiet() == before + 1, "only the annotation itself"
    assert len(pods) == 1
