"""Adopting, releasing, and what must not be adopted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seatrial.cluster.controllers import ownership
from seatrial.kube.model import objects, resources, selectors

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

    from seatrial.kube.model.objects import Object

SELECTOR = selectors.from_map({"app": "web"})


def owner(uid: str = "me", **meta: str) -> Object:
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "uid": uid, **meta}}


def pod(name: str, app: str = "web", controller: str | None = None, **meta: str) -> Object:
    references = [{"uid": controller, "controller": True}] if controller else []
    return {"metadata": {"name": name, "labels": {"app": app}, "ownerReferences": references, **meta}}


def claimed(who: Object, *candidates: Object) -> tuple[list[str], list[str], list[str]]:
    found = ownership.claims(who, candidates, lambda obj: SELECTOR.matches(objects.labels(obj)))
    kept, adopted, released = ([objects.name(obj) for obj in group] for group in found)
    return kept, adopted, released


def test_own_matching_objects_are_kept_and_others_released() -> None:
    assert claimed(owner(), pod("a", controller="me"), pod("b", "other", controller="me")) == (["a"], [], ["b"])


def test_only_matching_orphans_are_adopted() -> None:
    assert claimed(owner(), pod("a"), pod("b", "other"), pod("c", controller="somebody")) == ([], ["a"], [])


def test_an_orphan_on_its_way_out_is_not_adopted() -> None:
    assert claimed(owner(), pod("a", deletionTimestamp="2026-01-01T00:00:00Z")) == ([], [], [])


def test_an_owner_on_its_way_out_neither_adopts_nor_releases() -> None:
    leaving = owner(deletionTimestamp="2026-01-01T00:00:00Z")
    assert claimed(leaving, pod("a"), pod("b", "other", controller="me"), pod("c", controller="me")) == (["c"], [], [])


async def test_an_owner_that_was_replaced_adopts_nothing(world: World) -> None:
    await world.start()
    sets, pods = resources.for_plural("replicasets", "apps"), resources.for_plural("pods")
    informer = world.informers.get(pods)
    ownership.index(informer)
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    meta = {"name": "web", "namespace": "default"}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    made = await world.create({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": spec})
    orphan = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**meta, "labels": {"app": "web"}},
        "spec": template["spec"],
    }
    await world.create(orphan)
    await world.settle()
    claimer = ownership.Claimer(world.client, sets, pods)
    earlier = {**made, "metadata": {**made["metadata"], "uid": "an-earlier-one"}}
    with pytest.raises(ownership.OwnerGone):
        await claimer.claim(earlier, informer, SELECTOR)
    assert objects.owner_references((await world.pods())[0]) == []
    assert len(await claimer.claim(made, informer, SELECTOR)) == 1
