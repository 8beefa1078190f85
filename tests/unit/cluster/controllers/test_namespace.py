"""Deleting a namespace: the order of things, and what people are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.controllers import namespace
from seatrial.cluster.controllers.namespace import Survey
from seatrial.kube.model import conditions, resources
from seatrial.kube.model.resources import Resource

if TYPE_CHECKING:
    from tests.unit.cluster.controllers.conftest import World

PODS = resources.for_plural("pods")


def reasons(survey: Survey) -> dict[str, str]:
    return {type_: reason for type_, status, reason, _ in namespace.conditions_of(survey) if status == "True"}


def message(survey: Survey, wanted: str) -> str:
    return next(text for type_, _, _, text in namespace.conditions_of(survey) if type_ == wanted)


def test_pods_come_first_and_every_namespaced_resource_once() -> None:
    found = namespace.deletable(resources.builtin())
    names = [str(resource) for resource in found]
    assert names[0] == "pods"
    assert len(names) == len(set(names))
    assert "nodes" not in names
    assert "bindings" not in names, "what cannot be listed cannot be deleted"


def test_the_preferred_version_stands_for_the_resource() -> None:
    old, new = (Resource("example.com", version, "Ship", "ships", namespaced=True) for version in ("v1beta1", "v1"))
    assert namespace.deletable([new, old]) == [new]


def test_all_five_conditions_are_false_when_nothing_is_left() -> None:
    survey = Survey()
    assert survey.is_clear
    assert reasons(survey) == {}
    assert len(list(namespace.conditions_of(survey))) == 5


def test_what_remains_and_why_is_counted() -> None:
    survey = Survey()
    held: dict[str, Any] = {"metadata": {"finalizers": ["example.com/hold"]}}
    survey.note(PODS, [held, held, {"metadata": {}}])
    assert not survey.is_clear
    assert reasons(survey) == {
        "NamespaceContentRemaining": "SomeResourcesRemain",
        "NamespaceFinalizersRemaining": "SomeFinalizersRemain",
    }
    assert message(survey, "NamespaceContentRemaining") == (
        "Some resources are remaining: pods. has 3 resource instances"
    )
    assert message(survey, "NamespaceFinalizersRemaining").endswith("example.com/hold in 2 resource instances")


def test_errors_keep_the_namespace() -> None:
    assert reasons(Survey(errors=["b", "a"])) == {"NamespaceDeletionContentFailure": "ContentDeletionFailed"}
    assert message(Survey(errors=["b", "a"]), "NamespaceDeletionContentFailure").endswith("2 remaining: a, b")
    assert reasons(Survey(discovery_error="away")) == {"NamespaceDeletionDiscoveryFailure": "DiscoveryFailed"}
    assert not Survey(errors=["a"]).is_clear
    assert not Survey(discovery_error="away").is_clear


def test_the_wait_grows_with_the_time_it_takes() -> None:
    assert namespace.wait_before_next(100.0, 100.0) == 0.2
    assert namespace.wait_before_next(100.0, 110.0) == 2.0
    assert namespace.wait_before_next(100.0, 1000.0) == 5.0


async def test_a_namespace_that_stays_is_not_written_to(world: World) -> None:
    await world.start(namespace.build)
    await world.settle()
    before = world.store.revision
    found = await world.client.get(resources.for_plural("namespaces"), "default")
    assert conditions.get(found, "NamespaceContentRemaining") is None
    assert world.store.revision == before
