"""What a sync or a rollback asks for, and which objects a selection means."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.base.errors import Terminal
from seatrial.cli.app import operations, options
from seatrial.cli.app.waiting import is_operating
from seatrial.gitops.api.application import Application


def application(status: dict[str, Any] | None = None, **spec: Any) -> Application:
    return Application({"metadata": {"name": "web", "namespace": "argocd"}, "spec": spec, "status": status or {}})


@pytest.mark.parametrize(
    ("texts", "selected"),
    [
        ((), True),
        (("apps:Deployment:web",), True),
        (("apps:Deployment:shop/web",), True),
        (("apps:Deployment:other/web",), False),
        (("apps:*:w*",), True),
        ((":Service:web",), False),
        (("!:Service:web",), True),
        (("!apps:Deployment:web",), False),
        (("apps:Deployment:web", "!*:*:web"), False),
    ],
)
def test_a_selection(texts: tuple[str, ...], selected: bool) -> None:
    found = operations.parse_resources(texts)
    assert operations.is_selected(found, "apps", "Deployment", "shop", "web") is selected


def test_revisions_by_position_keep_the_other_targets() -> None:
    many = application(sources=[{"repoURL": "a", "targetRevision": "1"}, {"repoURL": "b", "targetRevision": "2"}])
    made = operations.sync(many, user="u", revisions=["9"], positions=[2])
    assert made["sync"]["revisions"] == ["1", "9"]
    with pytest.raises(Terminal, match="has 2 source"):
        operations.sync(many, user="u", revisions=["9"], positions=[3])


def test_a_sync_takes_the_retry_of_the_application_unless_told() -> None:
    retrying = application(syncPolicy={"retry": {"limit": 4}})
    assert operations.sync(retrying, user="u")["retry"] == {"limit": 4}
    assert operations.sync(retrying, user="u", retry={"limit": 1})["retry"] == {"limit": 1}


@pytest.mark.parametrize(
    ("status", "operating"),
    [
        ({}, False),
        ({"operationState": {"phase": "Running"}}, True),
        ({"operationState": {"phase": "Succeeded", "finishedAt": "2024-05-01T10:00:05Z"}}, True),
        (
            {
                "operationState": {"phase": "Succeeded", "finishedAt": "2024-05-01T10:00:05Z"},
                "reconciledAt": "2024-05-01T10:00:04Z",
            },
            True,
        ),
        (
            {
                "operationState": {"phase": "Succeeded", "finishedAt": "2024-05-01T10:00:05Z"},
                "reconciledAt": "2024-05-01T10:00:05Z",
            },
            False,
        ),
        (
            {
                "operationState": {
                    "phase": "Succeeded",
                    "finishedAt": "2024-05-01T10:00:05Z",
                    "operation": {"sync": {"dryRun": True}},
                }
            },
            False,
        ),
    ],
)
def test_an_operation_ends_with_the_comparison_after_it(status: dict[str, Any], operating: bool) -> None:
    assert is_operating(application(status)) is operating


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("web", "web"),
        ("web:1", "web"),
        ("r.example.com:5000/web", "r.example.com:5000/web"),
        ("r.example.com:5000/web:1", "r.example.com:5000/web"),
        ("web@sha256:00", "web"),
        ("web=other:1", "web"),
    ],
)
def test_what_an_image_override_is_for(image: str, name: str) -> None:
    assert options.image_name(image) == name
