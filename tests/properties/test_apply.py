"""Laws of field ownership, over Deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seatrial.kube.model.objects import Object, clone
from seatrial.kube.model.patch.apply import managed
from seatrial.kube.model.patch.apply.entries import decode
from seatrial.kube.model.patch.apply.extract import claimed
from seatrial.kube.model.patch.apply.fieldset import EMPTY, FieldSet
from seatrial.kube.model.schema.builtin import type_for
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.model.schema.types import Type


def deployment_type() -> Type:
    found = type_for("apps/v1", "Deployment")
    assert found is not None
    return found


DEPLOYMENT = deployment_type()

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
NAMES = st.sampled_from("abcd")
TEXT = st.sampled_from(["x", "y"])
LABELS = st.dictionaries(NAMES, TEXT, min_size=1, max_size=3)


def keyed(key: str, keys: st.SearchStrategy[Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    item = st.fixed_dictionaries({key: keys}, optional=optional)
    return st.lists(item, min_size=1, max_size=3, unique_by=lambda found: found[key])


SPECS = st.fixed_dictionaries(
    {
        "containers": keyed(
            "name",
            NAMES,
            image=TEXT,
            args=st.lists(TEXT, max_size=2),
            env=keyed("name", NAMES, value=TEXT),
            ports=keyed("containerPort", st.integers(80, 82), name=TEXT, protocol=st.just("TCP")),
        )
    },
    optional={"nodeSelector": LABELS, "tolerations": st.lists(st.just({"key": "k"}), max_size=1)},
)


def deployment(metadata: Object, spec: Object) -> Object:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", **metadata}, "spec": spec}


NOTHING = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}

CONFIGS = st.builds(
    deployment,
    st.fixed_dictionaries({}, optional={"labels": LABELS, "finalizers": st.lists(NAMES, min_size=1, unique=True)}),
    st.fixed_dictionaries(
        {},
        optional={
            "replicas": st.integers(1, 3),
            "selector": st.fixed_dictionaries({"matchLabels": LABELS}),
            "template": st.fixed_dictionaries({"spec": SPECS}),
        },
    ),
)


def apply(live: Object | None, config: Object, manager: str, *, force: bool = True, now: str = NOW) -> Object:
    return managed.apply(live, config, DEPLOYMENT, manager=manager, force=force, subresource="", now=now)


def owned(obj: Object, manager: str) -> FieldSet:
    found = EMPTY
    for entry in decode(obj["metadata"].get("managedFields")):
        if entry.manager == manager:
            found = found | entry.fields
    return found


@given(CONFIGS, CONFIGS)
def test_an_applier_owns_exactly_what_it_applied(first: Object, second: Object) -> None:
    live = apply(None, first, "one")
    assert owned(live, "one") == claimed(first, DEPLOYMENT)
    assert owned(apply(live, second, "one"), "one") == claimed(second, DEPLOYMENT)


@given(CONFIGS, CONFIGS)
def test_to_apply_again_changes_nothing(other: Object, config: Object) -> None:
    live = apply(apply(None, other, "two"), config, "one")
    assert apply(live, config, "one", force=False, now=LATER) == live


@given(CONFIGS, CONFIGS)
def test_what_one_applied_alone_is_all_there_is(first: Object, second: Object) -> None:
    """A field that is dropped and owned by nobody else goes; so the object is as if newly applied."""
    moved, fresh = apply(apply(None, first, "one"), second, "one"), apply(None, second, "one")
    assert claimed(moved, DEPLOYMENT) == claimed(fresh, DEPLOYMENT)
    assert unordered(moved["spec"]) == unordered(fresh["spec"])


@given(CONFIGS, CONFIGS)
def test_what_another_owns_stays(mine: Object, theirs: Object) -> None:
    live = apply(apply(None, mine, "one"), theirs, "two")
    left = apply(live, NOTHING, "one")
    assert unordered(left["spec"]) == unordered(apply(None, theirs, "two")["spec"])
    assert owned(left, "one").is_empty()
    assert owned(left, "two") == claimed(theirs, DEPLOYMENT)


@given(CONFIGS, CONFIGS)
def test_managers_of_different_fields_never_conflict(mine: Object, theirs: Object) -> None:
    shared = claimed(mine, DEPLOYMENT).leaves() & claimed(theirs, DEPLOYMENT).leaves()
    assume(shared.is_empty())
    apply(apply(None, mine, "one"), theirs, "two", force=False)


@given(CONFIGS, CONFIGS)
def test_a_conflict_names_what_is_owned_and_differs(mine: Object, theirs: Object) -> None:
    live = apply(None, mine, "one")
    shared = set((claimed(mine, DEPLOYMENT) & claimed(theirs, DEPLOYMENT)).paths())
    try:
        apply(live, theirs, "two", force=False)
    except StatusError as conflict:
        assert conflict.code == 409
        fields = {cause["field"] for cause in conflict.details["causes"]}
        assert fields <= shared
        after = apply(live, theirs, "two", force=True)
        assert fields.isdisjoint(owned(after, "one").paths())
    else:
        assert set(owned(apply(live, theirs, "two", force=False), "one").paths()) == set(owned(live, "one").paths())


@given(CONFIGS, CONFIGS)
def test_an_update_takes_what_it_changes_and_nothing_else(mine: Object, written: Object) -> None:
    live = apply(None, mine, "one")
    new = clone(written)
    new["metadata"]["managedFields"] = live["metadata"]["managedFields"]
    after = managed.updated(live, new, DEPLOYMENT, manager="two", subresource="", now=LATER)
    one, two = owned(after, "one"), owned(after, "two")
    assert (one & two).is_empty()
    same = claimed(mine, DEPLOYMENT) - two
    assert (one - same).is_empty()
    present = claimed(written, DEPLOYMENT)
    assert ((present & claimed(mine, DEPLOYMENT)) - two - one).is_empty()


@given(st.lists(st.tuples(st.booleans(), NAMES, CONFIGS), min_size=1, max_size=6))
@settings(max_examples=50)
def test_owners_are_always_well_formed(writes: list[tuple[bool, str, Object]]) -> None:
    live: Object | None = None
    for is_apply, manager, config in writes:
        before = clone(live) if live is not None else None
        if is_apply:
            after = apply(live, config, manager)
        else:
            who = {"manager": manager, "subresource": "", "now": NOW}
            after = managed.updated(live, clone(config), DEPLOYMENT, **who)
        assert live == before
        after["metadata"]["uid"] = "1"
        live = after
        entries = decode(live["metadata"].get("managedFields"))
        assert len({entry.identity for entry in entries}) == len(entries)
        assert not any(entry.fields.is_empty() for entry in entries)


def unordered(value: Any) -> Any:
    """Lists with keys as dicts: who came first decides about their order."""
    if isinstance(value, dict):
        return {key: unordered(child) for key, child in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict) and "key" not in value[0]:
        return {(item.get("name"), item.get("containerPort")): unordered(item) for item in value}
    return value
