"""Laws of strategic merge patch, over Deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from seatrial.kube.model.objects import Object, clone
from seatrial.kube.model.patch import strategic
from seatrial.kube.model.schema.builtin import type_for

if TYPE_CHECKING:
    from seatrial.kube.model.schema.types import Type


def deployment_type() -> Type:
    found = type_for("apps/v1", "Deployment")
    assert found is not None
    return found


DEPLOYMENT = deployment_type()

NAMES = st.sampled_from("abcde")
TEXT = st.sampled_from(["x", "y", "z"])
LABELS = st.dictionaries(NAMES, TEXT, max_size=3)


def keyed(key: str, keys: st.SearchStrategy[Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists of objects with unique keys."""
    item = st.fixed_dictionaries({key: keys}, optional=optional)
    return st.lists(item, max_size=4, unique_by=lambda found: found[key])


CONTAINERS = keyed(
    "name",
    NAMES,
    image=TEXT,
    args=st.lists(TEXT, max_size=3),
    env=keyed("name", NAMES, value=TEXT),
    ports=keyed("containerPort", st.integers(80, 83), name=TEXT),
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "containers": CONTAINERS,
        "volumes": keyed("name", NAMES, emptyDir=st.fixed_dictionaries({}, optional={"medium": TEXT})),
        "tolerations": st.lists(st.fixed_dictionaries({"key": TEXT}), max_size=3),
        "nodeSelector": LABELS,
    },
)
DEPLOYMENTS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {}, optional={"labels": LABELS, "finalizers": st.lists(NAMES, max_size=4, unique=True)}
        ),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "replicas": st.integers(0, 3),
                "strategy": st.fixed_dictionaries({}, optional={"type": TEXT, "rollingUpdate": LABELS}),
                "template": st.fixed_dictionaries({"spec": SPECS}),
            },
        ),
    }
)


@given(DEPLOYMENTS, DEPLOYMENTS)
def test_a_patch_of_the_difference_gives_the_new_object(old: Object, new: Object) -> None:
    patch = strategic.diff(old, new, DEPLOYMENT)
    before = clone(old), clone(patch)
    assert strategic.apply(old, patch, DEPLOYMENT) == new
    assert (old, patch) == before


@given(DEPLOYMENTS)
def test_no_difference_needs_no_patch(obj: Object) -> None:
    assert strategic.diff(obj, clone(obj), DEPLOYMENT) == {}
    assert strategic.apply(obj, {}, DEPLOYMENT) == obj


@given(DEPLOYMENTS, DEPLOYMENTS, DEPLOYMENTS)
def test_a_patch_applied_twice_is_applied_once(live: Object, old: Object, new: Object) -> None:
    patch = strategic.diff(old, new, DEPLOYMENT)
    once = strategic.apply(live, patch, DEPLOYMENT)
    assert strategic.apply(once, patch, DEPLOYMENT) == once


@given(CONTAINERS, CONTAINERS)
def test_a_patch_keeps_the_items_it_does_not_name_in_their_order(old: list[Any], given_: list[Any]) -> None:
    live = {"spec": {"template": {"spec": {"containers": old}}}}
    patch = {"spec": {"template": {"spec": {"containers": given_}}}}
    patched = strategic.apply(live, patch, DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    after = [item["name"] for item in patched]
    named = {item["name"] for item in given_}
    assert [name for name in after if name in named] == [item["name"] for item in given_]
    assert [name for name in after if name not in named] == [i["name"] for i in old if i["name"] not in named]
